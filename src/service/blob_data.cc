#include "service/blob_data.h"

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/hash.h"
#include "model/ids.h"
#include "model/nearest_name.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

json::array at(const json::array& location, std::string_view member) {
  json::array out = location;
  out.emplace_back(member);
  return out;
}

bool is_text(FieldType type) { return type == FieldType::kText || type == FieldType::kString; }

bool same_kind(FieldType a, FieldType b) {
  auto number = [](FieldType t) { return t == FieldType::kNumber || t == FieldType::kFloat || t == FieldType::kInteger; };
  auto date = [](FieldType t) { return t == FieldType::kDate || t == FieldType::kDatetime; };
  return a == b || (is_text(a) && is_text(b)) || (number(a) && number(b)) || (date(a) && date(b));
}

// The bucket's schema decides what a property is.
Status check_property(const ObjectSchema& schema, const std::string& property, FieldType type, const json::array& location) {
  if (schema.properties.empty()) return Ok{};
  auto field = schema.properties.find(property);
  if (field == schema.properties.end()) {
    std::vector<std::string> known;
    for (const auto& [name, f] : schema.properties) known.push_back(name);
    return validation_error(
        "unknown_property", at(location, "property"),
        fmt::format("the bucket's schema has no property '{}'; did you mean '{}'?", property, nearest_name(property, known)));
  }
  FieldType wanted = field->second.type == FieldType::kArray && field->second.items ? field->second.items->type : field->second.type;
  if (same_kind(wanted, type) || same_kind(field->second.type, type)) return Ok{};
  return validation_error("type_error", at(location, "type"),
                          fmt::format("property '{}' is of type {} in the bucket's schema, the blob of type {}", property,
                                      to_string(field->second.type), to_string(type)));
}

// data:[<media type>][;base64],<data> (RFC 2397)
bool decode_data_uri(std::string_view uri, std::string& bytes) {
  size_t comma = uri.find(',');
  if (comma == std::string_view::npos) return false;
  std::string_view head = uri.substr(0, comma), data = uri.substr(comma + 1);
  if (head.ends_with(";base64")) return base64_decode(data, bytes);
  bool broken = false;
  bytes = percent_decoded(data, &broken);
  return !broken;
}

struct Content {
  std::string bytes, url, key;
  std::string filename, mime_type;
};

Result<Content> from_text_form(const BlobPlace& place, std::string_view data, const json::array& location) {
  Content out;
  if (data.starts_with("http://") || data.starts_with("https://")) {
    auto checked = objects::check_url(data);
    if (!checked.ok()) return validation_error("url", location, checked.error().message);
    out.url = data;
    return out;
  }
  if (data.starts_with("s3://"))
    return Error{ErrorKind::kNotImplemented,
                 "reading s3:// URLs needs a storage connection, which is not built yet; upload the file or give an https:// URL"};
  size_t colon = data.find("://");
  if (data.starts_with("file:") || (colon != std::string_view::npos && colon < 16))
    return validation_error(
        "url", location,
        fmt::format("'{}' URLs are refused: give an http(s):// URL, a data: URI, base64, or an upload_id", data.substr(0, data.find(':'))));
  if (data.size() / 4 * 3 > place.deps.limits.max_inline_blob_bytes)
    return Error{ErrorKind::kPayloadTooLarge,
                 fmt::format("inline data is limited to {} bytes; use an upload", place.deps.limits.max_inline_blob_bytes)};
  bool is_uri = data.starts_with("data:");
  bool decoded = is_uri ? decode_data_uri(data, out.bytes) : base64_decode(data, out.bytes);
  if (!decoded)
    return validation_error("encoding", location,
                            is_uri ? "the data: URI is malformed" : "data is neither a URL, nor a data: URI, nor base64");
  if (out.bytes.empty()) return validation_error("empty", location, "the file is empty");
  return out;
}

