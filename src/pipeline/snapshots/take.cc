// Taking a snapshot. Order: the catalog's rows in one read transaction, then table by table its newest version, then the bytes of objects,
// then the lists, then the manifest, then the row.
#include <fmt/format.h>

#include "base/hash.h"
#include "model/collection.h"
#include "mvs/table_copy.h"
#include "pipeline/object_body.h"
#include "pipeline/resource_walk.h"
#include "pipeline/snapshots/draft.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

class SnapshotTake {
 public:
  explicit SnapshotTake(SnapshotJob& job) : job_(job), store_(*job.options().store), draft_(job), folder_(draft_.folder()) {
    manifest_.snapshot_id = job.input("snapshot_id");
    manifest_.namespace_id = job.input("namespace_id");
    manifest_.namespace_name = job.input("namespace_name");
    manifest_.internal_id = job.input("internal_id");
    manifest_.include_vectors = job.flag("include_vectors");
    manifest_.blobs_copied = job.flag("copy_blobs");
  }

  Status run() {
    return draft_.run([this] { return take(); });
  }

 private:
  Status take() {
    manifest_.resources.clear();
    manifest_.tables.clear();
    manifest_.blobs = manifest_.blob_bytes = manifest_.files = manifest_.bytes = 0;
    collections_.clear();
    manifest_.created_at = format_timestamp(job_.now());
    QUARRY_RETURN_IF_ERROR(draft_.begin());
    QUARRY_RETURN_IF_ERROR(copy_catalog());
    ListWriter files(store_, folder_, "files");
    if (manifest_.include_vectors) QUARRY_RETURN_IF_ERROR(copy_tables(files));
    if (manifest_.blobs_copied) QUARRY_RETURN_IF_ERROR(copy_blobs(files));
    QUARRY_ASSIGN_OR_RETURN(manifest_.file_parts, files.finish());
    return draft_.finish(manifest_);
  }

  Status copy_catalog() {
    job_.set_phase("catalog");
    ListWriter lines(store_, folder_, "catalog");
    QUARRY_RETURN_IF_ERROR(job_.options().catalog->read([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(const auto ns, session.get(kind::kNamespace, {job_.scope().organization_id, ""}, manifest_.namespace_id));
      QUARRY_RETURN_IF_ERROR(add(ns, lines));
      for (const std::string_view of : kSnapshotKinds) {
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
    if (resource.kind == kind::kCollection) {
      QUARRY_ASSIGN_OR_RETURN(Collection parsed, parse_collection(resource.body, resource.organization_id, resource.namespace_id));
      if (parsed.lifecycle != LifecycleState::kArchived) collections_.push_back(std::move(parsed));
    }
    QUARRY_RETURN_IF_ERROR(count_resource(resource, manifest_));
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

  SnapshotJob& job_;
  objects::ObjectStore& store_;
  SnapshotDraft draft_;
  const std::string& folder_;
  Manifest manifest_;
  std::vector<Collection> collections_;
};

}  // namespace

Status run_snapshot_task(const Options& options, TaskControl& control, Task task) {
  SnapshotJob job(options, control, std::move(task));
  return SnapshotTake(job).run();
}

}  // namespace quarry::pipeline
