// Objects: one raw item of a bucket each, with the blobs it refers to.
#include <fmt/format.h>

#include "model/ids.h"
#include "service/binding.h"
#include "service/json_access.h"
#include "service/listing.h"
#include "service/object_view.h"
#include "service/object_writer.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

using catalog::kind::kObject;

Result<ObjectToWrite> prepare(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket, const json::object& given,
                              std::string policy) {
  ObjectToWrite out;
  QUARRY_ASSIGN_OR_RETURN(out.prepared, prepare_object(context, deps, bucket, given, new_id("obj")));
  out.options.policy = std::move(policy);
  out.options.skip_duplicates = bool_member(given, "skip_duplicates");
  out.options.idempotency_key = string_member(given, "idempotency_key");
  return out;
}

// How `auto_process` went, beside the object: a bucket without collections still takes objects.
Status add_processing(const RequestContext& context, const Dependencies& deps, const std::string& bucket_id,
                      const std::vector<std::string>& ids, json::object& reply) {
  if (ids.empty()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(Submission submission, process_objects(context, deps, bucket_id, ids));
  json::object shown{{"submitted", submission.reason.empty()}};
  if (submission.reason.empty()) {
    shown["batch_id"] = submission.batch_id;
    shown["task_id"] = submission.task_id;
  } else {
    shown["reason"] = submission.reason;
  }
  reply["auto_process"] = std::move(shown);
  return Ok{};
}

Result<Reply> create_object(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(std::string policy, requested_policy(request, bucket));
  std::vector<ObjectToWrite> objects;
  QUARRY_ASSIGN_OR_RETURN(ObjectToWrite prepared, prepare(context, deps, bucket, request.object(), std::move(policy)));
  objects.push_back(std::move(prepared));
  QUARRY_ASSIGN_OR_RETURN(auto results, write_objects(context, deps, bucket, std::move(objects)));
  QUARRY_ASSIGN_OR_RETURN(WrittenObject written, std::move(results.front()));
  json::object reply = show_object(written.object, deps, false);
  if (!written.replayed_by.empty()) {
    reply["replayed"] = true;
    reply["replayed_by"] = written.replayed_by;
  } else if (bool_member(request.query, "auto_process")) {
    QUARRY_RETURN_IF_ERROR(add_processing(context, deps, bucket.id(), {written.object.id}, reply));
  }
  return Reply(std::move(reply));
}

json::object failed_entry(size_t index, const Error& error) {
  return {{"object_index", index}, {"error", error.message}, {"error_type", to_string(error.kind)}, {"details", error.details}};
}

Result<Reply> create_objects_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(std::string policy, requested_policy(request, bucket));
  const json::array* given = array_member(request.object(), "objects");
  size_t total = given ? given->size() : 0;
  if (total == 0) return validation_error("too_short", {"body", "objects"}, "give at least one object");
  json::array succeeded, failed;
  std::vector<ObjectToWrite> objects;
  std::vector<size_t> index;
  for (size_t i = 0; i < total; ++i) {
    static const json::object kEmpty;
    const json::object* one = (*given)[i].if_object();
    auto prepared = prepare(context, deps, bucket, one ? *one : kEmpty, policy);
    if (!prepared.ok()) {
      failed.push_back(failed_entry(i, prepared.error()));
      continue;
    }
    objects.push_back(std::move(prepared).value());
    index.push_back(i);
  }
  QUARRY_ASSIGN_OR_RETURN(auto results, write_objects(context, deps, bucket, std::move(objects)));
  std::vector<std::string> fresh;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].ok()) {
      failed.push_back(failed_entry(index[i], results[i].error()));
      continue;
    }
    json::object shown = show_object(results[i]->object, deps, false);
    shown["object_index"] = index[i];
    shown["replayed"] = !results[i]->replayed_by.empty();
    if (!results[i]->replayed_by.empty())
      shown["replayed_by"] = results[i]->replayed_by;
    else
      fresh.push_back(results[i]->object.id);
    succeeded.push_back(std::move(shown));
  }
  json::object reply{{"total_requested", total}, {"succeeded_count", succeeded.size()}, {"failed_count", failed.size()}};
  reply["succeeded"] = std::move(succeeded);
  reply["failed"] = std::move(failed);
  if (bool_member(request.query, "auto_process")) QUARRY_RETURN_IF_ERROR(add_processing(context, deps, bucket.id(), fresh, reply));
  return Reply(std::move(reply));
}