Result<Content> from_upload(const BlobPlace& place, std::string_view upload_id, const json::array& location) {
  const catalog::Scope scope{place.context.organization_id, place.context.namespace_id};
  auto upload = place.deps.catalog->get(catalog::kind::kUpload, scope, upload_id);
  if (!upload.ok() || upload->parent_id != place.bucket.id())
    return not_found(fmt::format("Upload '{}' not found in this bucket", upload_id));
  Content out;
  out.key = uploaded_key(upload->body);
  if (!string_member(upload->body, "object_id").empty())
    return validation_error("upload", location,
                            fmt::format("upload '{}' belongs to object '{}' already", upload_id, string_member(upload->body, "object_id")));
  if (out.key.empty())
    return validation_error("upload", location,
                            fmt::format("nothing was uploaded to '{}' yet: PUT the file to its presigned_url first", upload_id));
  auto bytes = place.deps.store->get(out.key);
  QUARRY_RETURN_IF_ERROR(bytes);
  out.bytes = std::move(bytes).value();
  out.filename = string_member(upload->body, "filename");
  return out;
}

// An array or object as a media blob's data may say where the bytes are.
std::string_view text_form(const json::value& data) {
  if (data.is_string()) return data.get_string();
  const json::object* object = data.if_object();
  for (std::string_view name : {"url", "base64", "data"})
    if (object)
      if (std::string_view text = string_member(*object, name); !text.empty()) return text;
  return {};
}

Status describe(const Content& content, FieldType type, const json::object& given, const json::array& location, json::object& body) {
  std::string digest = sha256_hex(content.bytes);
  std::string_view checksum = string_member(given, "checksum");
  if (checksum.starts_with("sha256:")) checksum.remove_prefix(7);
  if (!checksum.empty() && !equal_secrets(checksum, digest))
    return validation_error("checksum", at(location, "checksum"), fmt::format("the bytes have SHA-256 {}, not the checksum given", digest));
  std::string detected = content.mime_type.empty() ? extract::detect_mime_type(content.bytes, content.filename) : content.mime_type;
  auto fits = pipeline::check_blob_content(string_member(body, "property"), type, content.bytes, detected);
  if (!fits.ok()) return validation_error("content_type", at(location, "type"), fits.error().message);
  json::object details{{"size_bytes", content.bytes.size()}, {"mime_type", detected}, {"hash", digest}};
  if (!content.filename.empty()) details["filename"] = content.filename;
  body["details"] = std::move(details);
  return Ok{};
}

std::string filename_of(const json::object& given) {
  const json::object* metadata = object_member(given, "metadata");
  std::string_view name = metadata ? string_member(*metadata, "filename") : std::string_view();
  return is_safe_name(name) ? std::string(name) : std::string();
}

Result<PreparedBlob> stored_blob(const BlobPlace& place, PreparedBlob out, FieldType type, const json::object& given, Content content,
                                 const json::array& location) {
  if (content.filename.empty()) content.filename = filename_of(given);
  if (!content.url.empty()) {
    bool mirror = bool_member(given, "canonicalize_source", place.mirror_urls);
    out.body["storage"] = json::object{{"url", content.url}, {"mirror", mirror}};
    if (!content.filename.empty()) out.body["details"] = json::object{{"filename", content.filename}};
    return out;
  }
  QUARRY_RETURN_IF_ERROR(describe(content, type, given, location, out.body));
  if (content.key.empty()) {
    out.key = pipeline::blob_key(place.context.internal_id, place.context.namespace_id, place.bucket.id(), place.object_id,
                                 string_member(out.body, "blob_id"));
    out.bytes = std::move(content.bytes);
    content.key = out.key;
  }
  out.body["storage"] = json::object{{"key", content.key}};
  return out;
}

