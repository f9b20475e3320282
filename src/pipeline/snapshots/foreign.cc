#include "pipeline/snapshots/foreign.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/hash.h"
#include "model/collection.h"
#include "model/ids.h"
#include "pipeline/object_body.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

constexpr size_t kMaxIdBytes = 128;

Status check_member(std::string_view name, bool is_right) {
  return is_right ? Status(Ok{}) : Status(corruption(fmt::format("the snapshot's manifest has no '{}' that could be one", name)));
}

// Ascending, so that none is read twice.
Status check_parts(const std::vector<SnapshotFile>& parts, std::string_view list) {
  std::string before = fmt::format("{}/", list);
  for (const SnapshotFile& part : parts) {
    QUARRY_RETURN_IF_ERROR(check_member("path", part.path > before && part.path.starts_with(fmt::format("{}/", list))));
    QUARRY_RETURN_IF_ERROR(check_member("size", part.size <= kMaxForeignPartBytes));
    before = part.path;
  }
  return Ok{};
}

Status check_manifest(const Manifest& m) {
  QUARRY_RETURN_IF_ERROR(check_member("internal_id", is_safe_name(m.internal_id, kMaxIdBytes)));
  QUARRY_RETURN_IF_ERROR(check_member("namespace_id", is_safe_name(m.namespace_id, kMaxIdBytes)));
  QUARRY_RETURN_IF_ERROR(check_member("snapshot_id", is_safe_name(m.snapshot_id, kMaxIdBytes)));
  QUARRY_RETURN_IF_ERROR(check_member("namespace_name", is_safe_name(m.namespace_name)));
  QUARRY_RETURN_IF_ERROR(check_member("created_at", parse_timestamp(m.created_at).ok()));
  QUARRY_RETURN_IF_ERROR(check_member("tables", m.include_vectors || m.tables.empty()));
  QUARRY_RETURN_IF_ERROR(check_parts(m.catalog_parts, "catalog"));
  return check_parts(m.file_parts, "files");
}

Error not_importable(const ImportSource& source, std::string_view why) {
  return bad_request(fmt::format("the snapshot at '{}' of '{}' cannot be imported: {}", source.prefix, source.place, why));
}

Result<ForeignManifest> parse_foreign_manifest(std::string_view text) {
  ForeignManifest out;
  QUARRY_ASSIGN_OR_RETURN(out.manifest, parse_manifest(text));
  QUARRY_RETURN_IF_ERROR(check_manifest(out.manifest));
  out.sha256 = sha256_hex(text);
  return out;
}

// Ids become parts of keys.
bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= kMaxIdBytes && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
}

Error wrong_row(const catalog::Resource& row, std::string_view why) {
  return corruption(fmt::format("the snapshot lists a {} '{}' {}", clip(row.kind, 40), clip(row.id, kMaxIdBytes), why));
}

// The member of its body that repeats a row's id.
std::string_view id_member(std::string_view of) {
  if (of == kind::kBucket) return "bucket_id";
  if (of == kind::kCollection) return "collection_id";
  if (of == kind::kRetriever) return "retriever_id";
  if (of == kind::kObject) return "object_id";
  return of == kind::kLifecycleEvent ? "event_id" : "";
}

json::value* key_of(json::value& blob) {
  json::object* storage = blob.is_object() && blob.get_object().contains("storage") ? blob.get_object().at("storage").if_object() : nullptr;
  json::value* key = storage != nullptr ? storage->if_contains("key") : nullptr;
  return key != nullptr && key->is_string() ? key : nullptr;
}

}  // namespace

Result<objects::ObjectStore*> find_import_place(const ImportPlaces& places, objects::ObjectStore& own_store, std::string_view name) {
  if (name == kOwnStore) return &own_store;
  if (auto found = places.find(name); found != places.end()) return found->second;
  std::string known(kOwnStore);
  for (const auto& [other, store] : places) known += ", " + other;
  return bad_request(
      fmt::format("no snapshots are imported from '{}': the configuration of this server names {}", clip(name, kMaxIdBytes), known));
}

