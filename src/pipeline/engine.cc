#include "pipeline/engine.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/metrics.h"
#include "pipeline/lifecycle.h"
#include "pipeline/object_body.h"
#include "pipeline/snapshots/job.h"

namespace quarry::pipeline {
namespace {

constexpr size_t kExtractionQueue = 4096;

prometheus::Counter& finished_tasks() {
  static prometheus::Counter& counter =
      metrics::counter("quarry_pipeline_tasks_total", "Tasks that this process claimed and ran to an outcome");
  return counter;
}

}  // namespace

std::unique_ptr<Engine> Engine::make(Options options) { return std::make_unique<EngineImpl>(std::move(options)); }

EngineImpl::EngineImpl(Options options)
    : options_(std::move(options)),
      bind_(options_.bind),
      sources_(options_.source_bytes_in_flight),
      tiering_(options_, [this] { notify(); }) {
  if (!bind_) bind_ = [models = options_.extract.models](const ExtractorConfig& config) { return bind_from_catalogue(config, *models); };
}

Status EngineImpl::start() {
  {
    std::lock_guard lock(mutex_);
    QUARRY_CHECK(!started_);
    started_ = true;
  }
  if (options_.exclusive) {
    uint64_t freed = 0;
    QUARRY_RETURN_IF_ERROR(options_.catalog->write([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(freed, session.release_leases());
      return Ok{};
    }));
    if (freed > 0) log_info("taking up tasks that an earlier process left", {{"tasks", freed}});
  }
  QUARRY_RETURN_IF_ERROR(tiering_.start());
  extraction_ = std::make_unique<Executor>("extract", std::max<size_t>(1, options_.threads), kExtractionQueue);
  // One pool for objects and for the chunks of an object: two would make more runnable threads than cores, and stall each other.
  options_.extract.executor = extraction_.get();
  for (size_t i = 0; i < std::max<size_t>(1, options_.concurrent_tasks); ++i)
    threads_.emplace_back([this] { work({std::string(kBatchTaskType)}); });
  threads_.emplace_back([this] { work({std::string(kLifecycleTaskType)}); });
  threads_.emplace_back([this] { work({std::string(kSnapshotTaskType), std::string(kRestoreTaskType)}); });
  threads_.emplace_back([this] { beat(); });
  if (options_.sweep_interval_us > 0) threads_.emplace_back([this] { sweep(); });
  if (options_.snapshot_interval_us > 0) threads_.emplace_back([this] { keep_snapshots(); });
  return Ok{};
}

void EngineImpl::stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    for (auto& [owner, running] : running_) running->control.stopping = true;
  }
  changed_.notify_all();
  tiering_.stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  if (extraction_) extraction_->stop();
}

void EngineImpl::notify() {
  {
    std::lock_guard lock(mutex_);
    ++notices_;
  }
  changed_.notify_all();
}

void EngineImpl::wait_for_work(uint64_t seen) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::microseconds(options_.poll_interval_us), [&] { return stopping_ || notices_ != seen; });
}

Result<std::optional<Task>> EngineImpl::claim(const std::vector<std::string>& task_types) {
  std::string owner;
  {
    std::lock_guard lock(mutex_);
    owner = fmt::format("{}/{}", options_.worker_id, ++claims_);
  }
  std::optional<Task> task;
  QUARRY_RETURN_IF_ERROR(options_.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(task, session.claim(owner, task_types, options_.lease_us, options_.clock->now_us()));
    return Ok{};
  }));
  return task;
}

void EngineImpl::work(const std::vector<std::string>& task_types) {
  for (;;) {
    uint64_t seen;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      seen = notices_;
    }
    auto task = claim(task_types);
    if (!task.ok()) log_warn("cannot claim tasks", {{"reason", task.error().message}});
    if (task.ok() && task->has_value()) {
      run(std::move(**task));
    } else {
      wait_for_work(seen);
    }
  }
}

void EngineImpl::run(Task task) {
  auto running = std::make_shared<Running>();
  running->task_id = task.task_id;
  running->owner = task.lease_owner;
  running->extended_steady_us = options_.clock->steady_us();
  {
    std::lock_guard lock(mutex_);
    running->control.stopping = stopping_;
    running_[running->owner] = running;
  }
  log_info("task begins", {{"task_id", task.task_id}, {"task_type", task.task_type}, {"attempt", task.attempts}});
  Status outcome = Ok{};
  try {
    outcome = perform(std::move(task), running->control);
  } catch (const std::exception& e) {
    outcome = internal_error(e.what());
  }
  if (!outcome.ok())
    log_warn("a task's outcome could not be written; it is taken up again when its lease has run out",
             {{"task_id", running->task_id}, {"reason", outcome.error().message}});
  finished_tasks().Increment();
  std::lock_guard lock(mutex_);
  running_.erase(running->owner);
  ++notices_;  // its next tier may be waiting
  changed_.notify_all();
}

