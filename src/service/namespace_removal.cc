#include "service/namespace_removal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "pipeline/snapshots.h"
#include "service/buckets.h"
#include "service/collections.h"
#include "service/internals.h"
#include "service/json_access.h"
#include "service/resources.h"
#include "service/task_wait.h"

namespace quarry::service {
namespace {

constexpr size_t kPage = 1'000;

std::string id_of(const catalog::Resource& resource) { return resource.id; }

// Names of everything of a kind in the namespace, which is then removed, with its children of `child_kinds`.
Result<std::vector<std::string>> remove_all(catalog::Session& session, const catalog::Scope& scope, std::string_view kind,
                                            std::initializer_list<std::string_view> child_kinds,
                                            std::string (*name)(const catalog::Resource&) = id_of) {
  std::vector<std::string> ids;
  catalog::ListQuery query;
  query.kind = kind;
  query.scope = scope;
  query.limit = kPage;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, session.list(query));
    for (const auto& resource : page.items) {
      for (std::string_view child : child_kinds) QUARRY_RETURN_IF_ERROR(session.remove_children(child, scope, resource.id));
      QUARRY_RETURN_IF_ERROR(session.remove(kind, scope, resource.id));
      ids.push_back(name(resource));
    }
    if (page.items.size() < kPage) return ids;
  }
}

Status check_idle(catalog::Session& session, const OpenNamespace& ns) {
  catalog::TaskQuery query;
  query.scope = namespace_scope(ns.context);
  query.statuses = {TaskStatus::kPending, TaskStatus::kQueued, TaskStatus::kInProgress, TaskStatus::kProcessing};
  query.task_type = pipeline::kBatchTaskType;
  query.limit = 1;
  uint64_t running = 0;
  QUARRY_RETURN_IF_ERROR(session.list_tasks(query, &running));
  if (running == 0) return Ok{};
  return bad_request(
      fmt::format("namespace '{}' has {} batches that have not ended: cancel them first, or pass force=true", ns.resource.name, running));
}

// The rows by which the tables are dropped: at once, or by the next sweep. Returns the tables, those among them that were to go anyway.
Result<std::vector<std::string>> retire_tables(catalog::Session& session, const OpenNamespace& ns, TimestampUs now) {
  const catalog::Scope scope = namespace_scope(ns.context);
  QUARRY_ASSIGN_OR_RETURN(auto tables, remove_all(session, scope, catalog::kind::kCollection,
                                                  {catalog::kind::kLifecycleEvent, catalog::kind::kQueryTime}, stored_table_id));
  for (const std::string& id : tables)
    QUARRY_RETURN_IF_ERROR(
        pipeline::retire_files(session, scope, {id, pipeline::table_prefix(ns.context.internal_id, scope.namespace_id, id), {}}, now));
  catalog::ListQuery query;
  query.kind = catalog::kind::kRetiredTable;
  query.scope = scope;
  query.limit = kPage;
  QUARRY_ASSIGN_OR_RETURN(const auto page, session.list(query));
  // What a task was making may still grow: it is left to the sweep.
  for (const auto& row : page.items)
    if (!row.body.contains("task_id") && std::find(tables.begin(), tables.end(), row.id) == tables.end()) tables.push_back(row.id);
  return tables;
}

Result<std::string> take_snapshot(const OpenNamespace& ns, const Dependencies& deps, bool force) {
  catalog::Resource snapshot;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    if (!force) QUARRY_RETURN_IF_ERROR(check_idle(session, ns));
    QUARRY_ASSIGN_OR_RETURN(
        snapshot, pipeline::begin_pre_delete_snapshot(session, namespace_scope(ns.context), ns.context.internal_id, ns.resource.name,
                                                      deps.pre_delete_keep_us, deps.clock->now_us()));
    return Ok{};
  }));
  if (deps.engine) deps.engine->notify();
  const std::string task_id(string_member(snapshot.body, "task_id"));
  const std::string unfinished =
      fmt::format("the namespace is still there: task '{}' takes a snapshot of it first; delete it again when that has ended", task_id);
  QUARRY_ASSIGN_OR_RETURN(const Task task, wait_for_task(ns.context, deps, task_id, unfinished));
  if (task.status != TaskStatus::kCompleted)
    return storage_error(fmt::format("the namespace is still there, as no snapshot of it could be taken: {}",
                                     task.status == TaskStatus::kCanceled ? "the task was cancelled" : task.error));
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) {
    return pipeline::use_pre_delete_snapshot(session, namespace_scope(ns.context), snapshot.id);
  }));
  return snapshot.id;
}

void remove_files(const Dependencies& deps, const std::string& prefix) {
  Status removed = objects::remove_prefix(*deps.store, prefix);
  if (!removed.ok()) log_warn("files of a deleted namespace are left", {{"prefix", prefix}, {"reason", removed.error().message}});
}

}  // namespace

Result<std::string> take_pre_delete_snapshot(const OpenNamespace& ns, const Dependencies& deps, bool force) {
  if (deps.pre_delete_keep_us == 0) return std::string();
  auto taken = take_snapshot(ns, deps, force);
  if (taken.ok() || !force || taken.error().kind == ErrorKind::kTimeout) return taken;
  log_warn("a namespace is deleted without a snapshot", {{"namespace_id", ns.resource.id}, {"reason", taken.error().message}});
  return std::string();
}

Status remove_namespace(const OpenNamespace& ns, const Dependencies& deps, bool force) {
  using namespace catalog::kind;
  const catalog::Scope scope = namespace_scope(ns.context);
  QUARRY_RETURN_IF_ERROR(deps.internals->executions.flush());  // none may come after the removal
  std::vector<std::string> buckets, tables;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    if (!force) QUARRY_RETURN_IF_ERROR(check_idle(session, ns));
    QUARRY_RETURN_IF_ERROR(session.remove(kNamespace, organization_scope(ns.context), ns.resource.id));
    QUARRY_RETURN_IF_ERROR(session.remove_tasks(scope));
    QUARRY_ASSIGN_OR_RETURN(buckets, remove_all(session, scope, kBucket, {kObject, kUpload, kBatch, kObjectIndexKind}));
    QUARRY_RETURN_IF_ERROR(remove_all(session, scope, kRetriever, {kExecution}));
    QUARRY_RETURN_IF_ERROR(remove_all(session, scope, kExecution, {}));
    const TimestampUs now = deps.clock->now_us();
    QUARRY_ASSIGN_OR_RETURN(tables, retire_tables(session, ns, now));
    return pipeline::forget_unfinished_snapshots(session, scope, now);  // the others bring the namespace back
  }));
  if (deps.engine) deps.engine->notify();
  // Only what bears an id of the removed rows, which are never given again: the namespace's own id may be another's by now.
  for (const auto& id : tables) {
    deps.internals->tables.remove(id);
    Status dropped = pipeline::drop_retired(*deps.catalog, *deps.vectors, *deps.store, scope, id);
    if (!dropped.ok()) log_warn("a table is dropped later", {{"table", id}, {"reason", dropped.error().message}});
  }
  for (const auto& id : buckets) remove_files(deps, fmt::format("{}/{}/blobs/{}/", ns.context.internal_id, ns.resource.id, id));
  return Ok{};
}

}  // namespace quarry::service
