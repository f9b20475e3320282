#include "main/verbs/ensure.h"

#include <fmt/format.h>

namespace quarry::verbs {
namespace {

// A race with another client that makes the same thing is as good as success.
Status create_unless_taken(Client& client, std::string_view path, const json::value& body) {
  auto made = client.call("POST", path, body);
  if (!made.ok() && made.error().kind != ErrorKind::kAlreadyExists) return std::move(made).error();
  return Ok{};
}

Result<bool> exists(Client& client, const std::string& path) {
  auto found = client.call("GET", path);
  if (found.ok()) return true;
  if (found.error().kind == ErrorKind::kNotFound) return false;
  return std::move(found).error();
}

Status ensure(Client& client, const std::string& collection_path, const std::string& name, const json::value& body) {
  QUARRY_ASSIGN_OR_RETURN(bool there, exists(client, collection_path + "/" + name));
  return there ? Status(Ok{}) : create_unless_taken(client, collection_path, body);
}

}  // namespace

std::string text_of(const json::value& object, std::string_view key) {
  const auto* o = object.if_object();
  const auto* v = o == nullptr ? nullptr : o->if_contains(key);
  return v != nullptr && v->is_string() ? std::string(v->as_string()) : std::string();
}

int64_t integer_of(const json::value& object, std::string_view key) {
  const auto* o = object.if_object();
  const auto* v = o == nullptr ? nullptr : o->if_contains(key);
  return v != nullptr && v->is_number() ? v->to_number<int64_t>() : 0;
}

const json::array& array_of(const json::value& object, std::string_view key) {
  static const json::array empty;
  const auto* o = object.if_object();
  const auto* v = o == nullptr ? nullptr : o->if_contains(key);
  return v != nullptr && v->is_array() ? v->as_array() : empty;
}

Status ensure_namespace(Client& client, const std::string& name) {
  json::object body{{"namespace_name", name},
                    {"feature_extractors", json::array{{{"feature_extractor_name", "text_extractor"}, {"version", "v1"}}}}};
  return ensure(client, "/v1/namespaces", name, body);
}

Status ensure_file_bucket(Client& client, const std::string& name) {
  json::object properties;
  for (auto [field, type] : {std::pair{"content", "text"},
                             {"document", "pdf"},
                             {"image", "image"},
                             {"audio", "audio"},
                             {"video", "video"},
                             {"path", "string"},
                             {"kind", "string"},
                             {"content_hash", "string"},
                             {"content_type", "string"}})
    properties[field] = json::object{{"type", type}};
  json::object body{{"bucket_name", name}, {"bucket_schema", {{"properties", std::move(properties)}}}};
  return ensure(client, "/v1/buckets", name, body);
}

Status ensure_text_collection(Client& client, const std::string& bucket, const std::string& name) {
  QUARRY_ASSIGN_OR_RETURN(json::value found, client.call("GET", "/v1/buckets/" + bucket));
  json::array passthrough;
  for (const char* field : {"path", "kind"}) passthrough.push_back(json::object{{"source_path", field}});
  json::object filter{{"AND", json::array{{{"field", "kind"}, {"operator", "in"}, {"value", json::array{"text", "pdf"}}}}}};
  json::object body{
      {"collection_name", name},
      {"source", {{"type", "bucket"}, {"bucket_ids", json::array{text_of(found, "bucket_id")}}, {"source_filters", {{"filters", filter}}}}},
      {"feature_extractor",
       {{"feature_extractor_name", "text_extractor"},
        {"version", "v1"},
        {"parameters", {{"split_by", "sentences"}, {"chunk_size", 6}, {"chunk_overlap", 1}}},
        {"field_passthrough", std::move(passthrough)}}}};
  return ensure(client, "/v1/collections", name, body);
}

}  // namespace quarry::verbs
