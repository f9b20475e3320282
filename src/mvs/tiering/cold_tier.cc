#include "mvs/tiering/cold_tier.h"

#include <algorithm>
#include <chrono>

#include "base/executor.h"
#include "mvs/tiering/tier_metrics.h"

namespace quarry::mvs {
namespace {

// They wait for the object store more than they compute: a few stalled reads must leave threads for other tables.
constexpr size_t kReaders = 16, kMaxWaitingReads = 1024;
// One query's ranged reads go out together: about as many as a store answers beside each other without making them wait.
constexpr size_t kIoThreads = 64, kMaxWaitingRanges = 4096;
constexpr int64_t kMaxWaitUs = 3600ll * 1'000'000;

}  // namespace

struct ColdTier::Read {
  bool done = false;
  Result<std::shared_ptr<const Snapshot>> result = std::shared_ptr<const Snapshot>();
};

bool ColdTier::submit(std::function<void()> task) {
  if (stopped_) return false;
  if (readers_ == nullptr) readers_ = std::make_unique<Executor>("cold", kReaders, kMaxWaitingReads);
  return readers_->try_submit(std::move(task));
}

Result<std::shared_ptr<const Snapshot>> ColdTier::read(const std::shared_ptr<ColdSource>& source, int64_t deadline_us) {
  std::unique_lock lock(mutex_);
  std::shared_ptr<Read>& entry = reads_[source.get()];
  const bool is_first = entry == nullptr;
  if (is_first) entry = std::make_shared<Read>();
  const std::shared_ptr<Read> mine = entry;
  if (is_first && !submit([this, source, mine] { run(source, mine); })) {
    lock.unlock();
    run(source, mine);
    lock.lock();
  }
  QUARRY_RETURN_IF_ERROR(wait_for(mine->done, lock, deadline_us));
  return mine->result;
}

Status ColdTier::wait_for(const bool& done, std::unique_lock<std::mutex>& lock, int64_t deadline_us) {
  const Waiting for_its_threads;
  while (!done) {
    const int64_t left_us = deadline_us == INT64_MAX ? kMaxWaitUs : deadline_us - clock_.steady_us();
    if (left_us <= 0) return Error(ErrorKind::kTimeout, "the collection was not read from the cold tier in time");
    finished_.wait_for(lock, std::chrono::microseconds(std::min(left_us, kMaxWaitUs)));
  }
  return Ok{};
}

Status ColdTier::run_and_wait(std::function<void()> body, int64_t deadline_us) {
  const auto done = std::make_shared<bool>(false);
  const auto task = [this, body = std::move(body), done] {
    body();
    std::lock_guard lock(mutex_);
    *done = true;
    finished_.notify_all();
  };
  std::unique_lock lock(mutex_);
  if (!submit(task)) {
    lock.unlock();
    task();
    lock.lock();
  }
  return wait_for(*done, lock, deadline_us);
}

Executor* ColdTier::io() {
  std::lock_guard lock(mutex_);
  if (io_ == nullptr && !stopped_) io_ = std::make_unique<Executor>("cold-io", kIoThreads, kMaxWaitingRanges);
  return io_.get();
}

void ColdTier::run(const std::shared_ptr<ColdSource>& source, const std::shared_ptr<Read>& read) {
  const int64_t began_us = clock_.steady_us();
  auto result = source->read_cold();
  TierMetrics::cold_read_seconds().Observe(double(clock_.steady_us() - began_us) / 1e6);
  if (result.ok()) keep(source, (*result)->memory_bytes());
  std::lock_guard lock(mutex_);
  read->result = std::move(result);
  read->done = true;
  reads_.erase(source.get());
  finished_.notify_all();
}

void ColdTier::keep(const std::shared_ptr<ColdSource>& source, uint64_t bytes) {
  ColdGarbage freed;  // outside the lock
  std::vector<std::shared_ptr<ColdSource>> held;
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  const auto it = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& k) { return k.key == source.get(); });
  if (it != kept_.end()) {
    count(-int64_t(it->bytes));
    kept_.erase(it);
  }
  kept_.push_back({source, source.get(), bytes});
  count(int64_t(bytes));
  trim(cache_bytes_, held, freed);
}

void ColdTier::clear() {
  ColdGarbage freed;
  std::vector<std::shared_ptr<ColdSource>> held;
  std::lock_guard lock(mutex_);
  trim(0, held, freed);
}

// Under the lock. What it releases is destroyed by the caller, outside.
void ColdTier::trim(uint64_t limit_bytes, std::vector<std::shared_ptr<ColdSource>>& held, ColdGarbage& freed) {
  for (auto next = kept_.begin(); next != kept_.end() && kept_bytes_ > limit_bytes;) {
    const auto& owner = held.emplace_back(next->source.lock());
    if (owner != nullptr && !owner->release_cold(freed)) {
      ++next;
      continue;
    }
    count(-int64_t(next->bytes));
    next = kept_.erase(next);
  }
}

void ColdTier::count(int64_t bytes) {
  kept_bytes_ = uint64_t(int64_t(kept_bytes_) + bytes);
  TierMetrics::cold_cache_bytes().Increment(double(bytes));
}

void ColdTier::forget(const ColdSource& source) {
  std::lock_guard lock(mutex_);
  const auto it = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& k) { return k.key == &source; });
  if (it == kept_.end()) return;
  count(-int64_t(it->bytes));
  kept_.erase(it);
}

void ColdTier::stop() {
  std::unique_ptr<Executor> readers;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    kept_.clear();
    count(-int64_t(kept_bytes_));
    readers = std::move(readers_);
  }
  if (readers != nullptr) readers->stop();
  if (io_ != nullptr) io_->stop();  // nobody asks for more: readers were the last who did
}

uint64_t ColdTier::cached_bytes() const {
  std::lock_guard lock(mutex_);
  return kept_bytes_;
}

}  // namespace quarry::mvs
