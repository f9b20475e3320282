// Taking a snapshot. Order: the catalog's rows in one read transaction, then table by table its newest version, then the bytes of objects,
// then the lists, then the manifest, then the row. An attempt writes into a folder of its own, so that a worker that lost its lease
// cannot touch what the next one writes.
#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/log.h"
#include "model/collection.h"
#include "model/ids.h"
#include "mvs/table_copy.h"
#include "pipeline/new_row.h"
#include "pipeline/object_body.h"
#include "pipeline/resource_walk.h"
#include "pipeline/snapshots/job.h"
#include "pipeline/snapshots/layout.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

// In the order in which a restore writes them; a kind's rows follow their parents'. Uploads, batches and executions are work, not content.
constexpr std::string_view kKinds[] = {kind::kBucket,    kind::kCollection, kind::kLifecycleEvent,
                                       kind::kRetriever, kind::kObject,     kObjectIndexKind};

Status set_status(catalog::Session& session, const catalog::Scope& scope, const std::string& snapshot_id,
                  const std::function<void(json::object&)>& change, TimestampUs now) {
  QUARRY_ASSIGN_OR_RETURN(catalog::Resource row, session.get(kind::kSnapshot, scope, snapshot_id));
  change(row.body);
  row.updated_at = now;
  return session.replace(row);
}

class SnapshotTake {
 public:
  explicit SnapshotTake(SnapshotJob& job) : job_(job), store_(*job.options().store) {
    manifest_.snapshot_id = job.input("snapshot_id");
    manifest_.namespace_id = job.input("namespace_id");
    manifest_.namespace_name = job.input("namespace_name");
    manifest_.internal_id = job.input("internal_id");
    manifest_.include_vectors = job.flag("include_vectors");
    manifest_.blobs_copied = job.flag("copy_blobs");
    root_ = snapshot_folder(manifest_.internal_id, manifest_.namespace_id, manifest_.snapshot_id);
    folder_ = fmt::format("{}/{}", root_, job.task().attempts);
  }

  Status run() {
    return job_.run({.work = [this] { return take(); },
                     .settle = [this](catalog::Session& session, TaskStatus status,
                                      const std::string& error) { return settle(session, status, error); },
                     .undo = [this] { forget(); }});
  }

 private:
  Status take() {
    QUARRY_RETURN_IF_ERROR(begin());
    QUARRY_RETURN_IF_ERROR(copy_catalog());
    ListWriter files(store_, folder_, "files");
    if (manifest_.include_vectors) QUARRY_RETURN_IF_ERROR(copy_tables(files));
    if (manifest_.blobs_copied) QUARRY_RETURN_IF_ERROR(copy_blobs(files));
    QUARRY_ASSIGN_OR_RETURN(manifest_.file_parts, files.finish());
    const std::string text = encode_manifest(manifest_);
    QUARRY_RETURN_IF_ERROR(store_.put(folder_ + "/manifest.json", text));
    QUARRY_RETURN_IF_ERROR(job_.check());
    return job_.options().catalog->write([&](catalog::Session& session) -> Status {
      QUARRY_RETURN_IF_ERROR(job_.complete(session));
      return set_status(
          session, job_.scope(), manifest_.snapshot_id, [&](json::object& body) { describe(body, sha256_hex(text)); }, job_.now());
    });
  }

  // What earlier attempts left goes. A try after a failure of the store begins anew, too.
  Status begin() {
    manifest_.resources.clear();
    manifest_.tables.clear();
    manifest_.blobs = manifest_.blob_bytes = manifest_.files = manifest_.bytes = 0;
    collections_.clear();
    manifest_.created_at = format_timestamp(job_.now());
    QUARRY_RETURN_IF_ERROR(objects::remove_prefix(store_, root_ + "/"));
    return job_.options().catalog->write([&](catalog::Session& session) {
      return set_status(
          session, job_.scope(), manifest_.snapshot_id,
          [&](json::object& body) {
            body["status"] = "in_progress";
            body["dispatch_at"] = manifest_.created_at;
          },
          job_.now());
    });
  }

  Status copy_catalog() {
    job_.set_phase("catalog");
    ListWriter lines(store_, folder_, "catalog");
    QUARRY_RETURN_IF_ERROR(job_.options().catalog->read([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(const auto ns, session.get(kind::kNamespace, {job_.scope().organization_id, ""}, manifest_.namespace_id));
      QUARRY_RETURN_IF_ERROR(add(ns, lines));
      for (const std::string_view of : kKinds) {
        catalog::ListQuery query;
        query.kind = of;
        query.scope = job_.scope();
        QUARRY_RETURN_IF_ERROR(for_each_in(session, query, [&](const catalog::Resource& r) { return add(r, lines); }));
      }
      return Ok{};
    }));
    QUARRY_ASSIGN_OR_RETURN(manifest_.catalog_parts, lines.finish());
    return Ok{};
  }

