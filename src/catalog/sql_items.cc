#include <fmt/format.h>

#include <algorithm>

#include "catalog/sql_session.h"

namespace quarry::catalog {
namespace {

std::string text(std::string_view s) { return std::string(s); }
long long number(ItemStatus status) { return static_cast<long long>(status); }

ItemStatus item_status(long long stored) {
  return stored >= number(ItemStatus::kPending) && stored <= number(ItemStatus::kSkipped) ? static_cast<ItemStatus>(stored)
                                                                                          : ItemStatus::kPending;
}

Status check_task_id(std::string_view task_id) {
  if (!task_id.empty() && is_storable(task_id)) return Ok{};
  return bad_request("a work item needs the id of its task");
}

}  // namespace

Status SqlSession::add_items(std::string_view task_id, const std::vector<std::string>& item_ids) {
  QUARRY_RETURN_IF_ERROR(check_task_id(task_id));
  for (const std::string& id : item_ids)
    if (id.empty() || !is_storable(id)) return bad_request("a work item needs an id; ids are UTF-8 without NUL");
  return guarded([&]() -> Status {
    long long position = 0;
    {
      Rows rows = db_.query("SELECT COALESCE(MAX(position), -1) + 1 FROM work_items WHERE task_id = :id", "n", {text(task_id)});
      while (rows.next()) position = rows.number(0);
    }
    for (const std::string& id : item_ids) {
      position += db_.execute(
          "INSERT INTO work_items (task_id, item_id, position, status, outcome) VALUES (:task, :item, :position, 0, '{}') "
          "ON CONFLICT (task_id, item_id) DO UPDATE SET status = 0, outcome = '{}'",
          {text(task_id), id, position});
    }
    return Ok{};
  });
}

Result<std::vector<WorkItem>> SqlSession::list_items(std::string_view task_id, std::optional<ItemStatus> status, size_t offset,
                                                     size_t limit) {
  QUARRY_RETURN_IF_ERROR(check_task_id(task_id));
  std::string where = "task_id = :id";
  SqlValues parameters{text(task_id)};
  if (status) {
    where += " AND status = :status";
    parameters.emplace_back(number(*status));
  }
  parameters.emplace_back(static_cast<long long>(std::min<size_t>(limit, INT32_MAX)));
  parameters.emplace_back(static_cast<long long>(std::min<size_t>(offset, INT64_MAX)));
  return guarded([&]() -> Result<std::vector<WorkItem>> {
    Rows rows = db_.query(
        fmt::format("SELECT item_id, position, status, outcome FROM work_items WHERE {} ORDER BY position LIMIT :limit OFFSET :offset",
                    where),
        "tnnt", std::move(parameters));
    std::vector<WorkItem> out;
    while (rows.next()) {
      QUARRY_ASSIGN_OR_RETURN(json::object outcome, parse_body(rows.text(3), rows.text(0)));
      out.push_back({rows.text(0), rows.number(1), item_status(rows.number(2)), std::move(outcome)});
    }
    return out;
  });
}

Status SqlSession::finish_items(std::string_view task_id, const std::vector<WorkItem>& items) {
  QUARRY_RETURN_IF_ERROR(check_task_id(task_id));
  return guarded([&]() -> Status {
    for (const WorkItem& item : items) {
      QUARRY_ASSIGN_OR_RETURN(std::string outcome, body_text(item.outcome));
      long long updated =
          db_.execute("UPDATE work_items SET status = :status, outcome = :outcome WHERE task_id = :task AND item_id = :item",
                      {number(item.status), std::move(outcome), text(task_id), storable(item.item_id)});
      if (updated == 0) return not_found(fmt::format("task '{}' has no item '{}'", task_id, storable(item.item_id)));
    }
    return Ok{};
  });
}

Status SqlSession::reset_items(std::string_view task_id, ItemStatus from) {
  QUARRY_RETURN_IF_ERROR(check_task_id(task_id));
  return guarded([&]() -> Status {
    db_.execute("UPDATE work_items SET status = 0, outcome = '{}' WHERE task_id = :task AND status = :status",
                {text(task_id), number(from)});
    return Ok{};
  });
}

Result<ItemCounts> SqlSession::count_items(std::string_view task_id) {
  QUARRY_RETURN_IF_ERROR(check_task_id(task_id));
  return guarded([&]() -> Result<ItemCounts> {
    Rows rows = db_.query("SELECT status, COUNT(*) FROM work_items WHERE task_id = :task GROUP BY status", "nn", {text(task_id)});
    ItemCounts out;
    while (rows.next()) {
      auto count = static_cast<uint64_t>(rows.number(1));
      switch (item_status(rows.number(0))) {
        case ItemStatus::kPending: out.pending += count; break;
        case ItemStatus::kDone: out.done += count; break;
        case ItemStatus::kFailed: out.failed += count; break;
        case ItemStatus::kSkipped: out.skipped += count; break;
      }
    }
    return out;
  });
}

}  // namespace quarry::catalog
