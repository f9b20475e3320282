#include "service/namespace_removal.h"

#include <fmt/format.h>

#include "base/log.h"
#include "service/buckets.h"
#include "service/internals.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr size_t kPage = 1'000;

// Ids of everything of a kind in the namespace, which is then removed, with its children of `child_kinds`.
Result<std::vector<std::string>> remove_all(catalog::Session& session, const catalog::Scope& scope, std::string_view kind,
                                            std::initializer_list<std::string_view> child_kinds) {
  std::vector<std::string> ids;
  catalog::ListQuery query;
  query.kind = kind;
  query.scope = scope;
  query.limit = kPage;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, session.list(query));
    for (const auto& resource : page.items) {
      for (std::string_view child : child_kinds) QUARRY_RETURN_IF_ERROR(session.remove_children(child, resource.id));
      QUARRY_RETURN_IF_ERROR(session.remove(kind, scope, resource.id));
      ids.push_back(resource.id);
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

void remove_files(const Dependencies& deps, const std::string& prefix) {
  Status removed = objects::remove_prefix(*deps.store, prefix);
  if (!removed.ok()) log_warn("files of a deleted namespace are left", {{"prefix", prefix}, {"reason", removed.error().message}});
}

}  // namespace

Status remove_namespace(const OpenNamespace& ns, const Dependencies& deps, bool force) {
  using namespace catalog::kind;
  const catalog::Scope scope = namespace_scope(ns.context);
  QUARRY_RETURN_IF_ERROR(deps.internals->executions.flush());  // none may come after the removal
  std::vector<std::string> buckets, collections;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    if (!force) QUARRY_RETURN_IF_ERROR(check_idle(session, ns));
    QUARRY_RETURN_IF_ERROR(session.remove(kNamespace, organization_scope(ns.context), ns.resource.id));
    QUARRY_RETURN_IF_ERROR(session.remove_tasks(scope));
    QUARRY_ASSIGN_OR_RETURN(buckets, remove_all(session, scope, kBucket, {kObject, kUpload, kBatch, kObjectIndexKind}));
    QUARRY_RETURN_IF_ERROR(remove_all(session, scope, kRetriever, {kExecution}));
    QUARRY_RETURN_IF_ERROR(remove_all(session, scope, kExecution, {}));
    QUARRY_ASSIGN_OR_RETURN(collections, remove_all(session, scope, kCollection, {kLifecycleEvent, kQueryTime}));
    return Ok{};
  }));
  if (deps.engine) deps.engine->notify();
  // Only what bears an id of the removed rows, which are never given again: the namespace's own id may be another's by now.
  for (const auto& id : collections) {
    deps.internals->tables.remove(id);
    Status dropped = deps.vectors->drop_table(id);
    if (!dropped.ok() && dropped.error().kind != ErrorKind::kNotFound)
      log_warn("a table was not dropped", {{"table", id}, {"reason", dropped.error().message}});
    remove_files(deps, pipeline::table_prefix(ns.context.internal_id, ns.resource.id, id) + "/");
  }
  for (const auto& id : buckets) remove_files(deps, fmt::format("{}/{}/blobs/{}/", ns.context.internal_id, ns.resource.id, id));
  return Ok{};
}

}  // namespace quarry::service
