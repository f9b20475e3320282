#include "mvs/commit_queue.h"

#include <chrono>

#include "base/executor.h"

namespace quarry::mvs {
namespace {

constexpr uint64_t kGroupsInFlight = 2;  // one commits, one prepares

}  // namespace

CommitQueue::CommitQueue(CommitQueueOptions options, Steps steps) : options_(options), steps_(std::move(steps)) {}

void CommitQueue::run(PendingWrite& write, uint64_t bytes) {
  Entry entry{&write, bytes};
  std::unique_lock lock(mutex_);
  while (queued_bytes_ > 0 && queued_bytes_ + bytes > options_.max_queued_bytes) wait_for_change(lock);
  queue_.push_back(&entry);
  queued_bytes_ += bytes;
  waiting_bytes_ += bytes;
  changed_.notify_all();
  while (!entry.done) {
    if (!entry.taken && !preparing_ && next_ticket_ - turn_ < kGroupsInFlight)
      lead(lock);
    else
      wait_for_change(lock);
  }
}

uint64_t CommitQueue::queued_bytes() const {
  std::lock_guard lock(mutex_);
  return queued_bytes_;
}

// A lone writer has nobody to wait for: the group before held one write, and so does the queue.
void CommitQueue::wait_for_company(std::unique_lock<std::mutex>& lock) {
  const auto full = [&] { return waiting_bytes_ >= options_.group_bytes || queue_.size() >= std::max<size_t>(last_group_, 2); };
  if (options_.window_us <= 0 || (last_group_ <= 1 && queue_.size() <= 1) || full()) return;
  const Waiting for_company;
  changed_.wait_for(lock, std::chrono::microseconds(options_.window_us), full);
}

void CommitQueue::wait_for_change(std::unique_lock<std::mutex>& lock) {
  const Waiting for_other_writers;
  changed_.wait(lock);
}

std::vector<CommitQueue::Entry*> CommitQueue::take_group() {
  std::vector<Entry*> group;
  uint64_t bytes = 0;
  while (!queue_.empty() && bytes < options_.group_bytes) {
    Entry* next = queue_.front();
    if (!group.empty() && !steps_.compatible(*group.front()->write, *next->write)) break;
    queue_.pop_front();
    next->taken = true;
    bytes += next->bytes;
    waiting_bytes_ -= next->bytes;
    group.push_back(next);
  }
  return group;
}

void CommitQueue::lead(std::unique_lock<std::mutex>& lock) {
  preparing_ = true;
  wait_for_company(lock);
  const auto entries = take_group();
  last_group_ = entries.size();
  const uint64_t ticket = next_ticket_++;
  WriteGroup group;
  for (const Entry* e : entries) group.push_back(e->write);
  lock.unlock();
  auto prepared = steps_.prepare(group);
  lock.lock();
  preparing_ = false;
  changed_.notify_all();
  while (turn_ != ticket) wait_for_change(lock);
  lock.unlock();
  steps_.commit(group, std::move(prepared));
  lock.lock();
  ++turn_;
  for (Entry* e : entries) {
    e->done = true;
    queued_bytes_ -= e->bytes;
  }
  changed_.notify_all();
}

CommitQueue::Turn::Turn(CommitQueue& queue) : queue_(queue) {
  std::unique_lock lock(queue_.mutex_);
  const uint64_t ticket = queue_.next_ticket_++;
  while (queue_.turn_ != ticket) queue_.wait_for_change(lock);
}

CommitQueue::Turn::~Turn() {
  std::lock_guard lock(queue_.mutex_);
  ++queue_.turn_;
  queue_.changed_.notify_all();
}

}  // namespace quarry::mvs
