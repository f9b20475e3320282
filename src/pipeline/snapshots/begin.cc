// What a request for a snapshot writes: its row and its task.
#include <fmt/format.h>

#include "model/ids.h"
#include "pipeline/new_row.h"
#include "pipeline/object_body.h"
#include "pipeline/resource_walk.h"
#include "pipeline/snapshots/layout.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

Status check_count(catalog::Session& session, const catalog::Scope& scope) {
  catalog::ListQuery others;
  others.kind = kind::kSnapshot;
  others.scope = scope;
  QUARRY_ASSIGN_OR_RETURN(const uint64_t count, session.count(others));
  if (count < kMaxSnapshots) return Ok{};
  return bad_request(fmt::format("the namespace has {} snapshots, the most there can be: delete one", count));
}

// What lies in an organization's folder was laid down there; a snapshot of a neighbour is an error or an attack.
Status check_owner(catalog::Session& session, const catalog::Scope& scope, const std::string& internal_id) {
  return for_each_in(session, {.kind = std::string(kind::kOrganization)}, [&](const catalog::Resource& organization) -> Status {
    if (organization.id == scope.organization_id || text_member(organization.body, "internal_id") != internal_id) return Ok{};
    return Error{ErrorKind::kForbidden, "the snapshot was taken of another organization of this server"};
  });
}

}  // namespace

Result<catalog::Resource> begin_snapshot(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id,
                                         const NewSnapshot& wanted, TimestampUs now) {
  QUARRY_RETURN_IF_ERROR(check_count(session, scope));
  Task task = new_task(kSnapshotTaskType, new_id("task"), scope, now);
  catalog::Resource row = new_row(kind::kSnapshot, new_id("snap"), scope, now);
  row.body = {{"snapshot_id", row.id},
              {"namespace_id", wanted.namespace_id},
              {"namespace_name", wanted.namespace_name},
              {"internal_id", internal_id},
              {"snapshot_type", wanted.type},
              {"status", "pending"},
              {"schema_version", kSnapshotFormat},
              {"s3_prefix", ""},
              {"s3_objects_copied", wanted.copy_blobs},
              {"include_vectors", wanted.include_vectors},
              {"task_id", task.task_id}};
  task.inputs = {{"snapshot_id", row.id},      {"namespace_id", wanted.namespace_id},       {"namespace_name", wanted.namespace_name},
                 {"internal_id", internal_id}, {"include_vectors", wanted.include_vectors}, {"copy_blobs", wanted.copy_blobs}};
  if (wanted.keep_us > 0) row.body["expires_at"] = format_timestamp(now + wanted.keep_us);
  if (wanted.import) {
    QUARRY_RETURN_IF_ERROR(check_owner(session, scope, wanted.source_internal_id));
    row.body["imported_from"] = wanted.imported_from;
    task.inputs["import_from"] = wanted.import->place;
    task.inputs["import_prefix"] = wanted.import->prefix;
    task.inputs["import_manifest_sha256"] = wanted.import->manifest_sha256;
  }
  task.additional_data = {{"operation", wanted.import ? "snapshot_import" : "snapshot"}, {"snapshot_id", row.id}};
  QUARRY_RETURN_IF_ERROR(session.insert(row));
  QUARRY_RETURN_IF_ERROR(session.enqueue(task));
  return row;
}

}  // namespace quarry::pipeline
