// Buckets: where raw objects land, with the schema that they must keep.
#include "service/buckets.h"

#include <fmt/format.h>

#include "base/log.h"
#include "model/ids.h"
#include "service/binding.h"
#include "service/json_access.h"
#include "service/listing.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr size_t kMaxNameBytes = 100;
constexpr size_t kPage = 500;

// Members that would change nothing here are refused rather than stored.
Status refuse_unbuilt(const json::object& body) {
  for (std::string_view name : {"destination", "ingest_filter", "source_adapter"})
    if (const json::value* value = body.if_contains(name); value && !value->is_null())
      return Error{ErrorKind::kNotImplemented, fmt::format("'{}' of a bucket is not built yet", name)};
  return Ok{};
}

Result<json::object> check_unique_key(const json::object& key, const ObjectSchema& schema) {
  json::array fields;
  size_t at = 0;
  for (const std::string& field : strings_member(key, "fields")) {
    json::array location{"body", "unique_key", "fields", at++};
    auto known = schema.properties.find(field);
    if (!schema.properties.empty() && known == schema.properties.end())
      return validation_error("unique_key", std::move(location), fmt::format("the bucket's schema has no property '{}'", field));
    if (known != schema.properties.end() && is_media(known->second.type))
      return validation_error("unique_key", std::move(location), fmt::format("'{}' is a file and cannot be part of a unique key", field));
    fields.emplace_back(field);
  }
  if (fields.empty()) return validation_error("unique_key", {"body", "unique_key", "fields"}, "a unique key needs at least one field");
  QUARRY_ASSIGN_OR_RETURN(std::string policy,
                          parse_policy(string_member(key, "default_policy", "insert"), {"body", "unique_key", "default_policy"}));
  return json::object{{"fields", std::move(fields)}, {"default_policy", policy}};
}

Result<json::object> normalized_schema(const json::value& source) {
  QUARRY_ASSIGN_OR_RETURN(ObjectSchema schema, parse_schema(source));
  return to_json(schema);
}

// A change that could make stored objects invalid.
std::string schema_break(const ObjectSchema& before, const ObjectSchema& after) {
  for (const auto& [name, field] : before.properties) {
    auto kept = after.properties.find(name);
    if (kept == after.properties.end()) return fmt::format("'{}' is removed", name);
    if (kept->second.type != field.type)
      return fmt::format("'{}' becomes {} instead of {}", name, to_string(kept->second.type), to_string(field.type));
  }
  for (const auto& [name, field] : after.properties) {
    auto old = before.properties.find(name);
    bool newly_required = field.required && (old == before.properties.end() || !old->second.required) && field.default_value.is_null();
    if (newly_required) return fmt::format("'{}' becomes required", name);
  }
  return "";
}

const json::object& stats_of(const json::object& body) {
  static const json::object kNone;
  const json::object* internal = object_member(body, pipeline::kInternalMember);
  const json::object* stats = internal ? object_member(*internal, "stats") : nullptr;
  return stats ? *stats : kNone;
}

json::object show_bucket(const catalog::Resource& resource) {
  json::object shown = show(resource);
  shown.erase(pipeline::kInternalMember);
  const json::object& stats = stats_of(resource.body);
  shown["object_count"] = integer_member(stats, "objects").value_or(0);
  shown["total_size_bytes"] = integer_member(stats, "bytes").value_or(0);
  copy_members(shown, stats, {"last_upload_at"});
  shown["status"] = "ACTIVE";
  shown["is_locked"] = false;
  return shown;
}

Result<json::object> batch_stats(const catalog::Scope& scope, const Dependencies& deps, const std::string& bucket_id) {
  catalog::ListQuery query;
  query.kind = catalog::kind::kBatch;
  query.scope = scope;
  query.parent_id = bucket_id;
  query.limit = kPage;
  int64_t total = 0, active = 0, completed = 0, failed = 0;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, deps.catalog->list(query));
    for (const auto& batch : page.items) {
      TaskStatus status = parse_task_status(string_member(batch.body, "status"));
      ++total;
      active += !is_terminal(status) && status != TaskStatus::kDraft;
      completed += status == TaskStatus::kCompleted || status == TaskStatus::kCompletedWithErrors;
      failed += status == TaskStatus::kFailed;
    }
    if (!page.has_more || page.items.empty()) break;
    query.after = page.last;
  }
  return json::object{{"total", total}, {"active", active}, {"completed", completed}, {"failed", failed}};
}

