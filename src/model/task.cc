#include "model/task.h"

#include <array>

namespace quarry {
namespace {

constexpr std::array<std::pair<TaskStatus, std::string_view>, 9> kNames{{
    {TaskStatus::kPending, "PENDING"},
    {TaskStatus::kQueued, "QUEUED"},
    {TaskStatus::kInProgress, "IN_PROGRESS"},
    {TaskStatus::kProcessing, "PROCESSING"},
    {TaskStatus::kCompleted, "COMPLETED"},
    {TaskStatus::kCompletedWithErrors, "COMPLETED_WITH_ERRORS"},
    {TaskStatus::kFailed, "FAILED"},
    {TaskStatus::kCanceled, "CANCELED"},
    {TaskStatus::kDraft, "DRAFT"},
}};

}  // namespace

std::string_view to_string(TaskStatus status) {
  for (const auto& [candidate, name] : kNames)
    if (candidate == status) return name;
  return "UNKNOWN";
}

TaskStatus parse_task_status(std::string_view name) {
  for (const auto& [status, candidate] : kNames)
    if (candidate == name) return status;
  return TaskStatus::kPending;
}

bool is_terminal(TaskStatus status) {
  return status == TaskStatus::kCompleted || status == TaskStatus::kCompletedWithErrors || status == TaskStatus::kFailed ||
         status == TaskStatus::kCanceled;
}

}  // namespace quarry