Result<ForeignManifest> read_foreign_manifest(objects::ObjectStore& place, const ImportSource& source) {
  const std::string key = fmt::format("{}/{}", source.prefix, kManifestName);
  auto head = place.head(key);
  if (!head.ok() && head.error().kind == ErrorKind::kNotFound)
    return not_importable(source, fmt::format("there is no {}", kManifestName));
  QUARRY_RETURN_IF_ERROR(head);
  if (head->size > kMaxForeignManifestBytes)
    return not_importable(source, fmt::format("its manifest has {} bytes; at most {} are read", head->size, kMaxForeignManifestBytes));
  QUARRY_ASSIGN_OR_RETURN(const std::string text, place.get_range(key, 0, head->size + 1));
  if (text.size() != head->size) return not_importable(source, "its manifest changed while it was read");
  auto parsed = parse_foreign_manifest(text);
  if (!parsed.ok()) return not_importable(source, parsed.error().message);
  if (!source.manifest_sha256.empty() && parsed->sha256 != source.manifest_sha256)
    return not_importable(source, fmt::format("its manifest has the SHA-256 {}, not {}", parsed->sha256, clip(source.manifest_sha256, 64)));
  return parsed;
}

Result<std::string> read_foreign_file(objects::ObjectStore& place, const std::string& prefix, const SnapshotFile& file) {
  const std::string key = prefix + "/" + file.path;
  auto head = place.head(key);
  if (!head.ok() && head.error().kind == ErrorKind::kNotFound) return corruption(fmt::format("{} is missing", key));
  QUARRY_RETURN_IF_ERROR(head);
  if (head->size != file.size) return corruption(fmt::format("{} has {} bytes, not {}", key, head->size, file.size));
  if (file.size > kMaxForeignFileBytes)
    return corruption(fmt::format("{} has {} bytes; at most {} are imported", key, file.size, kMaxForeignFileBytes));
  QUARRY_ASSIGN_OR_RETURN(std::string bytes, place.get_range(key, 0, file.size + 1));
  if (bytes.size() != file.size) return corruption(fmt::format("{} changed while it was read: it has not {} bytes", key, file.size));
  if (sha256_hex(bytes) != file.sha256) return corruption(fmt::format("{}: its SHA-256 is not the one that the snapshot lists", key));
  return bytes;
}

Result<NewSnapshot> look_at_import(const ImportPlaces& places, objects::ObjectStore& own_store, std::string_view internal_id,
                                   ImportSource source) {
  QUARRY_ASSIGN_OR_RETURN(objects::ObjectStore* const place, find_import_place(places, own_store, source.place));
  if (source.prefix.ends_with('/')) source.prefix.pop_back();
  QUARRY_RETURN_IF_ERROR(objects::validate_key(source.prefix));
  if (!source.prefix.starts_with(fmt::format("{}/", internal_id)))
    return bad_request(fmt::format("the prefix of a snapshot to import begins with '{}/', the folder of this organization", internal_id));
  source.manifest_sha256 = ascii_lower(source.manifest_sha256);
  QUARRY_ASSIGN_OR_RETURN(const ForeignManifest found, read_foreign_manifest(*place, source));
  source.manifest_sha256 = found.sha256;
  const Manifest& manifest = found.manifest;
  NewSnapshot out;
  out.include_vectors = manifest.include_vectors;
  out.copy_blobs = manifest.blobs_copied;
  out.imported_from = {{"bucket", source.place},
                       {"prefix", source.prefix},
                       {"manifest_sha256", source.manifest_sha256},
                       {"snapshot_id", manifest.snapshot_id},
                       {"namespace_id", manifest.namespace_id},
                       {"namespace_name", manifest.namespace_name},
                       {"created_at", manifest.created_at}};
  out.source_internal_id = manifest.internal_id;
  out.import = std::move(source);
  return out;
}

ForeignRows::ForeignRows(const Manifest& from, const Manifest& to) : from_(from), to_(to) {
  for (const SnapshotTable& table : from_.tables) tables_.insert(table.collection_id);
}

