#include "service/uploads.h"

#include <fmt/format.h>

#include <set>

#include "base/ascii.h"
#include "base/log.h"
#include "model/ids.h"
#include "service/binding.h"
#include "service/json_access.h"
#include "service/listing.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

using catalog::kind::kUpload;

constexpr int64_t kDefaultLifetimeSeconds = 3'600;

Status check_request(const Dependencies& deps, const json::object& given, const json::array& location) {
  auto at = [&](std::string_view member) {
    json::array out = location;
    out.emplace_back(member);
    return out;
  };
  std::string_view filename = string_member(given, "filename");
  if (!is_safe_name(filename))
    return validation_error("filename", at("filename"),
                            "filename must be a plain name: no '/', '\\', control characters or leading '.', at most 255 bytes");
  if (auto size = integer_member(given, "file_size_bytes"); size && static_cast<uint64_t>(*size) > deps.limits.max_upload_bytes)
    return Error{ErrorKind::kPayloadTooLarge, fmt::format("a file may have at most {} bytes", deps.limits.max_upload_bytes)};
  if (std::string_view type = string_member(given, "blob_type"); !type.empty()) {
    auto parsed = parse_field_type(type);
    if (!parsed.ok()) return validation_error("enum", at("blob_type"), parsed.error().message);
  }
  std::string_view hash = string_member(given, "file_hash");
  bool is_hex = std::all_of(hash.begin(), hash.end(),
                            [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
  if (!hash.empty() && (hash.size() != 64 || !is_hex))
    return validation_error("file_hash", at("file_hash"), "file_hash is the SHA-256 of the file, 64 hexadecimal digits");
  return Ok{};
}

json::object merged(const json::object* shared, const json::object* own) {
  json::object out = shared ? *shared : json::object{};
  if (own) merge_patch(out, *own);
  return out;
}

struct Shared {
  const json::object *metadata = nullptr, *object_metadata = nullptr;
};

catalog::Resource make_upload(const RequestContext& context, const OpenBucket& bucket, const json::object& given, const Shared& shared) {
  std::string id = new_id("upl");
  int64_t lifetime = integer_member(given, "presigned_url_expiration").value_or(kDefaultLifetimeSeconds);
  json::object body{{"upload_id", id}, {"bucket_id", bucket.id()}};
  copy_members(body, given, {"filename", "content_type", "file_size_bytes", "blob_property", "blob_type"});
  if (std::string_view hash = string_member(given, "file_hash"); !hash.empty()) body["file_hash"] = ascii_lower(hash);
  body["presigned_url_expiration"] = lifetime;
  body["s3_key"] = pipeline::blob_key(context.internal_id, context.namespace_id, bucket.id(), id, "data");
  body["status"] = to_string(TaskStatus::kPending);
  body["metadata"] = merged(shared.metadata, object_member(given, "metadata"));
  body["object_metadata"] = merged(shared.object_metadata, object_member(given, "object_metadata"));
  body["create_object_on_confirm"] = bool_member(given, "create_object_on_confirm", true);
  body["skip_duplicates"] = bool_member(given, "skip_duplicates", true);
  body["expires_at"] = format_timestamp(context.clock->now_us() + lifetime * 1'000'000);
  catalog::Resource out = make_resource(context, kUpload, id, "", std::move(body));
  out.parent_id = bucket.id();
  return out;
}

// With a hash that was confirmed before there is nothing to send.
Status mark_duplicate(catalog::Session& session, const catalog::Scope& scope, catalog::Resource& upload) {
  std::string_view hash = string_member(upload.body, "file_hash");
  if (hash.empty() || !bool_member(upload.body, "skip_duplicates", true)) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(auto same, find_upload_by_hash(session, scope, upload.parent_id, hash));
  if (!same) return Ok{};
  upload.body["is_duplicate"] = true;
  upload.body["duplicate_of_upload_id"] = same->id;
  copy_members(upload.body, same->body, {"object_id"});
  if (const json::value* object_id = same->body.if_contains("object_id")) upload.body["existing_object_id"] = *object_id;
  upload.body["status"] = to_string(TaskStatus::kCompleted);
  upload.body["message"] = "this file was uploaded before; nothing needs to be sent";
  return Ok{};
}

Result<std::vector<catalog::Resource>> store_uploads(const Dependencies& deps, const catalog::Scope& scope,
                                                     std::vector<catalog::Resource> uploads) {
  std::vector<catalog::Resource> stored;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    stored = uploads;
    for (catalog::Resource& upload : stored) {
      QUARRY_RETURN_IF_ERROR(mark_duplicate(session, scope, upload));
      QUARRY_RETURN_IF_ERROR(session.insert(upload));
    }
    return Ok{};
  }));
  return stored;
}

