#include "base/executor.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <memory>

namespace quarry {

Executor::Executor(std::string name, size_t threads, size_t queue_limit, int niceness) : name_(std::move(name)), queue_limit_(queue_limit) {
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
  }
  not_empty_.notify_one();
  return true;
}

bool Executor::submit(std::function<void()> task) {
  {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [&] { return stopping_ || queue_.size() < queue_limit_; });
    if (stopping_) return false;
    queue_.push_back(std::move(task));
  }
  not_empty_.notify_one();
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
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      not_empty_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    not_full_.notify_one();
    task();
  }
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
  state->finished.wait(lock, [&] { return state->done.load() == count; });
}

}  // namespace quarry