Result<Reply> create_bucket(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& given = request.object();
  QUARRY_RETURN_IF_ERROR(refuse_unbuilt(given));
  std::string name(string_member(given, "bucket_name"));
  QUARRY_RETURN_IF_ERROR(check_resource_name(catalog::kind::kBucket, name, 1, kMaxNameBytes));
  std::string id = new_id("bkt");
  json::object body{{"bucket_id", id}, {"bucket_name", name}};
  copy_members(body, given, {"description", "metadata", "storage_class"});
  const json::value* schema = given.if_contains("bucket_schema");
  QUARRY_ASSIGN_OR_RETURN(body["bucket_schema"], normalized_schema(schema ? *schema : json::value(json::object{})));
  if (const json::object* key = object_member(given, "unique_key")) {
    QUARRY_ASSIGN_OR_RETURN(ObjectSchema parsed, parse_schema(body["bucket_schema"]));
    QUARRY_ASSIGN_OR_RETURN(body["unique_key"], check_unique_key(*key, parsed));
  }
  catalog::Resource resource = make_resource(context, catalog::kind::kBucket, std::move(id), name, std::move(body));
  auto inserted = insert_in_namespace(context, deps, resource);
  if (!inserted.ok() && inserted.error().kind == ErrorKind::kAlreadyExists)
    return already_exists(fmt::format("Bucket '{}' exists already", name));
  QUARRY_RETURN_IF_ERROR(inserted);
  return Reply(show_bucket(resource));
}

Result<Reply> get_bucket(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto bucket, find_resource(context, deps, catalog::kind::kBucket, request.param("bucket_identifier")));
  json::object shown = show_bucket(bucket);
  QUARRY_ASSIGN_OR_RETURN(shown["batch_stats"], batch_stats(namespace_scope(context), deps, bucket.id));
  return Reply(std::move(shown));
}

// The statistics are those of the page.
json::object list_stats(const json::array& buckets) {
  int64_t objects = 0, bytes = 0;
  for (const auto& bucket : buckets) {
    objects += integer_member(bucket.as_object(), "object_count").value_or(0);
    bytes += integer_member(bucket.as_object(), "total_size_bytes").value_or(0);
  }
  double n = buckets.empty() ? 1.0 : static_cast<double>(buckets.size());
  return {{"total_objects", objects},
          {"total_size_bytes", bytes},
          {"avg_objects_per_bucket", static_cast<double>(objects) / n},
          {"avg_size_per_bucket", static_cast<double>(bytes) / n}};
}

Result<Reply> list_buckets(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto page, parse_page(request));
  QUARRY_ASSIGN_OR_RETURN(auto query, make_list_query(catalog::kind::kBucket, namespace_scope(context), request, page));
  QUARRY_ASSIGN_OR_RETURN(json::object reply, list_resources(deps, query, page, [](const catalog::Resource& r) -> Result<json::object> {
                            return show_bucket(r);
                          }));
  reply["stats"] = list_stats(reply["results"].as_array());
  return Reply(std::move(reply));
}

Status change_schema(const json::value& source, bool force, json::object& body) {
  QUARRY_ASSIGN_OR_RETURN(json::object wanted, normalized_schema(source));
  QUARRY_ASSIGN_OR_RETURN(ObjectSchema before, parse_schema(body["bucket_schema"]));
  QUARRY_ASSIGN_OR_RETURN(ObjectSchema after, parse_schema(wanted));
  std::string broken = schema_break(before, after);
  if (!broken.empty() && !force && integer_member(stats_of(body), "objects").value_or(0) > 0)
    return bad_request(
        fmt::format("the bucket holds objects that the new schema could refuse: {}. Pass force_schema_break=true to change it anyway; "
                    "stored objects stay as they are",
                    broken));
  body["bucket_schema"] = std::move(wanted);
  return Ok{};
}