Status ForeignRows::adopt(catalog::Resource& row) {
  if (row.kind == kind::kNamespace) return adopt_namespace(row);
  if (std::find(kSnapshotKinds.begin(), kSnapshotKinds.end(), row.kind) == kSnapshotKinds.end())
    return wrong_row(row, "which is none of the kinds that a snapshot holds");
  QUARRY_RETURN_IF_ERROR(check_ids(row));
  if (row.kind == kind::kBucket) buckets_.insert(row.id);
  if (row.kind == kind::kCollection) {
    if (auto parsed = parse_collection(row.body, "", ""); !parsed.ok()) return wrong_row(row, parsed.error().message);
    collections_.insert(row.id);
  }
  return row.kind == kind::kObject ? adopt_keys(row) : Status(Ok{});
}

Status ForeignRows::adopt_namespace(catalog::Resource& row) {
  if (has_namespace_) return wrong_row(row, "beside another namespace");
  has_namespace_ = true;
  row.id = to_.namespace_id;
  row.parent_id.clear();
  row.name = to_.namespace_name;
  row.body["namespace_id"] = to_.namespace_id;
  row.body["namespace_name"] = to_.namespace_name;
  return Ok{};
}

Status ForeignRows::check_ids(const catalog::Resource& row) {
  const bool is_index = row.kind == kObjectIndexKind;
  if (!is_index && !is_id(row.id)) return wrong_row(row, "whose id is none");
  if (const std::string_view repeated = id_member(row.kind); !repeated.empty() && text_member(row.body, repeated) != row.id)
    return wrong_row(row, fmt::format("whose '{}' is another", repeated));
  const bool is_under_bucket = row.kind == kind::kObject || is_index;
  const bool is_placed = is_under_bucket                      ? buckets_.contains(row.parent_id)
                         : row.kind == kind::kLifecycleEvent ? collections_.contains(row.parent_id)
                                                              : row.parent_id.empty();
  if (!is_placed) return wrong_row(row, "under a parent that is not there");
  if (is_index && text_member(row.body, "object_id").empty()) return wrong_row(row, "that leads to no object");
  return Ok{};
}

Status ForeignRows::adopt_keys(catalog::Resource& object) const {
  if (auto blobs = parse_blobs(object.body); !blobs.ok()) return wrong_row(object, blobs.error().message);
  json::value* blobs = object.body.if_contains("blobs");
  if (blobs == nullptr || !blobs->is_array()) return Ok{};
  for (json::value& blob : blobs->get_array()) {
    json::value* key = key_of(blob);
    if (key == nullptr || key->get_string().empty()) continue;
    const std::string path = blob_path(from_, std::string_view(key->get_string()));
    std::string moved = fmt::format("{}/{}/{}", to_.internal_id, to_.namespace_id, path);
    if (path.empty() || !objects::validate_key(moved).ok()) return wrong_row(object, "with bytes that lie outside of its namespace");
    *key = json::string(moved);
  }
  return Ok{};
}

Status ForeignRows::finish() const {
  if (!has_namespace_) return corruption("the snapshot lists no namespace");
  for (const std::string& table : tables_)
    if (!collections_.contains(table))
      return corruption(fmt::format("the snapshot has a table of '{}', which is none of its collections", clip(table, kMaxIdBytes)));
  return Ok{};
}

Status ForeignRows::check_path(std::string_view path) const {
  const size_t first = path.find('/'), second = first == std::string_view::npos ? first : path.find('/', first + 1);
  if (second != std::string_view::npos) {
    const std::string_view top = path.substr(0, first), owner = path.substr(first + 1, second - first - 1);
    if (top == "tables" && tables_.contains(owner)) return Ok{};
    if (top == "blobs" && from_.blobs_copied && buckets_.contains(owner)) return Ok{};
  }
  return corruption(fmt::format("the snapshot lists the file '{}', which belongs to none of its collections and buckets", clip(path, 300)));
}

}  // namespace quarry::pipeline