Result<PreparedBlob> text_blob(const BlobPlace& place, PreparedBlob out, FieldType type, const json::object& given, const json::value& data,
                               const json::array& location) {
  if (!data.is_string())
    return validation_error("type_error", at(location, "data"), fmt::format("the data of a {} must be a string", to_string(type)));
  std::string_view text = data.get_string();
  if (text.size() > place.deps.limits.max_inline_blob_bytes)
    return Error{ErrorKind::kPayloadTooLarge,
                 fmt::format("inline data is limited to {} bytes; use an upload", place.deps.limits.max_inline_blob_bytes)};
  if (text.empty() && type == FieldType::kText) return validation_error("empty", at(location, "data"), "the text is empty");
  // Text with a file name is a file, whose kind its content tells; text alone is taken as it stands.
  std::string name = filename_of(given);
  std::string mime_type = name.empty() ? "text/plain" : extract::detect_mime_type(text, name);
  if (text.size() > pipeline::kMaxInlineTextBytes) {
    Content content;
    content.mime_type = std::move(mime_type);
    content.bytes = text;
    return stored_blob(place, std::move(out), type, given, std::move(content), location);
  }
  out.body["value"] = text;
  json::object details{{"size_bytes", text.size()}, {"mime_type", std::move(mime_type)}};
  if (!name.empty()) details["filename"] = std::move(name);
  out.body["details"] = std::move(details);
  return out;
}

}  // namespace

Result<PreparedBlob> prepare_blob(const BlobPlace& place, const json::object& given, const json::array& location,
                                  std::vector<TakenUpload>& uploads) {
  PreparedBlob out;
  std::string property(string_member(given, "property"));
  QUARRY_ASSIGN_OR_RETURN(FieldType type, parse_field_type(string_member(given, "type")));
  QUARRY_RETURN_IF_ERROR(check_property(place.bucket.schema, property, type, location));
  out.body = {{"blob_id", new_id("blob")}, {"property", property}, {"type", to_string(type)}};
  copy_members(out.body, given, {"key_prefix"});
  if (const json::object* metadata = object_member(given, "metadata")) out.body["properties"] = *metadata;
  std::string_view upload_id = string_member(given, "upload_id");
  const json::value* data = given.if_contains("data");
  if (!upload_id.empty()) {
    if (data) return validation_error("blob", location, "a blob has data or an upload_id, not both");
    QUARRY_ASSIGN_OR_RETURN(Content content, from_upload(place, upload_id, at(location, "upload_id")));
    uploads.push_back({std::string(upload_id), content.key});
    return stored_blob(place, std::move(out), type, given, std::move(content), location);
  }
  if (!data || data->is_null()) return validation_error("missing", at(location, "data"), "a blob needs data or an upload_id");
  if (is_text(type)) return text_blob(place, std::move(out), type, given, *data, location);
  if (!is_media(type)) {
    out.body["value"] = *data;
    return out;
  }
  std::string_view text = text_form(*data);
  if (text.empty())
    return validation_error("type_error", at(location, "data"),
                            fmt::format("the data of a {} is a URL, a data: URI or base64", to_string(type)));
  QUARRY_ASSIGN_OR_RETURN(Content content, from_text_form(place, text, at(location, "data")));
  return stored_blob(place, std::move(out), type, given, std::move(content), location);
}

std::string uploaded_key(const json::object& upload_body) {
  const json::object* internal = object_member(upload_body, pipeline::kInternalMember);
  return internal ? std::string(string_member(*internal, "key")) : std::string();
}

Error upload_changed(std::string_view upload_id) {
  return {ErrorKind::kConflict, fmt::format("upload '{}' received another file at the same time; try again", upload_id)};
}

std::string blob_identity(const json::object& body) {
  if (const json::object* details = object_member(body, "details"))
    if (std::string_view hash = string_member(*details, "hash"); !hash.empty()) return std::string(hash);
  if (const json::object* storage = object_member(body, "storage"); storage && !string_member(*storage, "url").empty())
    return std::string(string_member(*storage, "url"));
  const json::value* value = body.if_contains("value");
  return value ? json::serialize(*value) : "";
}

}  // namespace quarry::service
