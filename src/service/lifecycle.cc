// A collection's lifecycle: where it is served from, and moving it.
#include <fmt/format.h>

#include "service/binding.h"
#include "service/collections.h"
#include "service/json_access.h"
#include "service/listing.h"
#include "service/paging.h"
#include "service/resources.h"
#include "service/task_wait.h"

namespace quarry::service {
namespace {

// The contract's LifecycleStatusResponse. vector_document_count is what the hot tier holds, s3_vector_count what the warm tier holds. A
// namespace has no tier of its own here, so namespace_storage_tier stays absent.
Result<json::object> show_lifecycle(const OpenCollection& opened, const Dependencies& deps) {
  json::object shown{{"collection_id", opened.resource.id}, {"lifecycle_state", to_string(opened.collection.lifecycle)}};
  uint64_t warm = 0;
  bool is_hot = false;
  if (opened.collection.lifecycle != LifecycleState::kArchived) {
    QUARRY_ASSIGN_OR_RETURN(const auto stats, deps.vectors->stats(opened.collection.table_id()));
    warm = stats.documents;
    is_hot = stats.tier == mvs::Tier::kActive;
    shown["s3_vector_index"] = opened.resource.id;
  }
  shown["vector_document_count"] = is_hot ? warm : 0;
  shown["s3_vector_count"] = warm;
  copy_members(shown, opened.resource.body, {"last_transitioned_at"});
  return shown;
}

// The change that is under way.
std::string open_task(const catalog::Resource& collection) {
  const json::object* internal = object_member(collection.body, pipeline::kInternalMember);
  const json::object* storage = internal ? object_member(*internal, "storage") : nullptr;
  const json::object* transition = storage ? object_member(*storage, "transition") : nullptr;
  return transition ? std::string(string_member(*transition, "task_id")) : std::string();
}

// What the tiering rules go by.
Status show_tiering(const OpenCollection& opened, const Dependencies& deps, json::object& shown) {
  if (deps.engine) deps.engine->flush_queries();
  pipeline::TieringState state;
  QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(state, pipeline::load_tiering_state(session, opened.resource, deps.clock->now_us()));
    return Ok{};
  }));
  if (state.queried_at != 0) shown["last_queried_at"] = format_timestamp(state.queried_at);
  if (state.notice) shown["archive_at"] = format_timestamp(state.notice->archive_at);
  copy_members(shown, opened.resource.body, {"tiering_rules"});
  return Ok{};
}

Result<Reply> get_lifecycle(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(const auto opened, open_collection(context, deps, request.param("collection_identifier")));
  QUARRY_ASSIGN_OR_RETURN(json::object shown, show_lifecycle(opened, deps));
  QUARRY_RETURN_IF_ERROR(show_tiering(opened, deps, shown));
  if (std::string task_id = open_task(opened.resource); !task_id.empty()) shown["task_id"] = std::move(task_id);
  return Reply(std::move(shown));
}

Status check_outcome(const Task& task) {
  if (task.status == TaskStatus::kCompleted) return Ok{};
  if (task.status == TaskStatus::kCanceled)
    return Error(ErrorKind::kConflict,
                 fmt::format("task '{}' was cancelled{}{}", task.task_id, task.error.empty() ? "" : ": ", task.error));
  return storage_error(fmt::format("the collection stays as it was: {}", task.error));
}

Result<Reply> transition_lifecycle(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(const auto found,
                          find_resource(context, deps, catalog::kind::kCollection, request.param("collection_identifier")));
  QUARRY_ASSIGN_OR_RETURN(const LifecycleState to, parse_lifecycle_state(string_member(request.object(), "lifecycle_state")));
  if (to == LifecycleState::kArchived && !context.may(kDelete))
    return Error(ErrorKind::kForbidden, "archiving removes documents for good: this key lacks the permission 'delete'");
  std::string task_id;
  pipeline::LifecycleChange change{.collection_id = found.id, .to = to};
  if (to == LifecycleState::kArchived || to == LifecycleState::kFrozen) {
    QUARRY_ASSIGN_OR_RETURN(const Collection before, parse_collection(found.body, context.organization_id, context.namespace_id));
    change.held = pipeline::held_data(*deps.vectors, before, context.internal_id);
  }
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(
        task_id, pipeline::begin_lifecycle_change(session, namespace_scope(context), context.internal_id, change, deps.clock->now_us()));
    return Ok{};
  }));
  if (deps.engine && !task_id.empty()) deps.engine->notify();
  std::string warning;
  if (!task_id.empty() && !bool_member(request.object(), "async_transition", true)) {
    QUARRY_ASSIGN_OR_RETURN(const Task task,
                            wait_for_task(context, deps, task_id, fmt::format("the change goes on as task '{}'", task_id)));
    QUARRY_RETURN_IF_ERROR(check_outcome(task));
    warning = string_member(task.additional_data, "warning");
  }
  QUARRY_ASSIGN_OR_RETURN(const auto opened, open_collection(context, deps, found.id));
  QUARRY_ASSIGN_OR_RETURN(json::object shown, show_lifecycle(opened, deps));
  if (!task_id.empty()) shown["task_id"] = task_id;
  if (!warning.empty()) shown["warning"] = warning;
  return Reply(std::move(shown));
}

}  // namespace

void bind_lifecycle(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "get_lifecycle", get_lifecycle);
  bind_operation(table, deps, "transition_lifecycle", transition_lifecycle);
}

}  // namespace quarry::service