  Status add(const catalog::Resource& resource, ListWriter& lines) {
    QUARRY_RETURN_IF_ERROR(job_.check());
    if (resource.kind == kObjectIndexKind && !resource.body.contains("object_id")) return Ok{};  // finds an upload
    ++manifest_.resources[resource.kind];
    if (resource.kind == kind::kCollection) {
      QUARRY_ASSIGN_OR_RETURN(Collection parsed, parse_collection(resource.body, resource.organization_id, resource.namespace_id));
      if (parsed.lifecycle != LifecycleState::kArchived) collections_.push_back(std::move(parsed));
    } else if (resource.kind == kind::kObject) {
      QUARRY_ASSIGN_OR_RETURN(const auto blobs, parse_blobs(resource.body));
      for (const ObjectBlob& blob : blobs) {
        if (blob.key.empty()) continue;
        ++manifest_.blobs;
        manifest_.blob_bytes += blob.size_bytes.value_or(0);
      }
    }
    return lines.add(encode_resource(resource));
  }

  Status copy_tables(ListWriter& files) {
    job_.set_phase("tables");
    for (const Collection& collection : collections_) {
      const std::string name = "tables/" + collection.collection_id;
      auto copied =
          mvs::copy_table(store_, table_prefix(manifest_.internal_id, collection.namespace_id, collection.table_id()), folder_ + "/" + name,
                          {.table_id = collection.collection_id,
                           .rename = {},
                           .progress = [this](uint64_t bytes) { return job_.count_file(bytes); },
                           .clock = job_.options().clock});
      if (!copied.ok()) {
        QUARRY_ASSIGN_OR_RETURN(const bool same, is_as_listed(collection));
        if (!same) return Error{ErrorKind::kUnavailable, fmt::format("collection '{}' went away meanwhile", collection.name)};
        if (copied.error().kind == ErrorKind::kNotFound) continue;  // nothing was ever written to it
        return std::move(copied).error().with_context(fmt::format("collection '{}'", collection.name));
      }
      manifest_.tables.push_back({collection.collection_id, copied->version, copied->documents});
      for (const mvs::CopiedFile& file : copied->files)
        QUARRY_RETURN_IF_ERROR(list({name + "/" + file.path, file.size, file.sha256}, files));
    }
    return Ok{};
  }

  // Whether the collection still has the table that the catalog named when it was listed.
  Result<bool> is_as_listed(const Collection& listed) {
    auto row = job_.options().catalog->get(kind::kCollection, job_.scope(), listed.collection_id);
    if (!row.ok()) return row.error().kind == ErrorKind::kNotFound ? Result<bool>(false) : Result<bool>(std::move(row).error());
    QUARRY_ASSIGN_OR_RETURN(const Collection now, parse_collection(row->body, listed.organization_id, listed.namespace_id));
    return now.lifecycle != LifecycleState::kArchived && now.table_id() == listed.table_id();
  }

  Status list(SnapshotFile file, ListWriter& files) {
    ++manifest_.files;
    manifest_.bytes += file.size;
    return files.add(encode_file(file));
  }

  // An object that was deleted since it was listed has no bytes any more; a check says so.
  Status copy_blobs(ListWriter& files) {
    job_.set_phase("objects");
    return for_each_line(store_, folder_, manifest_.catalog_parts, [&](const json::object& line) -> Status {
      QUARRY_ASSIGN_OR_RETURN(const catalog::Resource resource, parse_resource(line));
      if (resource.kind != kind::kObject) return Ok{};
      QUARRY_ASSIGN_OR_RETURN(const auto blobs, parse_blobs(resource.body));
      for (const ObjectBlob& blob : blobs) {
        const std::string path = blob.key.empty() ? std::string() : blob_path(manifest_, blob.key);
        if (path.empty()) continue;
        auto bytes = store_.get(blob.key);
        if (!bytes.ok() && bytes.error().kind == ErrorKind::kNotFound) continue;
        QUARRY_RETURN_IF_ERROR(bytes);
        QUARRY_RETURN_IF_ERROR(store_.put(folder_ + "/" + path, *bytes));
        QUARRY_RETURN_IF_ERROR(list({path, bytes->size(), sha256_hex(*bytes)}, files));
        QUARRY_RETURN_IF_ERROR(job_.count_file(bytes->size()));
      }
      return Ok{};
    });
  }

