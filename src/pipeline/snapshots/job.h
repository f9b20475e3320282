// What taking a snapshot and bringing one back share: a claimed task, its progress, its end.
#pragma once

#include <functional>
#include <string>

#include "pipeline/backoff.h"
#include "pipeline/pipeline.h"
#include "pipeline/snapshots.h"
#include "pipeline/task_control.h"

namespace quarry::pipeline {

// Used by the one thread that runs the task.
class SnapshotJob {
 public:
  SnapshotJob(const Options& options, TaskControl& control, Task task);

  const Options& options() const { return options_; }
  const Task& task() const { return task_; }
  const catalog::Scope& scope() const { return scope_; }
  std::string input(std::string_view name) const;
  bool flag(std::string_view name) const;
  TimestampUs now() const { return options_.clock->now_us(); }

  // A worker died over it once too often. Times that a server went down in good order don't count.
  bool is_given_up() const;
  // kUnavailable once the task is to end or to be handed back.
  Status check() const;
  void set_phase(std::string_view phase) { task_.additional_data["phase"] = phase; }
  // One more file of `bytes`; told to the catalog at most once a second. As check().
  Status count_file(uint64_t bytes);

  // Runs `work`, which ends with a transaction of its own that calls complete(). When it fails and trying again is no use, `undo` removes
  // what it left, and the task's end is written with what `settle` has to say. A task that is handed back is left as it is.
  struct Parts {
    std::function<Status()> work;
    std::function<Status(catalog::Session&, TaskStatus, const std::string& error)> settle;
    std::function<void()> undo;
  };
  Status run(const Parts& parts);

  json::object& report() { return task_.additional_data; }
  // COMPLETED, together with what else the transaction writes.
  Status complete(catalog::Session& session);

 private:
  // Extends the lease. False: another worker has the task, or it is over.
  Result<bool> holds();
  Status end(TaskStatus status, const std::string& error, const Parts& parts);
  Status write_end(catalog::Session& session, TaskStatus status, const std::string& error) const;

  const Options& options_;
  TaskControl& control_;
  const RetryPolicy retries_;
  Task task_;
  const catalog::Scope scope_;
  uint64_t files_ = 0, bytes_ = 0;
  int64_t told_steady_us_ = 0;
};

// They run to an outcome that is in the catalog when they return; an error means that not even that could be written.
Status run_snapshot_task(const Options& options, TaskControl& control, Task task);
// A task of kSnapshotTaskType whose inputs name a snapshot to import.
Status run_import_task(const Options& options, TaskControl& control, Task task);
Status run_restore_task(const Options& options, TaskControl& control, Task task);

}  // namespace quarry::pipeline