Status EngineImpl::perform(Task task, TaskControl& control) {
  if (task.task_type == kLifecycleTaskType) return run_lifecycle_task(options_, control, std::move(task));
  if (task.task_type == kSnapshotTaskType && task.inputs.contains("import_from"))
    return run_import_task(options_, control, std::move(task));
  if (task.task_type == kSnapshotTaskType) return run_snapshot_task(options_, control, std::move(task));
  if (task.task_type == kRestoreTaskType) return run_restore_task(options_, control, std::move(task));
  BatchTask batch({options_, *extraction_, sources_, bind_}, control, std::move(task));
  return batch.run();
}

std::vector<std::shared_ptr<EngineImpl::Running>> EngineImpl::running() {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Running>> out;
  for (const auto& [owner, running] : running_) out.push_back(running);
  return out;
}

// Leases are extended even while the tasks are handed back: stop() may take as long as the longest extraction.
void EngineImpl::beat() {
  uint64_t seen = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      auto interval = std::chrono::microseconds(std::min<int64_t>(1'000'000, options_.lease_us / 4));
      changed_.wait_for(lock, interval, [&] { return notices_ != seen || (stopping_ && running_.empty()); });
      if (stopping_ && running_.empty()) return;
      seen = notices_;
    }
    for (const auto& task : running()) check(*task);
  }
}

void EngineImpl::sweep() {
  constexpr int64_t kAgeUs = 86'400'000'000, kRetiredUs = 3'600'000'000;
  const auto halted = [this] { return is_stopping(); };
  for (int64_t wait_us = options_.first_sweep_us;; wait_us = options_.sweep_interval_us) {
    if (!wait_unless_stopping(wait_us)) return;
    auto swept = sweep_orphans(*options_.catalog, *options_.store, options_.clock->now_us() - kAgeUs, halted);
    if (!swept.ok())
      log_warn("the sweep for files that nothing refers to ended early", {{"reason", swept.error().message}});
    else if (swept->removed > 0)
      log_info("files that nothing referred to were removed", {{"files", swept->removed}, {"bytes", swept->removed_bytes}});
    Status dropped = drop_all_retired(*options_.catalog, *options_.vectors, *options_.store, options_.clock->now_us() - kRetiredUs);
    if (!dropped.ok()) log_warn("tables and files that nothing needs any more are left", {{"reason", dropped.error().message}});
  }
}

void EngineImpl::keep_snapshots() {
  const auto halted = [this] { return is_stopping(); };
  while (wait_unless_stopping(options_.snapshot_interval_us)) {
    const TimestampUs now = options_.clock->now_us();
    if (auto dropped = drop_expired_snapshots(*options_.catalog, *options_.store, now, halted); !dropped.ok())
      log_warn("snapshots that have expired are left", {{"reason", dropped.error().message}});
    else if (*dropped > 0)
      log_info("snapshots have expired", {{"snapshots", *dropped}});
    if (options_.daily_snapshot_keep_us == 0) continue;
    if (auto begun = begin_daily_snapshots(*options_.catalog, options_.daily_snapshot_keep_us, now, halted); !begun.ok())
      log_warn("daily snapshots were not begun", {{"reason", begun.error().message}});
    else if (*begun > 0)
      notify();
  }
}

bool EngineImpl::is_stopping() {
  std::lock_guard lock(mutex_);
  return stopping_;
}

bool EngineImpl::wait_unless_stopping(int64_t us) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::microseconds(us), [&] { return stopping_; });
}

void EngineImpl::check(Running& running) {
  int64_t now = options_.clock->steady_us();
  bool due = now - running.extended_steady_us >= options_.lease_us / 3;
  Task seen;
  auto look = [&](catalog::Session& session) -> Status {
    if (due) {
      QUARRY_ASSIGN_OR_RETURN(seen, session.extend_lease(running.task_id, running.owner, options_.lease_us, options_.clock->now_us()));
    } else {
      QUARRY_ASSIGN_OR_RETURN(seen, session.get_task_any(running.task_id));
    }
    return Ok{};
  };
  auto looked = due ? options_.catalog->write(look) : options_.catalog->read(look);
  if (!looked.ok()) {
    if (looked.error().kind == ErrorKind::kConflict || looked.error().kind == ErrorKind::kNotFound) running.control.lost = true;
    return;  // anything else passes; the transactions of the task check the owner themselves
  }
  if (due) running.extended_steady_us = now;
  if (seen.lease_owner != running.owner && !is_terminal(seen.status)) running.control.lost = true;
  if (seen.cancel_requested) running.control.canceled = true;
}

}  // namespace quarry::pipeline