Result<Reply> create_upload(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_RETURN_IF_ERROR(check_request(deps, request.object(), {"body"}));
  std::vector<catalog::Resource> one;
  one.push_back(make_upload(context, bucket, request.object(), {}));
  QUARRY_ASSIGN_OR_RETURN(auto stored, store_uploads(deps, namespace_scope(context), std::move(one)));
  return Reply(show_upload(stored.front(), deps, true));
}

Result<Reply> create_uploads(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  const json::object& body = request.object();
  Shared shared{object_member(body, "shared_metadata"), object_member(body, "shared_object_metadata")};
  std::vector<catalog::Resource> uploads;
  const json::array* given = array_member(body, "uploads");
  for (size_t i = 0; given && i < given->size(); ++i) {
    const json::object* one = (*given)[i].if_object();
    if (!one) return validation_error("type_error", {"body", "uploads", i}, "an upload must be an object");
    QUARRY_RETURN_IF_ERROR(check_request(deps, *one, {"body", "uploads", i}));
    uploads.push_back(make_upload(context, bucket, *one, shared));
  }
  QUARRY_ASSIGN_OR_RETURN(auto stored, store_uploads(deps, namespace_scope(context), std::move(uploads)));
  json::array shown;
  for (const auto& upload : stored) shown.push_back(show_upload(upload, deps, true));
  size_t total = shown.size();
  return Reply(json::object{{"uploads", std::move(shown)}, {"total", total}});
}

Result<Reply> get_upload(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto upload, find_upload(context, deps, bucket, request.param("upload_id")));
  bool presigned = bool_member(request.query, "return_presigned_urls");
  json::object shown = show_upload(upload, deps, presigned && context.may(kWrite));
  // What was sent can be read back; what was not can still be sent.
  std::string key = uploaded_key(upload.body);
  if (presigned && !key.empty()) shown["presigned_url"] = presign(deps, "GET", key, kDefaultLifetimeSeconds);
  return Reply(std::move(shown));
}

// The statistics are those of the page.
json::object list_stats(const json::array& uploads) {
  int64_t bytes = 0;
  json::object by_status;
  std::set<std::string_view> buckets;
  for (const auto& upload : uploads) {
    const json::object& one = upload.as_object();
    bytes += integer_member(one, "file_size_bytes").value_or(0);
    std::string_view status = string_member(one, "status", "UNKNOWN");
    by_status[status] = integer_member(by_status, status).value_or(0) + 1;
    buckets.insert(string_member(one, "bucket_id"));
  }
  double mean = uploads.empty() ? 0.0 : static_cast<double>(bytes) / static_cast<double>(uploads.size());
  return {{"total_uploads", uploads.size()},
          {"total_size_bytes", bytes},
          {"uploads_by_status", std::move(by_status)},
          {"avg_file_size_bytes", mean},
          {"unique_buckets", buckets.size()}};
}

Result<Reply> list_uploads(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto page, parse_page(request, 20));
  QUARRY_ASSIGN_OR_RETURN(auto query, make_list_query(kUpload, namespace_scope(context), request, page));
  query.parent_id = bucket.id();
  if (!query.name_contains.empty()) {
    json::object condition{{"field", "filename"}, {"operator", "contains"}, {"value", query.name_contains}};
    QUARRY_ASSIGN_OR_RETURN(Filter search, parse_filter(condition));
    query.filter = all_of({std::move(query.filter), std::move(search)});
    query.name_contains.clear();
  }
  bool presigned = bool_member(request.object(), "return_presigned_urls") && context.may(kWrite);
  QUARRY_ASSIGN_OR_RETURN(json::object reply, list_resources(deps, query, page, [&](const catalog::Resource& r) -> Result<json::object> {
                            return show_upload(r, deps, presigned);
                          }));
  reply["stats"] = list_stats(reply["results"].as_array());
  return Reply(std::move(reply));
}

