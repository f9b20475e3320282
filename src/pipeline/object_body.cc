#include "pipeline/object_body.h"

#include "pipeline/pipeline.h"

#include <fmt/format.h>

#include <array>

namespace quarry::pipeline {

std::string text_member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

namespace {

// nullopt: the member is absent, or no number that a T holds exactly.
template <class T>
std::optional<T> whole_member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (!value || !value->is_number()) return std::nullopt;
  boost::system::error_code inexact;
  const T number = value->to_number<T>(inexact);
  return inexact ? std::nullopt : std::optional(number);
}

void read_details(const json::object& blob, ObjectBlob& out) {
  const json::value* details = blob.if_contains("details");
  if (!details || !details->is_object()) return;
  out.filename = text_member(details->get_object(), "filename");
  out.mime_type = text_member(details->get_object(), "mime_type");
  out.size_bytes = whole_member<uint64_t>(details->get_object(), "size_bytes");
}

void read_storage(const json::object& blob, ObjectBlob& out) {
  const json::value* storage = blob.if_contains("storage");
  if (!storage || !storage->is_object()) return;
  out.key = text_member(storage->get_object(), "key");
  out.url = text_member(storage->get_object(), "url");
  const json::value* mirror = storage->get_object().if_contains("mirror");
  out.mirror = !mirror || !mirror->is_bool() || mirror->get_bool();
}

Result<ObjectBlob> parse_blob(const json::value& source) {
  if (!source.is_object()) return internal_error("a blob is not an object");
  const json::object& blob = source.get_object();
  ObjectBlob out;
  out.blob_id = text_member(blob, "blob_id");
  out.property = text_member(blob, "property");
  QUARRY_ASSIGN_OR_RETURN(out.type, parse_field_type(text_member(blob, "type")));
  if (const json::value* properties = blob.if_contains("properties"); properties && properties->is_object())
    out.properties = properties->get_object();
  read_details(blob, out);
  read_storage(blob, out);
  if (const json::value* value = blob.if_contains("value")) {
    out.value = *value;
    out.has_value = true;
  }
  if (!out.has_value && out.key.empty() && out.url.empty())
    return internal_error(fmt::format("blob '{}' has neither a value nor a place", out.blob_id));
  return out;
}

}  // namespace

Result<std::vector<ObjectBlob>> parse_blobs(const json::object& object_body) {
  std::vector<ObjectBlob> out;
  const json::value* blobs = object_body.if_contains("blobs");
  if (!blobs || !blobs->is_array()) return out;
  for (const json::value& source : blobs->get_array()) {
    auto blob = parse_blob(source);
    if (!blob.ok()) return internal_error(fmt::format("object '{}': {}", text_member(object_body, "object_id"), blob.error().message));
    out.push_back(std::move(blob).value());
  }
  return out;
}

bool is_object_member(std::string_view name) {
  static constexpr std::array<std::string_view, 14> kMembers{
      "object_id",      "bucket_id",  "key_prefix", "blobs",          "status",      "error",           "edges",
      "source_details", "created_at", "updated_at", "document_count", "consistency", "lifecycle_state", kInternalMember};
  return std::find(kMembers.begin(), kMembers.end(), name) != kMembers.end();
}

TimestampUs content_changed_at(const json::object& object_body) {
  const json::value* internal = object_body.if_contains(kInternalMember);
  if (!internal || !internal->is_object()) return 0;
  return whole_member<TimestampUs>(internal->get_object(), "content_at").value_or(0);
}

bool is_disabled(const json::object& object_body) { return text_member(object_body, "lifecycle_state") == "disabled"; }

Status check_blob_content(std::string_view property, FieldType type, std::string_view bytes, std::string_view detected) {
  if (bytes.empty()) return Error{ErrorKind::kExtraction, fmt::format("blob '{}': the file is empty", property)};
  FieldType found = extract::field_type_of_mime(detected);
  bool is_text_type = type == FieldType::kText || type == FieldType::kString;
  if (found == type || (!is_media(type) && !is_text_type) || (is_text_type && found == FieldType::kText)) return Ok{};
  if (is_text_type && detected == "application/octet-stream") return Ok{};       // perhaps text in another encoding: the extractor tells
  if (type == FieldType::kImage && detected.starts_with("image/")) return Ok{};  // SVG is text, too
  if (type == FieldType::kExcel && detected == "application/x-ole-storage") return Ok{};  // the older form of workbooks
  return Error{ErrorKind::kExtraction,
               fmt::format("blob '{}' is declared as {} but its content is {}", property, to_string(type), detected)};
}

}  // namespace quarry::pipeline
