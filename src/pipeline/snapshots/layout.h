// The files of a snapshot: names, manifest, and lists of lines. docs/formats/snapshot.md.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "objects/object_store.h"
#include "pipeline/pipeline.h"
#include "pipeline/snapshots.h"

namespace quarry::pipeline {

inline constexpr int64_t kSnapshotFormat = 1;
inline constexpr std::string_view kManifestName = "manifest.json";
inline constexpr size_t kPartBytes = 8 << 20;  // a list's part is put once it is so long; a longer line is a part of its own

// What catalog/ holds beside the namespace's own row, in the order in which a restore writes it; a kind's rows follow their parents'.
// Uploads, batches and executions are work, not content.
inline constexpr std::array<std::string_view, 6> kSnapshotKinds{catalog::kind::kBucket,         catalog::kind::kCollection,
                                                                catalog::kind::kLifecycleEvent, catalog::kind::kRetriever,
                                                                catalog::kind::kObject,         kObjectIndexKind};

// "{internal_id}/{namespace_id}/snapshots/{snapshot_id}": every attempt at taking it has a folder below that.
std::string snapshot_folder(std::string_view internal_id, std::string_view namespace_id, std::string_view snapshot_id);

struct SnapshotTable {
  std::string collection_id;
  int64_t version = 0;     // of the collection's table
  uint64_t documents = 0;  // live rows

  bool operator==(const SnapshotTable&) const = default;
};

struct Manifest {
  std::string snapshot_id, namespace_id, namespace_name, created_at;
  std::string internal_id;  // whose keys the catalog's lines name
  bool include_vectors = true, blobs_copied = false;
  std::map<std::string, uint64_t> resources;  // how many of each kind
  std::vector<SnapshotTable> tables;
  uint64_t blobs = 0, blob_bytes = 0;  // of objects: copied, or referred to
  uint64_t files = 0, bytes = 0;       // that the files/ list names
  std::vector<SnapshotFile> catalog_parts, file_parts;
};

std::string encode_manifest(const Manifest& manifest);
// kCorruption naming what is wrong; kNotImplemented for a newer format.
Result<Manifest> parse_manifest(std::string_view text);

// One more resource: its kind, and the bytes of an object. kInternal if the object's blobs can't be read.
Status count_resource(const catalog::Resource& resource, Manifest& manifest);

// A resource as a line of catalog/, and back.
json::object encode_resource(const catalog::Resource& resource);
Result<catalog::Resource> parse_resource(const json::object& line);

// Writes lines into "{folder}/{list}/00000001.jsonl", ...
class ListWriter {
 public:
  ListWriter(objects::ObjectStore& store, std::string folder, std::string list)
      : store_(store), folder_(std::move(folder)), list_(std::move(list)) {}

  Status add(const json::object& line);
  // Puts what is left; the parts in order.
  Result<std::vector<SnapshotFile>> finish();

 private:
  Status flush();

  objects::ObjectStore& store_;
  const std::string folder_, list_;
  std::string text_;
  std::vector<SnapshotFile> parts_;
};

using VisitLine = std::function<Status(const json::object&)>;
// Calls `visit` with every line of a part's text; `key` names it in errors. kCorruption for a line that is no JSON object.
Status for_each_line_of(const std::string& key, std::string_view text, const VisitLine& visit);
// Calls `visit` with every line of the parts. kCorruption naming the key if a part is missing, or not what the manifest says.
Status for_each_line(objects::ObjectStore& store, const std::string& folder, const std::vector<SnapshotFile>& parts,
                     const VisitLine& visit);

// The manifest of a completed snapshot, checked against its row. `folder` is the row's s3_prefix.
Result<Manifest> read_manifest(objects::ObjectStore& store, const catalog::Resource& snapshot);
std::string snapshot_prefix_of(const catalog::Resource& snapshot);
std::string manifest_digest_of(const catalog::Resource& snapshot);  // SHA-256 as its row has it; empty until it is completed
// The newest restore of it; empty: there was none.
std::string restore_task_of(const catalog::Resource& snapshot);
// What its row keeps for this server alone; made if it is not there.
json::object& internal_of(json::object& body);

// A file's line of files/, and back.
json::object encode_file(const SnapshotFile& file);
Result<SnapshotFile> parse_file(const json::object& line);

// Where the copy of a blob lies within the snapshot: "blobs/" and what follows "{internal_id}/{namespace_id}/blobs/" in its key. Empty: the
// key is another namespace's.
std::string blob_path(const Manifest& manifest, std::string_view key);

}  // namespace quarry::pipeline