Result<Reply> change_bucket(const RequestContext& context, const Request& request, const Dependencies& deps, bool merge) {
  const json::object& given = request.object();
  QUARRY_RETURN_IF_ERROR(refuse_unbuilt(given));
  QUARRY_ASSIGN_OR_RETURN(auto found, find_resource(context, deps, catalog::kind::kBucket, request.param("bucket_identifier")));
  if (given.contains("bucket_name"))
    QUARRY_RETURN_IF_ERROR(check_resource_name(catalog::kind::kBucket, string_member(given, "bucket_name"), 1, kMaxNameBytes));
  bool force = bool_member(request.query, "force_schema_break");
  auto stored = deps.catalog->update(catalog::kind::kBucket, namespace_scope(context), found.id, [&](catalog::Resource& r) -> Status {
    copy_members(r.body, given, {"bucket_name", "description", "storage_class"});
    if (const json::object* metadata = object_member(given, "metadata")) {
      json::object changed = merge && object_member(r.body, "metadata") ? *object_member(r.body, "metadata") : json::object{};
      merge_patch(changed, *metadata);
      r.body["metadata"] = std::move(changed);
    }
    if (const json::value* schema = given.if_contains("bucket_schema")) QUARRY_RETURN_IF_ERROR(change_schema(*schema, force, r.body));
    if (const json::object* key = object_member(given, "unique_key")) {
      if (integer_member(stats_of(r.body), "objects").value_or(0) > 0 && !force)
        return bad_request(
            "the unique key of a bucket that holds objects is fixed; pass force_schema_break=true to set it for new objects only");
      QUARRY_ASSIGN_OR_RETURN(ObjectSchema schema, parse_schema(r.body["bucket_schema"]));
      QUARRY_ASSIGN_OR_RETURN(r.body["unique_key"], check_unique_key(*key, schema));
    }
    r.name = std::string(string_member(r.body, "bucket_name"));
    return Ok{};
  });
  if (!stored.ok() && stored.error().kind == ErrorKind::kAlreadyExists)
    return already_exists(fmt::format("Bucket '{}' exists already", string_member(given, "bucket_name")));
  QUARRY_RETURN_IF_ERROR(stored);
  return Reply(show_bucket(*stored));
}

Result<Reply> patch_bucket(const RequestContext& context, const Request& request, const Dependencies& deps) {
  return change_bucket(context, request, deps, true);
}
Result<Reply> update_bucket(const RequestContext& context, const Request& request, const Dependencies& deps) {
  return change_bucket(context, request, deps, false);
}

Status cancel_batches(catalog::Session& session, const catalog::Scope& scope, const std::string& bucket_id, TimestampUs now) {
  catalog::ListQuery query;
  query.kind = catalog::kind::kBatch;
  query.scope = scope;
  query.parent_id = bucket_id;
  query.limit = kPage;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, session.list(query));
    for (const auto& batch : page.items) {
      TaskStatus status = parse_task_status(string_member(batch.body, "status"));
      if (!is_terminal(status) && status != TaskStatus::kDraft)
        QUARRY_RETURN_IF_ERROR(pipeline::cancel_batch(session, scope, batch.id, now));
    }
    if (!page.has_more || page.items.empty()) return Ok{};
    query.after = page.last;
  }
}

// What a batch that is being cancelled still writes, its worker takes back when it finds the batch gone.
Status delete_bucket_documents(const RequestContext& context, const Dependencies& deps, const std::string& bucket_id) {
  catalog::ListQuery query;
  query.kind = catalog::kind::kObject;
  query.scope = namespace_scope(context);
  query.parent_id = bucket_id;
  query.sort = catalog::SortKey::kId;
  query.limit = kPage;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, deps.catalog->list(query));
    std::vector<std::string> ids;
    for (const auto& object : page.items) ids.push_back(object.id);
    QUARRY_RETURN_IF_ERROR(pipeline::delete_object_documents(*deps.catalog, *deps.vectors, query.scope, context.internal_id, ids));
    if (!page.has_more || page.items.empty()) return Ok{};
    query.after = page.last;
  }
}

Result<Reply> delete_bucket(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto bucket, find_resource(context, deps, catalog::kind::kBucket, request.param("bucket_identifier")));
  const catalog::Scope scope = namespace_scope(context);
  bool force = bool_member(request.query, "force_foreclose");
  auto check_idle = [&](catalog::Session& session) -> Status {
    if (force) return cancel_batches(session, scope, bucket.id, deps.clock->now_us());
    QUARRY_ASSIGN_OR_RETURN(uint64_t running, count_running_batches(session, scope, bucket.id));
    if (running > 0)
      return bad_request(fmt::format("Bucket '{}' has {} batches that have not ended: cancel them first, or pass force_foreclose=true",
                                     bucket.name, running));
    return Ok{};
  };
  QUARRY_RETURN_IF_ERROR(deps.catalog->write(check_idle));
  if (force && deps.engine) deps.engine->notify();
  QUARRY_RETURN_IF_ERROR(delete_bucket_documents(context, deps, bucket.id));
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    if (!force) QUARRY_RETURN_IF_ERROR(check_idle(session));
    for (std::string_view child : {catalog::kind::kObject, catalog::kind::kUpload, catalog::kind::kBatch, kObjectIndexKind})
      QUARRY_RETURN_IF_ERROR(session.remove_children(child, scope, bucket.id));
    return session.remove(catalog::kind::kBucket, scope, bucket.id);
  }));
  auto removed = objects::remove_prefix(*deps.store, fmt::format("{}/{}/blobs/{}/", context.internal_id, context.namespace_id, bucket.id));
  if (!removed.ok())
    log_warn("files of a deleted bucket are left for the sweep", {{"bucket_id", bucket.id}, {"reason", removed.error().message}});
  return Reply(json::object{{"success", true},
                            {"bucket_id", bucket.id},
                            {"message", "The bucket, its objects, their files and the documents made from them were deleted"}});
}

}  // namespace

