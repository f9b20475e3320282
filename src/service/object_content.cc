#include "service/object_content.h"

#include <fmt/format.h>

#include <set>

#include "base/hash.h"
#include "service/blob_data.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

constexpr size_t kMaxBlobs = 1'000;
constexpr std::string_view kRequestMembers[] = {"key_prefix",     "blobs", "skip_duplicates", "canonicalize_source",
                                                "force_remirror", "edges", "idempotency_key"};

// Members in the order of their names, so that equal objects have equal text.
void write_canonical(const json::value& value, std::string& out) {
  if (const json::object* object = value.if_object()) {
    std::map<std::string_view, const json::value*> sorted;
    for (const auto& [name, member] : *object) sorted.emplace(name, &member);
    out.push_back('{');
    for (const auto& [name, member] : sorted) {
      out += json::serialize(json::value(name));
      out.push_back(':');
      write_canonical(*member, out);
      out.push_back(',');
    }
    out.push_back('}');
  } else if (const json::array* array = value.if_array()) {
    out.push_back('[');
    for (const json::value& item : *array) {
      write_canonical(item, out);
      out.push_back(',');
    }
    out.push_back(']');
  } else {
    out += json::serialize(value);
  }
}

std::string content_hash(const PreparedObject& object) {
  std::string text;
  write_canonical(object.fields, text);
  std::multiset<std::string> blobs;
  for (const PreparedBlob& blob : object.blobs)
    blobs.insert(
        fmt::format("\n{}\t{}\t{}", string_member(blob.body, "property"), string_member(blob.body, "type"), blob_identity(blob.body)));
  for (const std::string& blob : blobs) text += blob;
  return sha256_hex(text);
}

// The object as the schema sees it: fields and plain blobs by value; a file is there or not.
json::object schema_view(const PreparedObject& object, const ObjectSchema& schema) {
  json::object view = object.fields;
  for (const PreparedBlob& blob : object.blobs) {
    std::string property(string_member(blob.body, "property"));
    const json::value* value = blob.body.if_contains("value");
    json::value shown = value ? *value : json::value("file");
    auto field = schema.properties.find(property);
    bool is_list = field != schema.properties.end() && field->second.type == FieldType::kArray;
    json::value* present = view.if_contains(property);
    if (is_list && !shown.is_array()) {
      if (present && present->is_array())
        present->get_array().push_back(std::move(shown));
      else
        view[property] = json::array{std::move(shown)};
    } else {
      view[property] = std::move(shown);
    }
  }
  return view;
}

Status check_against_schema(const OpenBucket& bucket, PreparedObject& object) {
  // Plain values of properties that the schema does not name are checked by the type the blob claims.
  ObjectSchema schema = bucket.schema;
  for (const PreparedBlob& blob : object.blobs) {
    std::string property(string_member(blob.body, "property"));
    if (blob.body.if_contains("value") == nullptr || schema.properties.contains(property)) continue;
    QUARRY_ASSIGN_OR_RETURN(schema.properties[property].type, parse_field_type(string_member(blob.body, "type")));
  }
  json::object view = schema_view(object, schema);
  json::object before = view;
  QUARRY_RETURN_IF_ERROR(validate(schema, view, "body"));
  for (const auto& [name, value] : view)
    if (!before.contains(name)) object.fields[name] = value;  // a default
  return Ok{};
}

Status compute_unique_key(const OpenBucket& bucket, PreparedObject& object) {
  if (bucket.unique_fields.empty()) return Ok{};
  json::object view = schema_view(object, bucket.schema);
  std::string text;
  for (const std::string& field : bucket.unique_fields) {
    const json::value* value = view.if_contains(field);
    if (!value || value->is_null())
      return validation_error("unique_key", {"body", field},
                              fmt::format("'{}' is part of the bucket's unique key and must be given", field));
    write_canonical(*value, text);
    text.push_back('\n');
  }
  object.unique_key = sha256_hex(text);
  return Ok{};
}

Status take_fields(const json::object& given, json::object& fields) {
  for (const auto& [name, value] : given) {
    if (is_request_member(name)) continue;
    if (name == "status" || name == "object_id" || name == "bucket_id" || pipeline::is_object_member(name))
      return validation_error("reserved", {"body", name},
                              fmt::format("'{}' is set by the server; choose another name for your field", std::string_view(name)));
    fields[name] = value;
  }
  return Ok{};
}

Status take_blobs(const BlobPlace& place, const json::object& given, PreparedObject& out) {
  const json::array* blobs = array_member(given, "blobs");
  if (!blobs) return Ok{};
  if (blobs->size() > kMaxBlobs)
    return validation_error("too_long", {"body", "blobs"}, fmt::format("an object has at most {} blobs", kMaxBlobs));
  for (size_t i = 0; i < blobs->size(); ++i) {
    const json::object* blob = (*blobs)[i].if_object();
    if (!blob) return validation_error("type_error", {"body", "blobs", i}, "a blob must be an object");
    QUARRY_ASSIGN_OR_RETURN(PreparedBlob prepared, prepare_blob(place, *blob, {"body", "blobs", i}, out.uploads));
    out.blobs.push_back(std::move(prepared));
  }
  return Ok{};
}

