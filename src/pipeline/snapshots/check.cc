// Checking, listing and removing snapshots that were taken.
#include <fmt/format.h>

#include "base/hash.h"
#include "pipeline/object_body.h"
#include "pipeline/resource_walk.h"
#include "pipeline/snapshots/layout.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

class Checker {
 public:
  Checker(objects::ObjectStore& store, const catalog::Resource& snapshot, bool deep, const std::function<bool()>& halted)
      : store_(store), snapshot_(snapshot), folder_(snapshot_prefix_of(snapshot)), deep_(deep), halted_(halted) {}

  Result<SnapshotCheck> run() {
    Status looked = look();
    if (!looked.ok() && looked.error().kind == ErrorKind::kCorruption) {
      note("damaged", "error", looked.error().message);
    } else if (!looked.ok()) {
      return std::move(looked).error();
    }
    out_.is_restorable = !is_broken_;
    return std::move(out_);
  }

 private:
  Status look() {
    if (text_member(snapshot_.body, "status") != "completed") {
      note("not_completed", "error", fmt::format("its status is '{}'", text_member(snapshot_.body, "status")));
      return Ok{};
    }
    QUARRY_ASSIGN_OR_RETURN(manifest_, read_manifest(store_, snapshot_));
    out_.digests += 1 + manifest_.catalog_parts.size() + manifest_.file_parts.size();
    out_.collections = manifest_.tables.size();
    std::map<std::string, uint64_t> resources;
    QUARRY_RETURN_IF_ERROR(for_each_line(store_, folder_, manifest_.catalog_parts, [&](const json::object& line) -> Status {
      QUARRY_RETURN_IF_ERROR(go_on());
      QUARRY_ASSIGN_OR_RETURN(const catalog::Resource resource, parse_resource(line));
      ++resources[resource.kind];
      return deep_ && !manifest_.blobs_copied && resource.kind == kind::kObject ? look_for_blobs(resource) : Status(Ok{});
    }));
    if (resources != manifest_.resources) note("damaged", "error", "the catalog's lines are not as many as the manifest says");
    return for_each_line(store_, folder_, manifest_.file_parts, [&](const json::object& line) -> Status {
      QUARRY_RETURN_IF_ERROR(go_on());
      QUARRY_ASSIGN_OR_RETURN(const SnapshotFile file, parse_file(line));
      return look_at(file);
    });
  }

  Status go_on() const {
    if (halted_ && halted_()) return Error{ErrorKind::kTimeout, "the snapshot could not be looked through in the time of the request"};
    return Ok{};
  }

  Status look_at(const SnapshotFile& file) {
    const std::string key = folder_ + "/" + file.path;
    auto head = store_.head(key);
    if (!head.ok() && head.error().kind == ErrorKind::kNotFound) {
      note("missing", "error", fmt::format("{} is missing", key));
      return Ok{};
    }
    QUARRY_RETURN_IF_ERROR(head);
    if (head->size != file.size) {
      note("damaged", "error", fmt::format("{} has {} bytes, not {}", key, head->size, file.size));
      return Ok{};
    }
    if (!deep_) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(const std::string bytes, store_.get(key));
    if (sha256_hex(bytes) == file.sha256)
      ++out_.digests;
    else
      note("damaged", "error", fmt::format("{}: its SHA-256 is not the one that was taken", key));
    return Ok{};
  }

  Status look_for_blobs(const catalog::Resource& object) {
    QUARRY_ASSIGN_OR_RETURN(const auto blobs, parse_blobs(object.body));
    for (const ObjectBlob& blob : blobs) {
      if (blob.key.empty()) continue;
      auto head = store_.head(blob.key);
      if (head.ok()) continue;
      if (head.error().kind != ErrorKind::kNotFound) return std::move(head).error();
      note("blob_missing", "warning",
           fmt::format("the bytes of object '{}', property '{}', are gone: {}", object.id, blob.property, blob.key));
    }
    return Ok{};
  }

  void note(std::string_view code, std::string_view severity, std::string detail) {
    if (severity == "error") is_broken_ = true;
    if (out_.issues.size() < kMaxSnapshotIssues) out_.issues.push_back({std::string(code), std::string(severity), std::move(detail)});
  }