  // The contract's view of it.
  void describe(json::object& body, std::string manifest_sha256) const {
    json::object counts, versions;
    for (const auto& [of, count] : manifest_.resources) counts[of] = count;
    uint64_t documents = 0;
    for (const SnapshotTable& table : manifest_.tables) {
      documents += table.documents;
      versions[table.collection_id] = json::object{{"durable_confirmed_seq", table.version}, {"frontier_seq", table.version}};
    }
    json::object frontier{{"consistency", "bracketed"}};
    frontier["vectors"] = json::object{{"capture_mode", "delta_version"}, {"shards_start", std::move(versions)}};
    frontier["objects"] = json::object{{"objects_listed", manifest_.blobs}};
    json::object shown{{"snapshot_id", manifest_.snapshot_id},
                       {"namespace_id", manifest_.namespace_id},
                       {"namespace_name", manifest_.namespace_name},
                       {"schema_version", kSnapshotFormat},
                       {"created_at", manifest_.created_at},
                       {"snapshot_type", "manual"},
                       {"vector_point_count", documents},
                       {"s3_object_count", manifest_.blobs},
                       {"s3_total_bytes", manifest_.bytes},
                       {"s3_objects_copied", manifest_.blobs_copied},
                       {"include_vectors", manifest_.include_vectors}};
    shown["mongo_collections"] = std::move(counts);
    shown["frontier"] = std::move(frontier);
    body["manifest"] = std::move(shown);
    body["status"] = "completed";
    body["completed_at"] = format_timestamp(job_.now());
    body["s3_prefix"] = folder_;
    body[kInternalMember] = json::object{{"manifest_sha256", std::move(manifest_sha256)}};
  }

  Status settle(catalog::Session& session, TaskStatus status, const std::string& error) const {
    Status noted = set_status(
        session, job_.scope(), manifest_.snapshot_id,
        [&](json::object& body) {
          body["status"] = "failed";
          body["error"] = status == TaskStatus::kCanceled ? "the task was cancelled" : error;
          body["completed_at"] = format_timestamp(job_.now());
        },
        job_.now());
    return !noted.ok() && noted.error().kind == ErrorKind::kNotFound ? Status(Ok{}) : noted;
  }

  void forget() const {
    if (Status removed = objects::remove_prefix(store_, root_ + "/"); !removed.ok())
      log_warn("files of a snapshot that failed are left", {{"prefix", root_}, {"reason", removed.error().message}});
  }

  SnapshotJob& job_;
  objects::ObjectStore& store_;
  Manifest manifest_;
  std::string root_, folder_;
  std::vector<Collection> collections_;
};

}  // namespace

Result<catalog::Resource> begin_snapshot(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id,
                                         const NewSnapshot& wanted, TimestampUs now) {
  catalog::ListQuery others;
  others.kind = kind::kSnapshot;
  others.scope = scope;
  QUARRY_ASSIGN_OR_RETURN(const uint64_t count, session.count(others));
  if (count >= kMaxSnapshots) return bad_request(fmt::format("the namespace has {} snapshots, the most there can be: delete one", count));
  Task task = new_task(kSnapshotTaskType, new_id("task"), scope, now);
  catalog::Resource row = new_row(kind::kSnapshot, new_id("snap"), scope, now);
  row.body = {{"snapshot_id", row.id},
              {"namespace_id", wanted.namespace_id},
              {"namespace_name", wanted.namespace_name},
              {"internal_id", internal_id},
              {"snapshot_type", "manual"},
              {"status", "pending"},
              {"schema_version", kSnapshotFormat},
              {"s3_prefix", ""},
              {"s3_objects_copied", wanted.copy_blobs},
              {"include_vectors", wanted.include_vectors},
              {"task_id", task.task_id}};
  task.inputs = {{"snapshot_id", row.id},      {"namespace_id", wanted.namespace_id},       {"namespace_name", wanted.namespace_name},
                 {"internal_id", internal_id}, {"include_vectors", wanted.include_vectors}, {"copy_blobs", wanted.copy_blobs}};
  task.additional_data = {{"operation", "snapshot"}, {"snapshot_id", row.id}};
  QUARRY_RETURN_IF_ERROR(session.insert(row));
  QUARRY_RETURN_IF_ERROR(session.enqueue(task));
  return row;
}

Status run_snapshot_task(const Options& options, TaskControl& control, Task task) {
  SnapshotJob job(options, control, std::move(task));
  return SnapshotTake(job).run();
}

}  // namespace quarry::pipeline
