// Who commits, and when. Writers queue up; one of them leads: it takes what is queued as a group, prepares it (encoding and the data file,
// outside any lock, while the group before is still committing) and, in the order in which groups were formed, commits it. No thread of its
// own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"

namespace quarry::mvs {

struct PendingWrite;
using WriteGroup = std::vector<PendingWrite*>;

struct CommitQueueOptions {
  int64_t window_us = 5'000;                 // how long a leader waits for company
  uint64_t group_bytes = 32ull << 20;        // a group that reached this waits for no more
  uint64_t max_queued_bytes = 256ull << 20;  // writers beyond wait before they queue
};

// Thread-safe.
class CommitQueue {
 public:
  // Prepares a group; the result travels to commit, which runs alone among commits and turns. Both must settle errors into the group's
  // writes.
  struct Steps {
    std::function<std::shared_ptr<void>(const WriteGroup&)> prepare;
    std::function<void(const WriteGroup&, std::shared_ptr<void>)> commit;
    // Whether `next` may join a group that starts with `first`.
    std::function<bool(const PendingWrite& first, const PendingWrite& next)> compatible;
  };

  CommitQueue(CommitQueueOptions options, Steps steps);

  // Blocks until the write is settled. `bytes` is its size in memory.
  void run(PendingWrite& write, uint64_t bytes);

  // While held nothing commits. For commits that are not writes.
  class Turn {
   public:
    explicit Turn(CommitQueue& queue);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    CommitQueue& queue_;
  };

  uint64_t queued_bytes() const;

 private:
  struct Entry {
    PendingWrite* write;
    uint64_t bytes;
    bool taken = false, done = false;
  };

  void lead(std::unique_lock<std::mutex>& lock);
  void wait_for_company(std::unique_lock<std::mutex>& lock);
  void wait_for_change(std::unique_lock<std::mutex>& lock);
  std::vector<Entry*> take_group();

  const CommitQueueOptions options_;
  const Steps steps_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry*> queue_;
  uint64_t queued_bytes_ = 0;   // of all writes that are not settled
  uint64_t waiting_bytes_ = 0;  // of those in queue_
  size_t last_group_ = 0;       // writes in the group before
  bool preparing_ = false;
  uint64_t next_ticket_ = 0, turn_ = 0;
};

}  // namespace quarry::mvs
