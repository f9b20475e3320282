// Rows and tasks about to be inserted: whose they are, and since when.
#pragma once

#include "catalog/catalog.h"
#include "model/task.h"

namespace quarry::pipeline {

inline catalog::Resource new_row(std::string_view kind, std::string id, const catalog::Scope& scope, TimestampUs now) {
  catalog::Resource row;
  row.kind = kind;
  row.id = std::move(id);
  row.organization_id = scope.organization_id;
  row.namespace_id = scope.namespace_id;
  row.created_at = row.updated_at = now;
  return row;
}

inline Task new_task(std::string_view type, std::string id, const catalog::Scope& scope, TimestampUs now) {
  Task task;
  task.task_id = std::move(id);
  task.task_type = type;
  task.organization_id = scope.organization_id;
  task.namespace_id = scope.namespace_id;
  task.created_at = task.updated_at = now;
  return task;
}

}  // namespace quarry::pipeline
