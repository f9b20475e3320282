#include "pipeline/object_reader.h"

#include <fmt/format.h>

#include <array>

#include "base/hash.h"
#include "pipeline/pipeline.h"

namespace quarry::pipeline {
namespace {

constexpr uint64_t kUnknownBlobBytes = 32ull << 20;
constexpr std::array<std::string_view, 4> kCarriedFields{"source", "content_type", "metadata", "source_blobs"};

bool is_text(FieldType type) { return type == FieldType::kText || type == FieldType::kString; }

// A property that several blobs share becomes an array.
void add_field(json::object& fields, const std::string& name, json::value value) {
  json::value* present = fields.if_contains(name);
  if (!present) {
    fields[name] = std::move(value);
  } else if (present->is_array()) {
    present->get_array().push_back(std::move(value));
  } else {
    json::array both{std::move(*present), std::move(value)};
    *present = std::move(both);
  }
}

void copy_user_fields(const json::object& body, json::object& fields) {
  for (const auto& [name, value] : body)
    if (!is_object_member(name)) fields[name] = value;
}

json::object describe_blob(const ObjectBlob& blob) {
  json::object out{{"property", blob.property}, {"type", to_string(blob.type)}};
  if (!blob.key.empty()) out["key"] = blob.key;
  if (!blob.url.empty()) out["url"] = blob.url;
  if (!blob.mime_type.empty()) out["content_type"] = blob.mime_type;
  if (!blob.filename.empty()) out["filename"] = blob.filename;
  if (blob.size_bytes) out["size_bytes"] = *blob.size_bytes;
  return out;
}

// The blob a document is said to come from: the first with bytes, or else the first text.
const ObjectBlob* primary_blob(const std::vector<ObjectBlob>& blobs, const BlobDemand& demand) {
  const ObjectBlob* best = nullptr;
  int best_rank = 0;
  for (const ObjectBlob& blob : blobs) {
    int rank = (demand.wants(blob) ? 4 : 0) + (!blob.has_value ? 2 : 0) + (is_text(blob.type) ? 1 : 0);
    if (rank > best_rank) best = &blob, best_rank = rank;
  }
  return best;
}

void describe_source(const json::object& body, const std::vector<ObjectBlob>& blobs, const BlobDemand& demand, json::object& out) {
  json::object source;
  if (const ObjectBlob* primary = primary_blob(blobs, demand)) {
    if (!primary->url.empty()) source["url"] = primary->url;
    if (!primary->filename.empty()) source["filename"] = primary->filename;
    source["property"] = primary->property;
    if (!primary->mime_type.empty()) out["content_type"] = primary->mime_type;
  }
  if (const json::value* id = body.if_contains("object_id")) source["object_id"] = *id;
  if (const json::value* id = body.if_contains("bucket_id")) source["bucket_id"] = *id;
  out["source"] = std::move(source);
  const json::value* metadata = body.if_contains("metadata");
  out["metadata"] = metadata && metadata->is_object() ? *metadata : json::value(json::object{});
  json::array described;
  for (const ObjectBlob& blob : blobs)
    if (!blob.has_value) described.push_back(describe_blob(blob));
  if (!described.empty()) out["source_blobs"] = std::move(described);
}

extract::Blob make_blob(const ObjectBlob& blob, std::string data) {
  return {blob.property, blob.type, blob.mime_type, blob.filename, blob.url, std::move(data)};
}

}  // namespace

uint64_t expected_bytes(const std::vector<ObjectBlob>& blobs, const BlobDemand& demand) {
  uint64_t total = 0;
  for (const ObjectBlob& blob : blobs)
    if (!blob.has_value && demand.wants(blob)) total += blob.size_bytes.value_or(kUnknownBlobBytes);
  return total;
}

Result<ReadObject> ObjectReader::read(const json::object& object_body, const Place& place, const BlobDemand& demand) const {
  QUARRY_ASSIGN_OR_RETURN(std::vector<ObjectBlob> blobs, parse_blobs(object_body));
  ReadObject out;
  out.item.source_id = object_body.at("object_id").as_string();
  copy_user_fields(object_body, out.item.fields);
  for (ObjectBlob& blob : blobs) {
    if (blob.has_value) {
      if (is_text(blob.type) && blob.value.is_string()) {
        if (blob.mime_type.empty()) blob.mime_type = "text/plain";
        out.item.blobs.push_back(make_blob(blob, std::string(blob.value.get_string())));
      }
      add_field(out.item.fields, blob.property, blob.value);
      continue;
    }
    if (!demand.wants(blob)) continue;
    QUARRY_ASSIGN_OR_RETURN(std::string bytes, fetch_bytes(blob, object_body, place, out));
    out.item.blobs.push_back(make_blob(blob, std::move(bytes)));
  }
  describe_source(object_body, blobs, demand, out.document_fields);
  return out;
}

Result<std::string> ObjectReader::fetch_bytes(ObjectBlob& blob, const json::object& object_body, const Place& place,
                                              ReadObject& out) const {
  std::string bytes;
  bool from_url = blob.key.empty();
  if (from_url) {
    if (!fetcher_) return Error{ErrorKind::kUnavailable, fmt::format("blob '{}': this server reads no URLs", blob.property)};
    auto fetched = with_retries(retries_, control_, [&] { return fetcher_->get(blob.url); });
    if (!fetched.ok()) return std::move(fetched).error().with_context(fmt::format("blob '{}'", blob.property));
    bytes = std::move(fetched->bytes);
    if (blob.filename.empty()) blob.filename = fetched->filename;
  } else {
    auto stored = with_retries(retries_, control_, [&] { return store_.get(blob.key); });
    if (!stored.ok()) return std::move(stored).error().with_context(fmt::format("blob '{}'", blob.property));
    bytes = std::move(stored).value();
  }
  std::string detected = extract::detect_mime_type(bytes, blob.filename);
  QUARRY_RETURN_IF_ERROR(check_blob_content(blob.property, blob.type, bytes, detected));
  if (blob.mime_type.empty() || from_url) blob.mime_type = detected;
  blob.size_bytes = bytes.size();
  if (from_url && blob.mirror) {
    QUARRY_RETURN_IF_ERROR(mirror(blob, bytes, std::string(object_body.at("object_id").as_string()), place, out));
    blob.key = out.mirrored.back().key;
  }
  return bytes;
}

Status ObjectReader::mirror(const ObjectBlob& blob, const std::string& bytes, const std::string& object_id, const Place& place,
                            ReadObject& out) const {
  std::string key = blob_key(place.internal_id, place.namespace_id, place.bucket_id, object_id, blob.blob_id);
  auto put = with_retries(retries_, control_, [&] { return store_.put(key, bytes); });
  if (!put.ok()) return std::move(put).error().with_context(fmt::format("keeping blob '{}'", blob.property));
  out.mirrored.push_back({blob.blob_id, std::move(key), blob.mime_type, blob.filename, sha256_hex(bytes), bytes.size()});
  return Ok{};
}

ReadObject read_document(const Document& document) {
  ReadObject out;
  out.item.source_id = document.document_id;
  out.item.fields = document.payload;
  out.item.vectors = document.vectors;
  for (std::string_view name : kCarriedFields)
    if (const json::value* value = document.payload.if_contains(name)) out.document_fields[name] = *value;
  return out;
}

}  // namespace quarry::pipeline
