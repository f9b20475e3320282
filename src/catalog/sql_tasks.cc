#include <fmt/format.h>

#include <algorithm>

#include "catalog/sql_session.h"

namespace quarry::catalog {
namespace {

constexpr std::string_view kColumns =
    "task_id, task_type, organization_id, namespace_id, status, inputs, additional_data, error, lease_owner, lease_expires_at, "
    "cancel_requested, attempts, "
    "created_at, updated_at";
constexpr std::string_view kColumnTypes = "tttttttttnnnnn";
// The index tasks_open covers exactly these: keep the texts equal.
constexpr std::string_view kOpen = "status IN ('PENDING','QUEUED','IN_PROGRESS','PROCESSING')";

std::string text(std::string_view s) { return std::string(s); }

bool is_waiting(TaskStatus s) { return s == TaskStatus::kPending || s == TaskStatus::kQueued || s == TaskStatus::kDraft; }

Result<Task> read_task(const Rows& rows) {
  Task out;
  out.task_id = rows.text(0);
  out.task_type = rows.text(1);
  out.organization_id = rows.text(2);
  out.namespace_id = rows.text(3);
  out.status = parse_task_status(rows.text(4));
  QUARRY_ASSIGN_OR_RETURN(out.inputs, parse_body(rows.text(5), out.task_id));
  QUARRY_ASSIGN_OR_RETURN(out.additional_data, parse_body(rows.text(6), out.task_id));
  out.error = rows.text(7);
  out.lease_owner = rows.text(8);
  out.lease_expires_at = rows.number(9);
  out.cancel_requested = rows.number(10) != 0;
  out.attempts = static_cast<int32_t>(rows.number(11));
  out.created_at = rows.number(12);
  out.updated_at = rows.number(13);
  return out;
}

Error no_such_task(std::string_view id) { return not_found(fmt::format("task '{}' does not exist", clip(id, 300))); }

Error lease_lost(std::string_view id, std::string_view owner) {
  return {ErrorKind::kConflict, fmt::format("'{}' no longer holds the lease of task '{}'", owner, id)};
}

// May whoever holds `task` write it over `stored`? The attempt tells a worker from its own earlier, expired lease.
bool may_update(const Task& stored, const Task& task) {
  bool unclaimed = stored.lease_owner.empty() || is_waiting(stored.status);
  if (unclaimed) return task.attempts == stored.attempts || task.attempts == 0;
  return stored.lease_owner == task.lease_owner && stored.attempts == task.attempts;
}

}  // namespace

Result<std::vector<Task>> SqlSession::select_tasks(const std::string& where_and_order, SqlValues parameters) {
  Rows rows = db_.query(fmt::format("SELECT {} FROM tasks WHERE {}", kColumns, where_and_order), kColumnTypes, std::move(parameters));
  std::vector<Task> out;
  while (rows.next()) {
    QUARRY_ASSIGN_OR_RETURN(Task task, read_task(rows));
    out.push_back(std::move(task));
  }
  return out;
}

Result<Task> SqlSession::select_task(const std::string& where, SqlValues parameters, std::string_view task_id) {
  QUARRY_ASSIGN_OR_RETURN(auto found, select_tasks(where, std::move(parameters)));
  if (found.empty()) return no_such_task(task_id);
  return std::move(found.front());
}

Status SqlSession::enqueue(const Task& t) {
  if (t.task_id.empty() || !is_storable(t.task_id) || !is_storable(t.task_type) || !is_storable(t.organization_id) ||
      !is_storable(t.namespace_id))
    return bad_request("a task needs an id; ids are UTF-8 without NUL");
  QUARRY_ASSIGN_OR_RETURN(std::string inputs, body_text(t.inputs));
  QUARRY_ASSIGN_OR_RETURN(std::string additional, body_text(t.additional_data));
  return guarded([&]() -> Status {
    long long created = t.created_at != 0 ? t.created_at : clock_.now_us();
    long long updated = t.updated_at != 0 ? t.updated_at : created;
    long long inserted = db_.execute(
        "INSERT INTO tasks (task_id, task_type, organization_id, namespace_id, status, inputs, additional_data, error, lease_owner, "
        "lease_expires_at, "
        "cancel_requested, attempts, created_at, updated_at) VALUES (:id, :type, :organization, :namespace, :status, :inputs, :additional, "
        ":error, :owner, "
        ":expires, :cancel, :attempts, :created, :updated) ON CONFLICT DO NOTHING",
        {t.task_id, t.task_type, t.organization_id, t.namespace_id, text(to_string(t.status)), std::move(inputs), std::move(additional),
         storable(t.error), t.lease_owner, static_cast<long long>(t.lease_expires_at), static_cast<long long>(t.cancel_requested),
         static_cast<long long>(t.attempts), created, updated});
    return inserted == 1 ? Status(Ok{}) : already_exists(fmt::format("task '{}' exists already", t.task_id));
  });
}

Result<Task> SqlSession::get_task(const Scope& scope, std::string_view task_id) {
  if (!is_storable(task_id)) return no_such_task(storable(task_id));
  return guarded([&]() -> Result<Task> {
    return select_task("task_id = :id AND organization_id = :organization AND namespace_id = :namespace",
                       {text(task_id), scope.organization_id, scope.namespace_id}, task_id);
  });
}

Result<Task> SqlSession::get_task_any(std::string_view task_id) {
  if (!is_storable(task_id)) return no_such_task(storable(task_id));
  return guarded([&]() -> Result<Task> { return select_task("task_id = :id", {text(task_id)}, task_id); });
}

Result<std::vector<Task>> SqlSession::list_tasks(const TaskQuery& query, uint64_t* total) {
  std::string where = "organization_id = :organization AND namespace_id = :namespace";
  SqlValues parameters{storable(query.scope.organization_id), storable(query.scope.namespace_id)};
  if (!query.task_type.empty()) {
    where += " AND task_type = :type";
    parameters.emplace_back(storable(query.task_type));
  }
  std::string statuses;
  for (TaskStatus status : query.statuses) statuses.append(statuses.empty() ? "'" : ",'").append(to_string(status)).append("'");
  if (!statuses.empty()) where += " AND status IN (" + statuses + ")";
  return guarded([&]() -> Result<std::vector<Task>> {
    if (total != nullptr) *total = count_where("tasks", where, parameters);
    parameters.emplace_back(static_cast<long long>(std::min<size_t>(query.limit, INT32_MAX)));
    parameters.emplace_back(static_cast<long long>(std::min<size_t>(query.offset, INT64_MAX)));
    return select_tasks(where + " ORDER BY created_at DESC, task_id DESC LIMIT :limit OFFSET :offset", std::move(parameters));
  });
}

Result<std::optional<Task>> SqlSession::claim(std::string_view owner, const std::vector<std::string>& types, int64_t lease_us,
                                              TimestampUs now) {
  if (owner.empty() || !is_storable(owner)) return bad_request("a lease needs an owner");
  std::string where = text(kOpen) + " AND (status IN ('PENDING','QUEUED') OR lease_expires_at <= :now)";
  SqlValues parameters{static_cast<long long>(now)};
  std::string names;
  for (const std::string& type : types) {
    names += fmt::format("{}:type{}", names.empty() ? "" : ", ", parameters.size());
    parameters.emplace_back(storable(type));
  }
  if (!names.empty()) where += " AND task_type IN (" + names + ")";
  return guarded([&]() -> Result<std::optional<Task>> {
    QUARRY_ASSIGN_OR_RETURN(auto found,
                            select_tasks(where + " ORDER BY created_at, task_id LIMIT 1" + dialect_.lock_row(), std::move(parameters)));
    if (found.empty()) return std::optional<Task>();
    Task& task = found.front();
    task.status = TaskStatus::kProcessing;
    task.lease_owner = owner;
    task.lease_expires_at = now + lease_us;
    task.attempts += 1;
    task.updated_at = now;
    db_.execute(
        "UPDATE tasks SET status = 'PROCESSING', lease_owner = :owner, lease_expires_at = :expires, attempts = :attempts, updated_at = "
        ":now "
        "WHERE task_id = :id",
        {task.lease_owner, static_cast<long long>(task.lease_expires_at), static_cast<long long>(task.attempts),
         static_cast<long long>(now), task.task_id});
    return std::optional<Task>(std::move(task));
  });
}

Result<Task> SqlSession::extend_lease(std::string_view task_id, std::string_view owner, int64_t lease_us, TimestampUs now) {
  if (!is_storable(task_id)) return no_such_task(storable(task_id));
  if (owner.empty() || !is_storable(owner)) return lease_lost(task_id, storable(owner));
  return guarded([&]() -> Result<Task> {
    long long updated = db_.execute(
        "UPDATE tasks SET lease_expires_at = :expires, updated_at = :now WHERE task_id = :id AND lease_owner = :owner AND status IN "
        "('IN_PROGRESS','PROCESSING')",
        {static_cast<long long>(now + lease_us), static_cast<long long>(now), text(task_id), text(owner)});
    QUARRY_ASSIGN_OR_RETURN(Task task, select_task("task_id = :id", {text(task_id)}, task_id));
    if (updated == 0) return lease_lost(task_id, owner);
    return task;
  });
}

Result<uint64_t> SqlSession::release_leases() {
  return guarded([&]() -> Result<uint64_t> {
    return static_cast<uint64_t>(db_.execute(
        "UPDATE tasks SET lease_owner = '', lease_expires_at = 0, updated_at = :now WHERE status IN ('IN_PROGRESS','PROCESSING')",
        {static_cast<long long>(clock_.now_us())}));
  });
}

Status SqlSession::update_task(const Task& task) {
  if (!is_storable(task.task_id)) return no_such_task(storable(task.task_id));
  QUARRY_ASSIGN_OR_RETURN(std::string inputs, body_text(task.inputs));
  QUARRY_ASSIGN_OR_RETURN(std::string additional, body_text(task.additional_data));
  return guarded([&]() -> Status {
    QUARRY_ASSIGN_OR_RETURN(Task stored, select_task("task_id = :id", {task.task_id}, task.task_id));
    if (!may_update(stored, task)) return lease_lost(task.task_id, task.lease_owner);
    bool released = is_waiting(task.status);
    // A cancel that arrived since the caller read the task is not overwritten; a task begun anew starts without.
    bool cancel = task.cancel_requested || (stored.cancel_requested && !is_terminal(stored.status));
    db_.execute(
        "UPDATE tasks SET task_type = :type, status = :status, inputs = :inputs, additional_data = :additional, error = :error, "
        "lease_owner = :owner, "
        "lease_expires_at = :expires, cancel_requested = :cancel, attempts = :attempts, updated_at = :now WHERE task_id = :id",
        {storable(task.task_type), text(to_string(task.status)), std::move(inputs), std::move(additional), storable(task.error),
         released ? std::string() : task.lease_owner, static_cast<long long>(released ? 0 : task.lease_expires_at),
         static_cast<long long>(cancel), static_cast<long long>(task.attempts), static_cast<long long>(clock_.now_us()), task.task_id});
    return Ok{};
  });
}

Status SqlSession::request_cancel(std::string_view task_id) {
  if (!is_storable(task_id)) return no_such_task(storable(task_id));
  return guarded([&]() -> Status {
    long long updated = db_.execute("UPDATE tasks SET cancel_requested = 1 WHERE task_id = :id", {text(task_id)});
    return updated == 1 ? Status(Ok{}) : no_such_task(task_id);
  });
}

Status SqlSession::remove_tasks(const Scope& scope) {
  const std::string of_scope = "organization_id = :organization AND namespace_id = :namespace";
  const SqlValues parameters{storable(scope.organization_id), storable(scope.namespace_id)};
  return guarded([&]() -> Status {
    db_.execute("DELETE FROM work_items WHERE task_id IN (SELECT task_id FROM tasks WHERE " + of_scope + ")", parameters);
    db_.execute("DELETE FROM tasks WHERE " + of_scope, parameters);
    return Ok{};
  });
}

}  // namespace quarry::catalog