Result<Reply> delete_upload(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto upload, find_upload(context, deps, bucket, request.param("upload_id")));
  const catalog::Scope scope = namespace_scope(context);
  bool in_use = false;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto current, session.get(kUpload, scope, upload.id));
    std::string_view object_id = string_member(current.body, "object_id");
    in_use = !object_id.empty() && session.get(catalog::kind::kObject, scope, object_id).ok();
    if (std::string_view hash = string_member(current.body, "file_hash"); !hash.empty()) {
      auto row = session.get(kObjectIndexKind, scope, upload_index_id(bucket.id(), hash));
      if (row.ok() && string_member(row->body, "upload_id") == upload.id)
        QUARRY_RETURN_IF_ERROR(session.remove(kObjectIndexKind, scope, row->id));
    }
    return session.remove(kUpload, scope, upload.id);
  }));
  // The bytes of a confirmed upload are its object's.
  std::string key = uploaded_key(upload.body);
  if (!in_use && !key.empty() && bool_member(request.query, "delete_s3_object", true)) {
    auto removed = deps.store->remove(key);
    if (!removed.ok())
      log_warn("a deleted upload's file could not be removed", {{"upload_id", upload.id}, {"reason", removed.error().message}});
  }
  return Reply(204, json::value());
}

}  // namespace

json::object show_upload(const catalog::Resource& upload, const Dependencies& deps, bool presigned) {
  json::object out = show(upload);
  out.erase(pipeline::kInternalMember);
  bool wants_bytes = string_member(upload.body, "status") == to_string(TaskStatus::kPending) && !upload.body.contains("etag");
  if (presigned && wants_bytes) {
    auto expires = parse_timestamp(string_member(upload.body, "expires_at"));
    int64_t left = expires.ok() ? (*expires - deps.clock->now_us()) / 1'000'000 : 0;
    if (left > 0) out["presigned_url"] = presign(deps, "PUT", string_member(upload.body, "s3_key"), left);
  }
  return out;
}

Result<catalog::Resource> find_upload(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket,
                                      std::string_view upload_id) {
  auto found = deps.catalog->get(kUpload, namespace_scope(context), upload_id);
  bool absent = found.ok() ? found->parent_id != bucket.id() : found.error().kind == ErrorKind::kNotFound;
  if (absent) return not_found(fmt::format("Upload '{}' not found in bucket '{}'", upload_id.substr(0, 300), bucket.resource.name));
  return found;
}

std::string upload_index_id(std::string_view bucket_id, std::string_view hash) { return fmt::format("{}:upload_hash:{}", bucket_id, hash); }

Result<std::optional<catalog::Resource>> find_upload_by_hash(catalog::Session& session, const catalog::Scope& scope,
                                                             std::string_view bucket_id, std::string_view hash) {
  auto row = session.get(kObjectIndexKind, scope, upload_index_id(bucket_id, hash));
  if (!row.ok())
    return row.error().kind == ErrorKind::kNotFound ? Result<std::optional<catalog::Resource>>(std::optional<catalog::Resource>())
                                                    : std::move(row).error();
  auto upload = session.get(kUpload, scope, string_member(row->body, "upload_id"));
  if (!upload.ok())
    return upload.error().kind == ErrorKind::kNotFound ? Result<std::optional<catalog::Resource>>(std::optional<catalog::Resource>())
                                                       : std::move(upload).error();
  // An upload whose object was deleted is no duplicate of anything.
  std::string_view object_id = string_member(upload->body, "object_id");
  if (!object_id.empty() && !session.get(catalog::kind::kObject, scope, object_id).ok()) return std::optional<catalog::Resource>();
  return std::optional<catalog::Resource>(std::move(*upload));
}

void bind_uploads(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_upload_buckets", create_upload);
  bind_operation(table, deps, "create_uploads_batch_buckets", create_uploads);
  bind_operation(table, deps, "get_upload_buckets", get_upload);
  bind_operation(table, deps, "list_uploads_buckets", list_uploads);
  bind_operation(table, deps, "delete_upload_buckets", delete_upload);
  bind_upload_confirmation(table, deps);
  bind_presigned(table, deps);
}

}  // namespace quarry::service
