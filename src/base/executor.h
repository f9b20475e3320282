// A fixed set of threads over one bounded queue.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace quarry {

// All methods are thread-safe. The destructor runs what is queued, then joins.
class Executor {
 public:
  // `niceness`: 0..19, added to the threads' own; what runs there yields to everything else.
  Executor(std::string name, size_t threads, size_t queue_limit, int niceness = 0);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // False, and `task` is not taken, when the queue is full or the executor is stopping.
  bool try_submit(std::function<void()> task);
  // Blocks while the queue is full. False once stopping.
  bool submit(std::function<void()> task);
  // Refuses new work, finishes what is queued, joins. Idempotent.
  void stop();

  size_t queued() const;
  size_t threads() const { return workers_.size(); }

 private:
  void work();

  const std::string name_;
  const size_t queue_limit_;
  mutable std::mutex mutex_;
  std::condition_variable not_empty_, not_full_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

// Runs body(i) for i in [0, count) on `executor` and the calling thread; returns when all are done. `body` must not throw.
// Safe to call from a thread of the same executor: the caller works too, so it never waits on work nobody runs.
void parallel_for(Executor* executor, size_t count, const std::function<void(size_t)>& body);

}  // namespace quarry
