// A fixed set of threads over one bounded queue.
#pragma once

#include <chrono>
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
  // `at_once`: so many tasks run while others are queued, in order, instead of as many as there are threads, which would share the processors
  // and all end late. A task that waits (see Waiting) does not count; and when none has begun for kStall, as where tasks wait without
  // saying so, one more begins. 0: as many as there are threads.
  Executor(std::string name, size_t threads, size_t queue_limit, int niceness = 0, size_t at_once = 0);
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

  static constexpr std::chrono::milliseconds kStall{5};

 private:
  friend class Waiting;
  using SteadyClock = std::chrono::steady_clock;
  void work();
  void await_turn(std::unique_lock<std::mutex>& lock);
  bool may_begin() const { return !queue_.empty() && running_ < at_once_; }
  void wake_another();
  void begin_waiting();
  void end_waiting();

  const std::string name_;
  const size_t queue_limit_, at_once_;
  mutable std::mutex mutex_;
  std::condition_variable not_empty_, not_full_;
  std::deque<std::function<void()>> queue_;
  size_t running_ = 0;    // tasks that do not wait
  bool watched_ = false;  // an idle thread looks whether the tasks stall
  SteadyClock::time_point last_begin_ = SteadyClock::now();
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

// While one lives, the task that made it waits for something other than a processor: a disk, another machine, another task. Its executor may
// begin another meanwhile. Nests; without effect on threads that are no executor's.
class Waiting {
 public:
  Waiting();
  ~Waiting();
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
};

// Runs body(i) for i in [0, count) on `executor` and the calling thread; returns when all are done. `body` must not throw.
// Safe to call from a thread of the same executor: the caller works too, so it never waits on work nobody runs.
void parallel_for(Executor* executor, size_t count, const std::function<void(size_t)>& body);

}  // namespace quarry