Result<Reply> get_object(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto object, find_object(context, deps, &bucket, request.param("object_identifier")));
  json::object reply = show_object(object, deps, bool_member(request.query, "return_presigned_urls"));
  if (bool_member(request.query, "include_document_count")) {
    QUARRY_ASSIGN_OR_RETURN(reply["document_count"], count_object_documents(context, deps, object.id));
  }
  return Reply(std::move(reply));
}

// Objects have no names: a search looks at ids, prefixes and file names.
Result<Filter> search_filter(std::string_view text) {
  json::array any;
  for (std::string_view field : {"object_id", "key_prefix", "blobs.details.filename", "blobs.property"})
    any.push_back(json::object{{"field", field}, {"operator", "contains"}, {"value", text}});
  return parse_filter(json::object{{"OR", std::move(any)}});
}

json::object list_stats(const json::array& objects) {
  int64_t blobs = 0;
  json::object by_status;
  for (const auto& object : objects) {
    if (const json::array* list = array_member(object.as_object(), "blobs")) blobs += static_cast<int64_t>(list->size());
    std::string_view status = string_member(object.as_object(), "status", "UNKNOWN");
    by_status[status] = integer_member(by_status, status).value_or(0) + 1;
  }
  double mean = objects.empty() ? 0.0 : static_cast<double>(blobs) / static_cast<double>(objects.size());
  return {{"total_objects", objects.size()},
          {"total_blobs", blobs},
          {"avg_blobs_per_object", mean},
          {"objects_by_status", std::move(by_status)}};
}

json::object selected(json::object shown, const std::vector<std::string>& fields) {
  if (fields.empty()) return shown;
  json::object out;
  copy_members(out, shown, {"object_id", "bucket_id"});
  for (const std::string& field : fields)
    if (const json::value* value = shown.if_contains(field)) out[field] = *value;
  return out;
}

Result<Reply> list_objects(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto page, parse_page(request));
  QUARRY_ASSIGN_OR_RETURN(auto query, make_list_query(kObject, namespace_scope(context), request, page));
  query.parent_id = bucket.id();
  if (!query.name_contains.empty()) {
    QUARRY_ASSIGN_OR_RETURN(Filter search, search_filter(query.name_contains));
    query.filter = all_of({std::move(query.filter), std::move(search)});
    query.name_contains.clear();
  }
  bool presigned = bool_member(request.object(), "return_presigned_urls");
  std::vector<std::string> fields = strings_member(request.object(), "select");
  json::array whole;
  auto show_one = [&](const catalog::Resource& r) -> Result<json::object> {
    json::object shown = show_object(r, deps, presigned);
    whole.push_back(shown);
    return selected(std::move(shown), fields);
  };
  QUARRY_ASSIGN_OR_RETURN(json::object reply, list_resources(deps, query, page, show_one));
  reply["stats"] = list_stats(whole);
  return Reply(std::move(reply));
}

json::object user_fields(const json::object& body) {
  json::object out;
  for (const auto& [name, value] : body)
    if (!pipeline::is_object_member(name)) out[name] = value;
  return out;
}

// Content, prefix and edges are what is stored.
bool changes_nothing(const catalog::Resource& object, const PreparedObject& prepared) {
  auto is_stored = [&](std::string_view name, const json::value& value) {
    const json::value* stored = object.body.if_contains(name);
    return stored ? *stored == value : value.is_null();
  };
  const json::object* internal = object_member(object.body, pipeline::kInternalMember);
  return internal && string_member(*internal, "content_hash") == prepared.content_hash && is_stored("key_prefix", prepared.key_prefix) &&
         is_stored("edges", prepared.edges);
}