// A prefix is a label, never a path on disk; all the same it keeps to the form of a key.
Status check_key_prefix(const json::value& prefix) {
  if (!prefix.is_string() || prefix.get_string().empty()) return Ok{};
  std::string_view text = prefix.get_string();
  while (text.starts_with('/')) text.remove_prefix(1);
  while (text.ends_with('/')) text.remove_suffix(1);
  auto valid = text.empty() ? Status(Ok{}) : objects::validate_key(text);
  if (valid.ok()) return Ok{};
  return validation_error("key_prefix", {"body", "key_prefix"}, fmt::format("key_prefix: {}", valid.error().message));
}

Status complete(const OpenBucket& bucket, PreparedObject& out) {
  QUARRY_RETURN_IF_ERROR(check_key_prefix(out.key_prefix));
  QUARRY_RETURN_IF_ERROR(check_against_schema(bucket, out));
  QUARRY_RETURN_IF_ERROR(compute_unique_key(bucket, out));
  out.content_hash = content_hash(out);
  out.bytes = 0;
  for (const PreparedBlob& blob : out.blobs)
    if (const json::object* details = object_member(blob.body, "details")) out.bytes += integer_member(*details, "size_bytes").value_or(0);
  return Ok{};
}

Status check_size(const json::object& fields) {
  constexpr size_t kMaxFieldBytes = 1 << 20;
  if (json::serialize(fields).size() > kMaxFieldBytes)
    return Error{ErrorKind::kPayloadTooLarge, "an object's own fields are limited to 1 MiB; put larger content into blobs"};
  return Ok{};
}

}  // namespace

Result<PreparedObject> prepare_object(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket,
                                      const json::object& given, std::string object_id) {
  PreparedObject out;
  out.object_id = std::move(object_id);
  QUARRY_RETURN_IF_ERROR(take_fields(given, out.fields));
  QUARRY_RETURN_IF_ERROR(check_size(out.fields));
  if (const json::value* prefix = given.if_contains("key_prefix")) out.key_prefix = *prefix;
  if (const json::value* edges = given.if_contains("edges")) out.edges = *edges;
  BlobPlace place{context, deps, bucket, out.object_id, bool_member(given, "canonicalize_source", true)};
  QUARRY_RETURN_IF_ERROR(take_blobs(place, given, out));
  if (out.blobs.empty() && out.fields.empty())
    return validation_error("missing", {"body", "blobs"}, "an object needs a blob or a field of its own");
  QUARRY_RETURN_IF_ERROR(complete(bucket, out));
  return out;
}

bool is_request_member(std::string_view name) {
  return std::find(std::begin(kRequestMembers), std::end(kRequestMembers), name) != std::end(kRequestMembers);
}

void assign_object_id(const RequestContext& context, const OpenBucket& bucket, PreparedObject& object, const std::string& object_id) {
  object.object_id = object_id;
  for (PreparedBlob& blob : object.blobs) {
    if (blob.key.empty()) continue;
    blob.key = pipeline::blob_key(context.internal_id, context.namespace_id, bucket.id(), object_id, string_member(blob.body, "blob_id"));
    blob.body["storage"] = json::object{{"key", blob.key}};
  }
}

Result<PreparedObject> prepare_change(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket,
                                      const json::object& stored_body, json::object fields, const json::object& given, bool all_blobs) {
  PreparedObject out;
  out.object_id = string_member(stored_body, "object_id");
  QUARRY_RETURN_IF_ERROR(take_fields(fields, out.fields));
  QUARRY_RETURN_IF_ERROR(check_size(out.fields));
  for (std::string_view name : {"key_prefix", "edges"}) {
    const json::value* value = given.if_contains(name);
    if (!value) value = stored_body.if_contains(name);
    if (value) (name == "edges" ? out.edges : out.key_prefix) = *value;
  }
  BlobPlace place{context, deps, bucket, out.object_id, bool_member(given, "canonicalize_source", true)};
  QUARRY_RETURN_IF_ERROR(take_blobs(place, given, out));
  std::set<std::string_view> replaced;
  for (const PreparedBlob& blob : out.blobs) replaced.insert(string_member(blob.body, "property"));
  const json::array* stored = array_member(stored_body, "blobs");
  bool keep = !(all_blobs && given.contains("blobs"));
  std::vector<PreparedBlob> kept;
  for (size_t i = 0; keep && stored && i < stored->size(); ++i) {
    const json::object* blob = (*stored)[i].if_object();
    if (blob && !replaced.contains(string_member(*blob, "property"))) kept.push_back({*blob, "", ""});
  }
  out.blobs.insert(out.blobs.begin(), std::make_move_iterator(kept.begin()), std::make_move_iterator(kept.end()));
  QUARRY_RETURN_IF_ERROR(complete(bucket, out));
  return out;
}

}  // namespace quarry::service
