#include "service/namespace_removal.h"

#include <fmt/format.h>

#include "base/log.h"
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

Status cancel_tasks(catalog::Session& session, const catalog::Scope& scope) {
  catalog::TaskQuery query;
  query.scope = scope;
  query.statuses = {TaskStatus::kPending, TaskStatus::kQueued, TaskStatus::kInProgress, TaskStatus::kProcessing};
  query.limit = kPage;
  uint64_t total = 0;
  QUARRY_ASSIGN_OR_RETURN(auto tasks, session.list_tasks(query, &total));
  for (const auto& task : tasks) QUARRY_RETURN_IF_ERROR(session.request_cancel(task.task_id));
  return Ok{};
}

}  // namespace

Status remove_namespace(const OpenNamespace& ns, const Dependencies& deps) {
  using namespace catalog::kind;
  const catalog::Scope scope = namespace_scope(ns.context);
  QUARRY_RETURN_IF_ERROR(deps.internals->executions.flush());  // none may come after the removal
  std::vector<std::string> collections;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_RETURN_IF_ERROR(session.remove(kNamespace, organization_scope(ns.context), ns.resource.id));
    QUARRY_RETURN_IF_ERROR(cancel_tasks(session, scope));
    QUARRY_RETURN_IF_ERROR(remove_all(session, scope, kBucket, {kObject, kUpload, kBatch}));
    QUARRY_RETURN_IF_ERROR(remove_all(session, scope, kRetriever, {kExecution}));
    QUARRY_RETURN_IF_ERROR(remove_all(session, scope, kExecution, {}));
    QUARRY_ASSIGN_OR_RETURN(collections, remove_all(session, scope, kCollection, {}));
    return Ok{};
  }));
  if (deps.engine) deps.engine->notify();
  for (const auto& id : collections) {
    deps.internals->tables.remove(id);
    Status dropped = deps.vectors->drop_table(id);
    // The prefix is removed below all the same.
    if (!dropped.ok() && dropped.error().kind != ErrorKind::kNotFound)
      log_warn("a table was not dropped", {{"table", id}, {"reason", dropped.error().message}});
  }
  return objects::remove_prefix(*deps.store, fmt::format("{}/{}/", ns.context.internal_id, ns.resource.id));
}

}  // namespace quarry::service