// PATCH merges fields and replaces the blobs of the properties it names; PUT sets all fields and, if it has any, all blobs. Either way the
// object is PENDING again, unless skip_duplicates finds nothing changed; its documents stay as they are until it is processed.
Result<Reply> change_object(const RequestContext& context, const Request& request, const Dependencies& deps, bool merge) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto object, find_object(context, deps, &bucket, request.param("object_identifier")));
  const json::object& given = request.object();
  json::object fields = merge ? user_fields(object.body) : json::object{};
  json::object changes;
  for (const auto& [name, value] : given)
    if (!is_request_member(name)) changes[name] = value;
  merge_patch(fields, changes);
  QUARRY_ASSIGN_OR_RETURN(PreparedObject prepared, prepare_change(context, deps, bucket, object.body, std::move(fields), given, !merge));
  if (bool_member(given, "skip_duplicates") && changes_nothing(object, prepared)) return Reply(show_object(object, deps, false));
  QUARRY_ASSIGN_OR_RETURN(auto stored, replace_object(context, deps, bucket, object, std::move(prepared)));
  return Reply(show_object(stored, deps, false));
}

Result<Reply> patch_object(const RequestContext& context, const Request& request, const Dependencies& deps) {
  return change_object(context, request, deps, true);
}
Result<Reply> update_object(const RequestContext& context, const Request& request, const Dependencies& deps) {
  return change_object(context, request, deps, false);
}

Result<Reply> delete_object(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto object, find_object(context, deps, &bucket, request.param("object_identifier")));
  QUARRY_ASSIGN_OR_RETURN(size_t removed, remove_objects(context, deps, bucket.id(), {object.id}));
  if (removed == 0) return not_found(fmt::format("Object '{}' not found in bucket '{}'", object.id, bucket.resource.name));
  return Reply(204, json::value());
}

// The objects and their files stay; batches leave them out and what was made from them is no longer found.
Result<Reply> bulk_soft_delete(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  const json::object& given = request.object();
  std::string state(string_member(given, "lifecycle_state", "disabled"));
  if (state != "disabled" && state != "active")
    return validation_error("enum", {"body", "lifecycle_state"}, "lifecycle_state is 'disabled' or 'active'");
  std::vector<std::string> ids = strings_member(given, "object_ids"), changed;
  json::object note{{"reason", string_member(given, "reason")},
                    {"source", string_member(given, "source", "bulk_purge")},
                    {"at", format_timestamp(context.clock->now_us())}};
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    changed.clear();
    for (const std::string& id : ids) {
      auto object = session.get(kObject, namespace_scope(context), id);
      if (!object.ok() && object.error().kind != ErrorKind::kNotFound) return std::move(object).error();
      if (!object.ok() || object->parent_id != bucket.id()) continue;
      object->body["lifecycle_state"] = state;
      json::value& internal = object->body[pipeline::kInternalMember];
      if (!internal.is_object()) internal = json::object{};
      internal.get_object()["soft_delete"] = note;
      QUARRY_RETURN_IF_ERROR(session.replace(*object));
      changed.push_back(id);
    }
    return Ok{};
  }));
  uint64_t collections = 0;
  if (state == "disabled") {
    QUARRY_RETURN_IF_ERROR(
        pipeline::delete_object_documents(*deps.catalog, *deps.vectors, namespace_scope(context), context.internal_id, changed));
    catalog::ListQuery query;
    query.kind = catalog::kind::kCollection;
    query.scope = namespace_scope(context);
    QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(collections, session.count(query));
      return Ok{};
    }));
  }
  return Reply(json::object{{"soft_deleted", changed.size()}, {"requested", ids.size()}, {"collections", collections}});
}

}  // namespace

void bind_objects(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_object_buckets", create_object);
  bind_operation(table, deps, "create_objects_batch_buckets", create_objects_batch);
  bind_operation(table, deps, "get_object_buckets", get_object);
  bind_operation(table, deps, "list_objects_buckets", list_objects);
  bind_operation(table, deps, "list_objects_get_buckets", list_objects);
  bind_operation(table, deps, "patch_object_buckets", patch_object);
  bind_operation(table, deps, "update_object_buckets", update_object);
  bind_operation(table, deps, "delete_object_buckets", delete_object);
  bind_operation(table, deps, "bulk_soft_delete_objects_buckets", bulk_soft_delete);
  bind_object_aggregate(table, deps);
}

}  // namespace quarry::service
