// {s3_prefix}/
//   manifest.json            put last
//   catalog/<8 digits>.jsonl a resource a line
//   files/<8 digits>.jsonl   a file of tables/ and blobs/ a line: path, size, sha256
//   tables/{collection_id}/  a Delta table
//   blobs/...                bytes of objects
#include "pipeline/snapshots/layout.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "pipeline/object_body.h"

namespace quarry::pipeline {
namespace {

Error not_a_manifest(std::string_view why) { return corruption(fmt::format("the snapshot's manifest {}", why)); }

uint64_t number_member(const json::object& from, std::string_view name) {
  const json::value* value = from.if_contains(name);
  if (value == nullptr) return 0;
  if (value->is_uint64()) return value->get_uint64();
  return value->is_int64() && value->get_int64() > 0 ? uint64_t(value->get_int64()) : 0;
}

bool flag_member(const json::object& from, std::string_view name) {
  const json::value* value = from.if_contains(name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

const json::object& object_of(const json::object& from, std::string_view name) {
  static const json::object kEmpty;
  const json::value* value = from.if_contains(name);
  return value != nullptr && value->is_object() ? value->get_object() : kEmpty;
}

json::array encode_files(const std::vector<SnapshotFile>& files) {
  json::array out;
  for (const SnapshotFile& file : files) out.push_back(encode_file(file));
  return out;
}

Result<std::vector<SnapshotFile>> parse_files(const json::object& manifest, std::string_view name) {
  const json::value* list = manifest.if_contains(name);
  if (list == nullptr || !list->is_array()) return not_a_manifest(fmt::format("has no list '{}'", name));
  std::vector<SnapshotFile> out;
  for (const json::value& entry : list->get_array()) {
    if (!entry.is_object()) return not_a_manifest(fmt::format("has an entry of '{}' that is no object", name));
    QUARRY_ASSIGN_OR_RETURN(SnapshotFile file, parse_file(entry.get_object()));
    out.push_back(std::move(file));
  }
  return out;
}

Result<std::vector<SnapshotTable>> parse_tables(const json::object& manifest) {
  std::vector<SnapshotTable> out;
  const json::value* list = manifest.if_contains("tables");
  if (list == nullptr || !list->is_array()) return not_a_manifest("has no list 'tables'");
  for (const json::value& entry : list->get_array()) {
    if (!entry.is_object()) return not_a_manifest("has a table that is no object");
    const json::object& table = entry.get_object();
    out.push_back({text_member(table, "collection_id"), int64_t(number_member(table, "version")), number_member(table, "documents")});
    if (!objects::validate_key(out.back().collection_id).ok()) return not_a_manifest("names a table by no id");
  }
  return out;
}

}  // namespace

std::string snapshot_folder(std::string_view internal_id, std::string_view namespace_id, std::string_view snapshot_id) {
  return fmt::format("{}/{}/snapshots/{}", internal_id, namespace_id, snapshot_id);
}

std::string encode_manifest(const Manifest& m) {
  json::object resources;
  for (const auto& [kind, count] : m.resources) resources[kind] = count;
  json::array tables;
  for (const SnapshotTable& table : m.tables)
    tables.push_back(json::object{{"collection_id", table.collection_id}, {"version", table.version}, {"documents", table.documents}});
  json::object out{{"format", kSnapshotFormat},
                   {"snapshot_id", m.snapshot_id},
                   {"namespace_id", m.namespace_id},
                   {"namespace_name", m.namespace_name},
                   {"internal_id", m.internal_id},
                   {"created_at", m.created_at},
                   {"include_vectors", m.include_vectors},
                   {"blobs_copied", m.blobs_copied}};
  out["resources"] = std::move(resources);
  out["tables"] = std::move(tables);
  out["blobs"] = json::object{{"count", m.blobs}, {"bytes", m.blob_bytes}};
  out["files"] = json::object{{"count", m.files}, {"bytes", m.bytes}};
  out["catalog_parts"] = encode_files(m.catalog_parts);
  out["file_parts"] = encode_files(m.file_parts);
  return json::serialize(out) + "\n";
}

Result<Manifest> parse_manifest(std::string_view text) {
  boost::system::error_code ec;
  const json::value value = json::parse(text, ec);
  if (ec || !value.is_object()) return not_a_manifest("is no JSON object");
  const json::object& from = value.get_object();
  const uint64_t format = number_member(from, "format");
  if (format == 0) return not_a_manifest("names no format");
  if (format > uint64_t(kSnapshotFormat))
    return Error{ErrorKind::kNotImplemented,
                 fmt::format("the snapshot has format {}; this program knows up to {}", format, kSnapshotFormat)};
  Manifest out;
  out.snapshot_id = text_member(from, "snapshot_id");
  out.namespace_id = text_member(from, "namespace_id");
  out.namespace_name = text_member(from, "namespace_name");
  out.internal_id = text_member(from, "internal_id");
  out.created_at = text_member(from, "created_at");
  out.include_vectors = flag_member(from, "include_vectors");
  out.blobs_copied = flag_member(from, "blobs_copied");
  const json::object& resources = object_of(from, "resources");
  for (const auto& member : resources) out.resources[std::string(member.key())] = number_member(resources, member.key());
  QUARRY_ASSIGN_OR_RETURN(out.tables, parse_tables(from));
  out.blobs = number_member(object_of(from, "blobs"), "count");
  out.blob_bytes = number_member(object_of(from, "blobs"), "bytes");
  out.files = number_member(object_of(from, "files"), "count");
  out.bytes = number_member(object_of(from, "files"), "bytes");
  QUARRY_ASSIGN_OR_RETURN(out.catalog_parts, parse_files(from, "catalog_parts"));
  QUARRY_ASSIGN_OR_RETURN(out.file_parts, parse_files(from, "file_parts"));
  return out;
}

Status count_resource(const catalog::Resource& resource, Manifest& manifest) {
  ++manifest.resources[resource.kind];
  if (resource.kind != catalog::kind::kObject) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(const auto blobs, parse_blobs(resource.body));
  for (const ObjectBlob& blob : blobs) {
    if (blob.key.empty()) continue;
    ++manifest.blobs;
    manifest.blob_bytes += blob.size_bytes.value_or(0);
  }
  return Ok{};
}

json::object encode_file(const SnapshotFile& file) { return {{"path", file.path}, {"size", file.size}, {"sha256", file.sha256}}; }

Result<SnapshotFile> parse_file(const json::object& line) {
  SnapshotFile out{text_member(line, "path"), number_member(line, "size"), text_member(line, "sha256")};
  if (!objects::validate_key(out.path).ok() || out.sha256.size() != 64)
    return corruption("the snapshot lists a file without path or digest");
  return out;
}

json::object encode_resource(const catalog::Resource& r) {
  json::object line{{"kind", r.kind},
                    {"id", r.id},
                    {"parent_id", r.parent_id},
                    {"name", r.name},
                    {"created_at", r.created_at},
                    {"updated_at", r.updated_at}};
  line["body"] = r.body;
  return line;
}

Result<catalog::Resource> parse_resource(const json::object& line) {
  catalog::Resource out;
  out.kind = text_member(line, "kind");
  out.id = text_member(line, "id");
  out.parent_id = text_member(line, "parent_id");
  out.name = text_member(line, "name");
  out.created_at = TimestampUs(number_member(line, "created_at"));
  out.updated_at = TimestampUs(number_member(line, "updated_at"));
  out.body = object_of(line, "body");
  if (out.kind.empty() || out.id.empty()) return corruption("the snapshot lists a resource without kind or id");
  return out;
}

Status ListWriter::add(const json::object& line) {
  const std::string text = json::serialize(line);
  if (!text_.empty() && text_.size() + text.size() > kPartBytes) QUARRY_RETURN_IF_ERROR(flush());
  text_ += text;
  text_ += '\n';
  return Ok{};
}

Status ListWriter::flush() {
  SnapshotFile part{fmt::format("{}/{:08}.jsonl", list_, parts_.size() + 1), text_.size(), sha256_hex(text_)};
  QUARRY_RETURN_IF_ERROR(store_.put(folder_ + "/" + part.path, text_));
  parts_.push_back(std::move(part));
  text_.clear();
  return Ok{};
}

Result<std::vector<SnapshotFile>> ListWriter::finish() {
  if (!text_.empty()) QUARRY_RETURN_IF_ERROR(flush());
  return std::move(parts_);
}

Status for_each_line_of(const std::string& key, std::string_view text, const VisitLine& visit) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    boost::system::error_code ec;
    const json::value line = json::parse(text.substr(at, end - at), ec);
    if (ec || !line.is_object()) return corruption(fmt::format("{} at offset {}: no JSON object", key, at));
    QUARRY_RETURN_IF_ERROR(visit(line.get_object()));
    at = end + 1;
  }
  return Ok{};
}

Status for_each_line(objects::ObjectStore& store, const std::string& folder, const std::vector<SnapshotFile>& parts,
                     const VisitLine& visit) {
  for (const SnapshotFile& part : parts) {
    const std::string key = folder + "/" + part.path;
    auto text = store.get(key);
    if (!text.ok() && text.error().kind == ErrorKind::kNotFound) return corruption(fmt::format("{} is missing", key));
    if (!text.ok()) return std::move(text).error();
    if (sha256_hex(*text) != part.sha256) return corruption(fmt::format("{}: its SHA-256 is not the one in the manifest", key));
    QUARRY_RETURN_IF_ERROR(for_each_line_of(key, *text, visit));
  }
  return Ok{};
}

std::string snapshot_prefix_of(const catalog::Resource& snapshot) { return text_member(snapshot.body, "s3_prefix"); }

std::string manifest_digest_of(const catalog::Resource& snapshot) {
  return text_member(object_of(snapshot.body, kInternalMember), "manifest_sha256");
}

std::string restore_task_of(const catalog::Resource& snapshot) {
  return text_member(object_of(snapshot.body, kInternalMember), "restore_task_id");
}

json::object& internal_of(json::object& body) {
  json::value& internal = body[kInternalMember];
  if (!internal.is_object()) internal = json::object{};
  return internal.get_object();
}

Result<Manifest> read_manifest(objects::ObjectStore& store, const catalog::Resource& snapshot) {
  const std::string key = fmt::format("{}/{}", snapshot_prefix_of(snapshot), kManifestName);
  auto text = store.get(key);
  if (!text.ok() && text.error().kind == ErrorKind::kNotFound) return corruption(fmt::format("{} is missing", key));
  if (!text.ok()) return std::move(text).error();
  if (sha256_hex(*text) != manifest_digest_of(snapshot))
    return corruption(fmt::format("{}: its SHA-256 is not the one in the catalog", key));
  auto manifest = parse_manifest(*text);
  if (!manifest.ok()) return std::move(manifest).error().with_context(key);
  return manifest;
}

std::string blob_path(const Manifest& manifest, std::string_view key) {
  const std::string prefix = fmt::format("{}/{}/", manifest.internal_id, manifest.namespace_id);
  return key.starts_with(prefix + "blobs/") ? std::string(key.substr(prefix.size())) : std::string();
}

}  // namespace quarry::pipeline
