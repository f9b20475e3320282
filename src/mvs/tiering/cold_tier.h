// The cold tier: tables that hold no rows in memory. A call that needs rows asks here; reading is done on threads of the tier's own, so that
// a slow object store costs a caller no more than its deadline and the other tables nothing. A table that is read whole is read once for all
// that wait. What was read stays, least recently used first to go, within a limit of bytes.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "mvs/hot/snapshot.h"

namespace quarry::mvs {

// What is let go of under a lock and destroyed outside.
using ColdGarbage = std::vector<std::shared_ptr<const void>>;

// A table as the cold tier sees it.
class ColdSource {
 public:
  virtual ~ColdSource() = default;
  // The newest version, from the object store; blocks. What it returns, the source holds too until it is released.
  virtual Result<std::shared_ptr<const Snapshot>> read_cold() = 0;
  // Moves what cold reads left in memory to `freed`; nothing if the table is cold no longer. False: a writer needs it.
  virtual bool release_cold(ColdGarbage& freed) = 0;
};

// Thread-safe.
class ColdTier {
 public:
  ColdTier(uint64_t cache_bytes, const Clock& clock) : cache_bytes_(cache_bytes), clock_(clock) {}
  ~ColdTier() { stop(); }

  // kTimeout when `deadline_us` of the steady clock passes first; the read goes on and is kept for the next caller.
  Result<std::shared_ptr<const Snapshot>> read(const std::shared_ptr<ColdSource>& source, int64_t deadline_us);
  // Runs `body`, which holds what it needs, and waits for it. kTimeout when `deadline_us` passes first; `body` goes on.
  template <class T>
  Result<T> call(std::function<Result<T>()> body, int64_t deadline_us) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    QUARRY_RETURN_IF_ERROR(run_and_wait([result, body = std::move(body)] { result->emplace(body()); }, deadline_us));
    return std::move(**result);
  }
  // Threads for many ranged reads at once; they only wait for the object store.
  Executor* io();
  // The source holds `bytes` and was used now. Releases others, or this one, past the limit.
  void keep(const std::shared_ptr<ColdSource>& source, uint64_t bytes);
  // Releases what no writer needs.
  void clear();
  void forget(const ColdSource& source);
  // Waits for reads that run. Later ones run on the caller's thread.
  void stop();

  uint64_t cached_bytes() const;

 private:
  struct Read;
  struct Kept {
    std::weak_ptr<ColdSource> source;
    const ColdSource* key = nullptr;
    uint64_t bytes = 0;
  };

  Status run_and_wait(std::function<void()> body, int64_t deadline_us);
  Status wait_for(const bool& done, std::unique_lock<std::mutex>& lock, int64_t deadline_us);
  bool submit(std::function<void()> task);
  void trim(uint64_t limit_bytes, std::vector<std::shared_ptr<ColdSource>>& held, ColdGarbage& freed);
  void count(int64_t bytes);  // under the lock
  void run(const std::shared_ptr<ColdSource>& source, const std::shared_ptr<Read>& read);

  const uint64_t cache_bytes_;
  const Clock& clock_;
  mutable std::mutex mutex_;  // never held while something is read
  std::condition_variable finished_;
  std::unique_ptr<Executor> readers_, io_;  // made at the first read
  std::map<const ColdSource*, std::shared_ptr<Read>> reads_;
  std::list<Kept> kept_;  // least recently used first
  uint64_t kept_bytes_ = 0;
  bool stopped_ = false;
};

}  // namespace quarry::mvs
