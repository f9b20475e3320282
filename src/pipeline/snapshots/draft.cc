#include "pipeline/snapshots/draft.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "base/log.h"
#include "pipeline/object_body.h"

namespace quarry::pipeline {

SnapshotDraft::SnapshotDraft(SnapshotJob& job)
    : job_(job),
      store_(*job.options().store),
      snapshot_id_(job.input("snapshot_id")),
      root_(snapshot_folder(job.input("internal_id"), job.input("namespace_id"), snapshot_id_)),
      folder_(fmt::format("{}/{}", root_, job.task().attempts)) {}

Status SnapshotDraft::run(const std::function<Status()>& work) {
  return job_.run({.work = work,
                   .settle = [this](catalog::Session& session, TaskStatus status,
                                    const std::string& error) { return settle(session, status, error); },
                   .undo = [this] { forget(); }});
}

Status SnapshotDraft::begin() {
  QUARRY_RETURN_IF_ERROR(objects::remove_prefix(store_, root_ + "/"));
  return job_.options().catalog->write([&](catalog::Session& session) {
    return change_row(session, [&](json::object& body) {
      body["status"] = "in_progress";
      body["dispatch_at"] = format_timestamp(job_.now());
    });
  });
}

Status SnapshotDraft::finish(const Manifest& manifest) {
  const std::string text = encode_manifest(manifest);
  QUARRY_RETURN_IF_ERROR(store_.put(fmt::format("{}/{}", folder_, kManifestName), text));
  QUARRY_RETURN_IF_ERROR(job_.check());
  return job_.options().catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_RETURN_IF_ERROR(job_.complete(session));
    return change_row(session, [&](json::object& body) { describe(body, manifest, sha256_hex(text)); });
  });
}

// The contract's view of it.
void SnapshotDraft::describe(json::object& body, const Manifest& manifest, std::string manifest_sha256) const {
  json::object counts, versions;
  for (const auto& [of, count] : manifest.resources) counts[of] = count;
  uint64_t documents = 0;
  for (const SnapshotTable& table : manifest.tables) {
    documents += table.documents;
    versions[table.collection_id] = json::object{{"durable_confirmed_seq", table.version}, {"frontier_seq", table.version}};
  }
  json::object frontier{{"consistency", "bracketed"}};
  frontier["vectors"] = json::object{{"capture_mode", "delta_version"}, {"shards_start", std::move(versions)}};
  frontier["objects"] = json::object{{"objects_listed", manifest.blobs}};
  json::object shown{{"snapshot_id", manifest.snapshot_id},
                     {"namespace_id", manifest.namespace_id},
                     {"namespace_name", manifest.namespace_name},
                     {"schema_version", kSnapshotFormat},
                     {"created_at", manifest.created_at},
                     {"snapshot_type", text_member(body, "snapshot_type")},
                     {"vector_point_count", documents},
                     {"s3_object_count", manifest.blobs},
                     {"s3_total_bytes", manifest.bytes},
                     {"s3_objects_copied", manifest.blobs_copied},
                     {"include_vectors", manifest.include_vectors}};
  shown["mongo_collections"] = std::move(counts);
  shown["frontier"] = std::move(frontier);
  body["manifest"] = std::move(shown);
  body["status"] = "completed";
  body["completed_at"] = format_timestamp(job_.now());
  body["s3_prefix"] = folder_;
  internal_of(body)["manifest_sha256"] = std::move(manifest_sha256);
}

Status SnapshotDraft::change_row(catalog::Session& session, const std::function<void(json::object&)>& change) const {
  QUARRY_ASSIGN_OR_RETURN(catalog::Resource row, session.get(catalog::kind::kSnapshot, job_.scope(), snapshot_id_));
  change(row.body);
  row.updated_at = job_.now();
  return session.replace(row);
}

Status SnapshotDraft::settle(catalog::Session& session, TaskStatus status, const std::string& error) const {
  Status noted = change_row(session, [&](json::object& body) {
    body["status"] = "failed";
    body["error"] = status == TaskStatus::kCanceled ? "the task was cancelled" : error;
    body["completed_at"] = format_timestamp(job_.now());
  });
  return !noted.ok() && noted.error().kind == ErrorKind::kNotFound ? Status(Ok{}) : noted;
}

void SnapshotDraft::forget() const {
  if (Status removed = objects::remove_prefix(store_, root_ + "/"); !removed.ok())
    log_warn("files of a snapshot that failed are left", {{"prefix", root_}, {"reason", removed.error().message}});
}

}  // namespace quarry::pipeline
