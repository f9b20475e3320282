#include "pipeline/snapshots/restore_plan.h"

#include <fmt/format.h>

#include "model/collection.h"
#include "pipeline/lifecycle_rows.h"
#include "pipeline/object_body.h"
#include "pipeline/pipeline.h"
#include "pipeline/resource_walk.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

bool is_settled(std::string_view status) {
  const TaskStatus parsed = parse_task_status(status);
  return is_terminal(parsed) || parsed == TaskStatus::kDraft || to_string(parsed) != status;
}

// No task works on the restored collection, no rule has announced its end, and its table is the one that this restore makes.
void settle_storage(json::object& body, const std::string& mark, TimestampUs now) {
  json::object& storage = storage_of(body);
  for (std::string_view name : {"transition", "data_left", "archive_notice"}) storage.erase(name);
  storage["restored_by"] = mark;
  storage["restored_at"] = format_timestamp(now);
}

// An archived collection has none, but for what its archive could not remove.
bool has_files(const catalog::Resource& row, const Collection& collection) {
  const json::object* storage = find_storage(row.body);
  return collection.lifecycle != LifecycleState::kArchived || (storage != nullptr && storage->contains("data_left"));
}

// In place the namespace keeps its name, which another may have taken since.
Status write_namespace(catalog::Session& session, const RestorePlan& plan, TimestampUs now) {
  catalog::Resource row = plan.ns;
  if (!plan.in_place) plan.renaming.apply(row);
  row.id = plan.target.namespace_id;
  row.organization_id = plan.target.organization_id;
  row.namespace_id.clear();
  row.name = plan.target_name;
  row.body["namespace_id"] = plan.target.namespace_id;
  row.updated_at = now;
  auto there = session.get(kind::kNamespace, {plan.target.organization_id, ""}, plan.target.namespace_id);
  if (!there.ok() && there.error().kind != ErrorKind::kNotFound) return std::move(there).error();
  if (there.ok()) row.name = there->name;
  row.body["namespace_name"] = row.name;
  if (there.ok()) {
    row.revision = there->revision;
    return session.replace(row);
  }
  row.revision = now;
  if (!plan.in_place) row.created_at = now;
  Status inserted = session.insert(row);
  if (!inserted.ok() && inserted.error().kind == ErrorKind::kAlreadyExists)
    return already_exists(fmt::format("a namespace named '{}' was made meanwhile", plan.target_name));
  return inserted;
}

Status remove_all(catalog::Session& session, const catalog::Scope& scope, std::string_view of, const VisitResource& before) {
  catalog::ListQuery query;
  query.kind = of;
  query.scope = scope;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(const auto page, session.list(query));
    for (const catalog::Resource& row : page.items) {
      QUARRY_RETURN_IF_ERROR(before(row));
      QUARRY_RETURN_IF_ERROR(session.remove(of, scope, row.id));
    }
    if (page.items.size() < query.limit) return Ok{};
  }
}

Status clear(catalog::Session& session, const RestorePlan& plan, std::vector<std::string>& replaced, TimestampUs now) {
  QUARRY_RETURN_IF_ERROR(remove_all(session, plan.target, kind::kBucket, [&](const catalog::Resource& bucket) -> Status {
    for (std::string_view child : {kind::kObject, kObjectIndexKind})
      QUARRY_RETURN_IF_ERROR(session.remove_children(child, plan.target, bucket.id));
    if (plan.buckets.contains(bucket.id)) return Ok{};
    for (std::string_view child : {kind::kUpload, kind::kBatch})
      QUARRY_RETURN_IF_ERROR(session.remove_children(child, plan.target, bucket.id));
    return Ok{};
  }));
  QUARRY_RETURN_IF_ERROR(remove_all(session, plan.target, kind::kRetriever, [&](const catalog::Resource& retriever) {
    return plan.retrievers.contains(retriever.id) ? Status(Ok{}) : session.remove_children(kind::kExecution, plan.target, retriever.id);
  }));
  return remove_all(session, plan.target, kind::kCollection, [&](const catalog::Resource& row) -> Status {
    for (std::string_view child : {kind::kLifecycleEvent, kind::kQueryTime})
      QUARRY_RETURN_IF_ERROR(session.remove_children(child, plan.target, row.id));
    QUARRY_ASSIGN_OR_RETURN(const Collection collection, parse_collection(row.body, row.organization_id, row.namespace_id));
    if (!has_files(row, collection)) return Ok{};
    replaced.push_back(collection.table_id());
    const std::string prefix = table_prefix(plan.internal_id, plan.target.namespace_id, collection.table_id());
    return retire_files(session, plan.target, {collection.table_id(), prefix, {}}, now);
  });
}

Error taken(const RestorePlan& plan, const catalog::Resource& row) {
  return already_exists(fmt::format("there is a {} '{}' already{}", row.kind, row.id,
                                    plan.in_place ? ": bring the snapshot back into a new namespace" : ""));
}

// Ids that the server draws are unique in the whole catalog, and caches and tables go by them. Those of an imported snapshot were drawn, or
// chosen, elsewhere.
Status check_free(catalog::Session& session, const RestorePlan& plan, const catalog::Resource& row) {
  if (row.kind != kind::kBucket && row.kind != kind::kCollection && row.kind != kind::kRetriever) return Ok{};
  const auto other = session.get_any(row.kind, row.id);
  if (other.ok()) return taken(plan, row);
  return other.error().kind == ErrorKind::kNotFound ? Status(Ok{}) : Status(other.error());
}

Status insert_rows(catalog::Session& session, objects::ObjectStore& store, const RestorePlan& plan, TimestampUs now) {
  return for_each_line(store, plan.folder, plan.manifest.catalog_parts, [&](const json::object& line) -> Status {
    QUARRY_ASSIGN_OR_RETURN(catalog::Resource row, parse_resource(line));
    if (row.kind == kind::kNamespace) return Ok{};
    convert(plan, row, now);
    QUARRY_RETURN_IF_ERROR(check_free(session, plan, row));
    Status inserted = session.insert(row);
    return !inserted.ok() && inserted.error().kind == ErrorKind::kAlreadyExists ? Status(taken(plan, row)) : inserted;
  });
}

}  // namespace

void convert(const RestorePlan& plan, catalog::Resource& r, TimestampUs now) {
  if (!plan.in_place) plan.renaming.apply(r);
  r.organization_id = plan.target.organization_id;
  r.namespace_id = plan.target.namespace_id;
  r.revision = now;
  if (r.kind == kind::kObject && !is_settled(text_member(r.body, "status"))) r.body["status"] = to_string(TaskStatus::kPending);
  if (r.kind == kind::kCollection) settle_storage(r.body, plan.mark, now);
}

Result<std::vector<std::string>> replace_rows(catalog::Session& session, objects::ObjectStore& store, const RestorePlan& plan,
                                              TimestampUs now) {
  std::vector<std::string> replaced;
  QUARRY_RETURN_IF_ERROR(write_namespace(session, plan, now));
  if (plan.in_place) QUARRY_RETURN_IF_ERROR(clear(session, plan, replaced, now));
  QUARRY_RETURN_IF_ERROR(insert_rows(session, store, plan, now));
  return replaced;
}

}  // namespace quarry::pipeline