  objects::ObjectStore& store_;
  const catalog::Resource& snapshot_;
  const std::string folder_;
  const bool deep_;
  const std::function<bool()>& halted_;
  Manifest manifest_;
  SnapshotCheck out_;
  bool is_broken_ = false;
};

bool is_over(catalog::Session& session, const std::string& task_id) {
  auto task = session.get_task_any(task_id);
  return !task.ok() || is_terminal(task->status);
}

}  // namespace

Result<SnapshotCheck> check_snapshot(objects::ObjectStore& store, const catalog::Resource& snapshot, bool deep,
                                     const std::function<bool()>& halted) {
  return Checker(store, snapshot, deep, halted).run();
}

Result<std::vector<SnapshotFile>> list_snapshot_files(objects::ObjectStore& store, const catalog::Resource& snapshot, size_t limit) {
  QUARRY_ASSIGN_OR_RETURN(const Manifest manifest, read_manifest(store, snapshot));
  std::vector<SnapshotFile> out = manifest.catalog_parts;
  out.insert(out.end(), manifest.file_parts.begin(), manifest.file_parts.end());
  const uint64_t count = manifest.files + out.size() + 1;
  if (count > limit) return bad_request(fmt::format("the snapshot has {} files; at most {} are offered for download", count, limit));
  const std::string folder = snapshot_prefix_of(snapshot);
  QUARRY_RETURN_IF_ERROR(for_each_line(store, folder, manifest.file_parts, [&](const json::object& line) -> Status {
    QUARRY_ASSIGN_OR_RETURN(SnapshotFile file, parse_file(line));
    out.push_back(std::move(file));
    return Ok{};
  }));
  QUARRY_ASSIGN_OR_RETURN(const auto head, store.head(fmt::format("{}/{}", folder, kManifestName)));
  out.push_back({std::string(kManifestName), head.size, manifest_digest_of(snapshot)});
  return out;
}

Status remove_snapshot(catalog::Catalog& catalog, objects::ObjectStore& store, const catalog::Scope& scope, std::string_view snapshot_id) {
  std::string root;
  QUARRY_RETURN_IF_ERROR(catalog.write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(catalog::Resource row, session.get(kind::kSnapshot, scope, snapshot_id));
    for (const std::string& task_id : {text_member(row.body, "task_id"), restore_task_of(row)}) {
      if (task_id.empty() || is_over(session, task_id)) continue;
      return Error(ErrorKind::kConflict, fmt::format("task '{}' works on the snapshot: wait for it, or end it", task_id),
                   {{"task_id", task_id}, {"retryable", true}});
    }
    root = snapshot_folder(text_member(row.body, "internal_id"), scope.namespace_id, row.id);
    row.body["status"] = "expired";
    return session.replace(row);
  }));
  QUARRY_RETURN_IF_ERROR(objects::remove_prefix(store, root + "/"));
  return catalog.write([&](catalog::Session& session) { return session.remove(kind::kSnapshot, scope, snapshot_id); });
}

Status forget_unfinished_snapshots(catalog::Session& session, const catalog::Scope& scope, TimestampUs now) {
  std::vector<catalog::Resource> unfinished;
  const catalog::ListQuery snapshots{.kind = std::string(kind::kSnapshot), .scope = scope};
  QUARRY_RETURN_IF_ERROR(for_each_in(session, snapshots, [&](const catalog::Resource& row) -> Status {
    const std::string status = text_member(row.body, "status");
    if (status == "pending" || status == "in_progress") unfinished.push_back(row);
    return Ok{};
  }));
  for (const catalog::Resource& row : unfinished) {
    const std::string root = snapshot_folder(text_member(row.body, "internal_id"), scope.namespace_id, row.id);
    QUARRY_RETURN_IF_ERROR(retire_files(session, scope, {row.id, root, {}}, now));
    QUARRY_RETURN_IF_ERROR(session.remove(kind::kSnapshot, scope, row.id));
  }
  return Ok{};
}

}  // namespace quarry::pipeline
