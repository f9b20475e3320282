// Background work as the catalog keeps it.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace quarry {

enum class TaskStatus { kPending, kQueued, kInProgress, kProcessing, kCompleted, kCompletedWithErrors, kFailed, kCanceled, kDraft };

std::string_view to_string(TaskStatus status);        // "COMPLETED_WITH_ERRORS"
TaskStatus parse_task_status(std::string_view name);  // unknown names: kPending
bool is_terminal(TaskStatus status);

struct Task {
  std::string task_id;
  std::string task_type;  // a TaskType of the contract
  std::string organization_id;
  std::string namespace_id;
  TaskStatus status = TaskStatus::kPending;
  json::object inputs;           // what to do
  json::object additional_data;  // progress and outcome, shown to clients
  std::string error;
  std::string lease_owner;
  TimestampUs lease_expires_at = 0;
  bool cancel_requested = false;
  int32_t attempts = 0;
  TimestampUs created_at = 0;
  TimestampUs updated_at = 0;
};

}  // namespace quarry
