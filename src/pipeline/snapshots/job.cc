#include "pipeline/snapshots/job.h"

#include <fmt/format.h>

#include "base/log.h"
#include "pipeline/object_body.h"

namespace quarry::pipeline {
namespace {

constexpr int64_t kTellUs = 1'000'000;
constexpr std::string_view kHandedBack = "handed_back";

int64_t handed_back(const Task& task) {
  const json::value* times = task.inputs.if_contains(kHandedBack);
  return times != nullptr && times->is_int64() ? times->get_int64() : 0;
}

// What comes from elsewhere must not end the thread, whatever else was forgotten.
Status run_work(const std::function<Status()>& work) {
  try {
    return work();
  } catch (const std::exception& e) {
    return internal_error(e.what());
  }
}

}  // namespace

SnapshotJob::SnapshotJob(const Options& options, TaskControl& control, Task task)
    : options_(options),
      control_(control),
      retries_{options.storage_attempts, options.retry_delay_us},
      task_(std::move(task)),
      scope_{task_.organization_id, task_.namespace_id} {}

std::string SnapshotJob::input(std::string_view name) const { return text_member(task_.inputs, name); }

bool SnapshotJob::flag(std::string_view name) const {
  const json::value* value = task_.inputs.if_contains(name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

bool SnapshotJob::is_given_up() const { return task_.attempts - handed_back(task_) > options_.max_attempts; }

Status SnapshotJob::check() const {
  if (control_.halted()) return Error{ErrorKind::kUnavailable, "the task was told to end"};
  return Ok{};
}

Status SnapshotJob::count_file(uint64_t bytes) {
  ++files_;
  bytes_ += bytes;
  task_.additional_data["files"] = files_;
  task_.additional_data["bytes"] = bytes_;
  QUARRY_RETURN_IF_ERROR(check());
  const int64_t now_us = options_.clock->steady_us();
  if (now_us - told_steady_us_ < kTellUs) return Ok{};
  told_steady_us_ = now_us;
  return options_.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(Task stored, session.get_task_any(task_.task_id));  // with the lease as it is by now
    stored.lease_owner = task_.lease_owner;
    stored.attempts = task_.attempts;
    stored.additional_data = task_.additional_data;
    return session.update_task(stored);
  });
}

Status SnapshotJob::complete(catalog::Session& session) { return write_end(session, TaskStatus::kCompleted, ""); }

Status SnapshotJob::write_end(catalog::Session& session, TaskStatus status, const std::string& error) const {
  Task task = task_;
  task.status = status;
  task.error = error;
  task.updated_at = now();
  if (status == TaskStatus::kPending) task.inputs[kHandedBack] = handed_back(task_) + 1;
  return session.update_task(task);
}

Status SnapshotJob::run(const Parts& parts) {
  if (task_.cancel_requested) return end(TaskStatus::kCanceled, "", parts);
  if (is_given_up()) return end(TaskStatus::kFailed, fmt::format("the worker died {} times over it", options_.max_attempts), parts);
  // A try whose last transaction seemed to fail may have been the one that did it all.
  const Status done = with_retries(retries_, control_, [&]() -> Status {
    QUARRY_ASSIGN_OR_RETURN(const bool mine, holds());
    return mine ? run_work(parts.work) : Status(Ok{});
  });
  if (done.ok() || control_.lost) return Ok{};
  if (control_.canceled) return end(TaskStatus::kCanceled, "", parts);
  if (control_.stopping) return end(TaskStatus::kPending, "", parts);
  log_warn("a snapshot's task failed", {{"task_id", task_.task_id}, {"reason", done.error().message}});
  return end(TaskStatus::kFailed, done.error().message, parts);
}

Result<bool> SnapshotJob::holds() {
  Status extended = options_.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_RETURN_IF_ERROR(session.extend_lease(task_.task_id, task_.lease_owner, options_.lease_us, now()));
    return Ok{};
  });
  if (extended.ok()) return true;
  if (extended.error().kind == ErrorKind::kConflict || extended.error().kind == ErrorKind::kNotFound) return false;
  return std::move(extended).error();
}

Status SnapshotJob::end(TaskStatus status, const std::string& error, const Parts& parts) {
  QUARRY_ASSIGN_OR_RETURN(const bool mine, holds());
  if (!mine) return Ok{};
  if (status != TaskStatus::kPending) parts.undo();
  return with_retries(retries_, control_, [&] {
    return options_.catalog->write([&](catalog::Session& session) -> Status {
      QUARRY_RETURN_IF_ERROR(write_end(session, status, error));
      return status == TaskStatus::kPending ? Status(Ok{}) : parts.settle(session, status, error);
    });
  });
}

}  // namespace quarry::pipeline
