#include "base/executor.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <memory>

namespace quarry {

namespace {

thread_local Executor* of_this_thread = nullptr;
thread_local int waits = 0;

}  // namespace

Executor::Executor(std::string name, size_t threads, size_t queue_limit, int niceness, size_t at_once)
    : name_(std::move(name)), queue_limit_(queue_limit), at_once_(at_once == 0 ? threads : at_once) {
  workers_.reserve(threads);
  for (size_t i = 0; i < threads; ++i) {
    workers_.emplace_back([this, niceness] {
      // A thread's id as the process to renice: on Linux each thread has its own.
      if (niceness > 0) (void)::setpriority(PRIO_PROCESS, id_t(::gettid()), niceness);
      work();
    });
    pthread_setname_np(workers_.back().native_handle(), name_.substr(0, 15).c_str());
  }
}

Executor::~Executor() { stop(); }

bool Executor::try_submit(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= queue_limit_) return false;
    queue_.push_back(std::move(task));
    wake_another();
  }
  return true;
}

bool Executor::submit(std::function<void()> task) {
  {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [&] { return stopping_ || queue_.size() < queue_limit_; });
    if (stopping_) return false;
    queue_.push_back(std::move(task));
    wake_another();
  }
  return true;
}

void Executor::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  not_empty_.notify_all();
  not_full_.notify_all();
  for (auto& worker : workers_)
    if (worker.joinable()) worker.join();
}

size_t Executor::queued() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

void Executor::work() {
  of_this_thread = this;
  std::unique_lock lock(mutex_);
  for (;;) {
    await_turn(lock);
    if (queue_.empty()) return;
    std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    last_begin_ = SteadyClock::now();
    wake_another();
    lock.unlock();
    not_full_.notify_one();
    task();
    task = nullptr;
    lock.lock();
    --running_;
  }
}

// Until a task may begin, or all is over.
void Executor::await_turn(std::unique_lock<std::mutex>& lock) {
  while (!stopping_ && !may_begin()) {
    if (queue_.empty() || watched_) {
      not_empty_.wait(lock);
      continue;
    }
    watched_ = true;
    not_empty_.wait_until(lock, last_begin_ + kStall);
    watched_ = false;
    if (!queue_.empty() && SteadyClock::now() - last_begin_ >= kStall) return;
  }
}

// For the next task, or to watch those that run.
void Executor::wake_another() {
  if (may_begin() || (!queue_.empty() && !watched_)) not_empty_.notify_one();
}

void Executor::begin_waiting() {
  std::lock_guard lock(mutex_);
  --running_;
  wake_another();
}

void Executor::end_waiting() {
  std::lock_guard lock(mutex_);
  ++running_;
}

Waiting::Waiting() {
  if (of_this_thread != nullptr && waits++ == 0) of_this_thread->begin_waiting();
}

Waiting::~Waiting() {
  if (of_this_thread != nullptr && --waits == 0) of_this_thread->end_waiting();
}

namespace {

// Outlives the call: a helper may start after the caller has finished the last item.
struct ParallelState {
  std::function<void(size_t)> body;
  size_t count;
  std::atomic<size_t> next{0};
  std::atomic<size_t> done{0};
  std::mutex mutex;
  std::condition_variable finished;

  void run() {
    for (size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
      body(i);
      if (done.fetch_add(1) + 1 == count) {
        std::lock_guard lock(mutex);
        finished.notify_all();
      }
    }
  }
};

}  // namespace

void parallel_for(Executor* executor, size_t count, const std::function<void(size_t)>& body) {
  if (count == 0) return;
  if (executor == nullptr || count == 1) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  auto state = std::make_shared<ParallelState>();
  state->body = body;
  state->count = count;
  size_t helpers = std::min(executor->threads(), count - 1);
  for (size_t i = 0; i < helpers; ++i)
    if (!executor->try_submit([state] { state->run(); })) break;
  state->run();
  std::unique_lock lock(state->mutex);
  if (state->done.load() == count) return;
  const Waiting waiting;
  state->finished.wait(lock, [&] { return state->done.load() == count; });
}

}  // namespace quarry
