#include "pipeline/new_row.h"
#include "pipeline/object_body.h"
#include "pipeline/pipeline.h"
#include "pipeline/resource_walk.h"

namespace quarry::pipeline {
namespace {

using catalog::kind::kRetiredTable;

Result<bool> is_being_made(catalog::Session& session, const catalog::Resource& row) {
  const std::string task_id = text_member(row.body, "task_id");
  if (task_id.empty()) return false;
  const auto task = session.get_task_any(task_id);
  if (task.ok()) return !is_terminal(task->status);
  return task.error().kind == ErrorKind::kNotFound ? Result<bool>(false) : task.error();
}

Status ok_if_absent(Status status) {
  return !status.ok() && status.error().kind == ErrorKind::kNotFound ? Status(Ok{}) : std::move(status);
}

}  // namespace

Status retire_files(catalog::Session& session, const catalog::Scope& scope, const RetiredFiles& files, TimestampUs now) {
  const auto there = session.get(kRetiredTable, scope, files.id);
  if (there.ok()) return Ok{};
  if (there.error().kind != ErrorKind::kNotFound) return there.error();
  catalog::Resource row = new_row(kRetiredTable, files.id, scope, now);
  row.body = {{"prefix", files.prefix}};
  if (!files.task_id.empty()) row.body["task_id"] = files.task_id;
  return session.insert(row);
}

Status keep_files(catalog::Session& session, const catalog::Scope& scope, std::string_view id) {
  return ok_if_absent(session.remove(kRetiredTable, scope, id));
}

Status drop_retired(catalog::Catalog& catalog, mvs::VectorStore& vectors, objects::ObjectStore& store, const catalog::Scope& scope,
                    std::string_view id) {
  const auto row = catalog.get(kRetiredTable, scope, id);
  if (!row.ok()) return ok_if_absent(row.error());
  QUARRY_RETURN_IF_ERROR(ok_if_absent(vectors.drop_table(id)));
  QUARRY_RETURN_IF_ERROR(objects::remove_prefix(store, text_member(row->body, "prefix") + "/"));
  return catalog.write([&](catalog::Session& session) { return keep_files(session, scope, id); });
}

Status drop_all_retired(catalog::Catalog& catalog, mvs::VectorStore& vectors, objects::ObjectStore& store, TimestampUs older_than) {
  Status first_error = Ok{};
  const catalog::ListQuery organizations{.kind = std::string(catalog::kind::kOrganization)};
  QUARRY_RETURN_IF_ERROR(for_each_resource(catalog, organizations, [&](const catalog::Resource& organization) -> Status {
    std::vector<catalog::Resource> due;
    catalog::ListQuery query{.kind = std::string(kRetiredTable), .scope = {organization.id, ""}, .all_namespaces = true};
    QUARRY_RETURN_IF_ERROR(catalog.read([&](catalog::Session& session) {
      due.clear();
      return for_each_in(session, query, [&](const catalog::Resource& row) -> Status {
        if (row.created_at >= older_than) return Ok{};
        QUARRY_ASSIGN_OR_RETURN(const bool stays, is_being_made(session, row));
        if (!stays) due.push_back(row);
        return Ok{};
      });
    }));
    for (const catalog::Resource& row : due) {
      Status dropped = drop_retired(catalog, vectors, store, {row.organization_id, row.namespace_id}, row.id);
      if (!dropped.ok() && first_error.ok()) first_error = std::move(dropped);
    }
    return Ok{};
  }));
  return first_error;
}

}  // namespace quarry::pipeline