Result<OpenBucket> open_bucket(const RequestContext& context, const Dependencies& deps, std::string_view identifier) {
  OpenBucket out;
  QUARRY_ASSIGN_OR_RETURN(out.resource, find_resource(context, deps, catalog::kind::kBucket, identifier));
  if (const json::value* schema = out.resource.body.if_contains("bucket_schema")) {
    QUARRY_ASSIGN_OR_RETURN(out.schema, parse_schema(*schema));
  }
  if (const json::object* key = object_member(out.resource.body, "unique_key")) {
    out.unique_fields = strings_member(*key, "fields");
    out.default_policy = string_member(*key, "default_policy", "insert");
  }
  return out;
}

Result<std::string> parse_policy(std::string_view name, const json::array& location) {
  if (name == "replace") return std::string("upsert");
  if (name == "insert" || name == "update" || name == "upsert" || name == "skip") return std::string(name);
  return validation_error("enum", location,
                          fmt::format("'{}' is no policy; there are insert, update, upsert and skip", name.substr(0, 100)));
}

Result<std::string> requested_policy(const Request& request, const OpenBucket& bucket) {
  std::string_view name = string_member(request.query, "policy");
  if (name.empty()) return std::string();
  QUARRY_ASSIGN_OR_RETURN(std::string policy, parse_policy(name, {"query", "policy"}));
  if (bucket.unique_fields.empty())
    return bad_request(fmt::format("policy '{}' needs a unique_key on bucket '{}'", policy, bucket.resource.name));
  return policy;
}

Status change_bucket_stats(catalog::Session& session, const catalog::Scope& scope, std::string_view bucket_id, const BucketChange& change,
                           TimestampUs now) {
  QUARRY_ASSIGN_OR_RETURN(auto bucket, session.get(catalog::kind::kBucket, scope, bucket_id));
  json::value& internal = bucket.body[pipeline::kInternalMember];
  if (!internal.is_object()) internal = json::object{};
  json::value& stored = internal.get_object()["stats"];
  if (!stored.is_object()) stored = json::object{};
  json::object& stats = stored.get_object();
  stats["objects"] = std::max<int64_t>(0, integer_member(stats, "objects").value_or(0) + change.objects);
  stats["bytes"] = std::max<int64_t>(0, integer_member(stats, "bytes").value_or(0) + change.bytes);
  if (change.uploaded) stats["last_upload_at"] = format_timestamp(now);
  return session.replace(bucket);
}

Result<uint64_t> count_running_batches(catalog::Session& session, const catalog::Scope& scope, std::string_view bucket_id) {
  catalog::ListQuery query;
  query.kind = catalog::kind::kBatch;
  query.scope = scope;
  query.parent_id = std::string(bucket_id);
  json::array statuses;
  for (TaskStatus status : {TaskStatus::kPending, TaskStatus::kQueued, TaskStatus::kInProgress, TaskStatus::kProcessing})
    statuses.emplace_back(to_string(status));
  QUARRY_ASSIGN_OR_RETURN(query.filter,
                          parse_filter(json::object{{"field", "status"}, {"operator", "in"}, {"value", std::move(statuses)}}));
  return session.count(query);
}

void bind_buckets(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_bucket", create_bucket);
  bind_operation(table, deps, "get_bucket", get_bucket);
  bind_operation(table, deps, "list_buckets", list_buckets);
  bind_operation(table, deps, "list_buckets_get", list_buckets);
  bind_operation(table, deps, "patch_bucket", patch_bucket);
  bind_operation(table, deps, "update_bucket", update_bucket);
  bind_operation(table, deps, "delete_bucket", delete_bucket);
}

}  // namespace quarry::service
