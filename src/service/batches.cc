// Batches: which objects of a bucket are processed together.
#include "service/batches.h"

#include <fmt/format.h>

#include <set>

#include "service/binding.h"
#include "service/json_access.h"
#include "service/listing.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

using catalog::kind::kBatch;
using catalog::kind::kObject;

constexpr size_t kShownObjects = 100'000, kListedObjects = 1'000;
constexpr size_t kPage = 1'000;

TaskStatus status_of(const catalog::Resource& batch) { return parse_task_status(string_member(batch.body, "status")); }

Status check_objects(catalog::Session& session, const catalog::Scope& scope, const OpenBucket& bucket,
                     const std::vector<std::string>& ids) {
  json::array missing;
  for (const std::string& id : ids) {
    auto object = session.get(kObject, scope, id);
    if (!object.ok() && object.error().kind != ErrorKind::kNotFound) return std::move(object).error();
    if (!object.ok() || object->parent_id != bucket.id()) missing.emplace_back(id);
  }
  if (missing.empty()) return Ok{};
  std::string message = fmt::format("{} of the objects are not in bucket '{}'", missing.size(), bucket.resource.name);
  if (missing.size() > 100) missing.resize(100);
  return Error{ErrorKind::kNotFound, std::move(message), {{"missing_object_ids", std::move(missing)}}};
}

json::object batch_attributes(const RequestContext& context, const json::object& given) {
  json::object out{{"submitted_by_key_id", context.key_id}};
  copy_members(out, given, {"batch_name", "metadata", "dedup_strategy", "collection_ids"});
  if (const json::value* dedup = given.if_contains("dedup_strategy"))
    out["effective_dedup_strategy"] = *dedup;
  else
    out["effective_dedup_strategy"] = "replace";
  return out;
}

bool wants_submission(const Request& request) {
  for (std::string_view name : {"auto_submit", "trigger_processing"})
    if (bool_member(request.query, name) || bool_member(request.object(), name)) return true;
  return false;
}

// Named objects, those that match the filters, or, with neither, none yet: they can be added before the batch is submitted.
Result<std::vector<std::string>> chosen_objects(catalog::Session& session, const RequestContext& context, const Request& request,
                                                const OpenBucket& bucket) {
  const json::object& body = request.object();
  const catalog::Scope scope = namespace_scope(context);
  const json::object* filters = object_member(body, "filters");
  auto limit = integer_member(body, "limit");
  if (array_member(body, "object_ids")) {
    if (filters) return bad_request("a batch is made from object_ids or from filters, not from both");
    std::vector<std::string> ids = strings_member(body, "object_ids");
    if (ids.size() > pipeline::kMaxBatchObjects)
      return bad_request(fmt::format("a batch holds at most {} objects", pipeline::kMaxBatchObjects));
    if (!bool_member(request.query, "skip_validation")) QUARRY_RETURN_IF_ERROR(check_objects(session, scope, bucket, ids));
    return ids;
  }
  if (!filters && !limit) return std::vector<std::string>{};
  Filter filter;
  if (filters) {
    QUARRY_ASSIGN_OR_RETURN(filter, parse_filter(*filters));
  }
  return select_objects(session, scope, bucket.id(), filter, limit ? static_cast<size_t>(*limit) : kNoLimit);
}

Result<Reply> create_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  const catalog::Scope scope = namespace_scope(context);
  std::string batch_id;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    pipeline::NewBatch wanted{bucket.id(), {}, batch_attributes(context, request.object())};
    QUARRY_ASSIGN_OR_RETURN(wanted.object_ids, chosen_objects(session, context, request, bucket));
    QUARRY_ASSIGN_OR_RETURN(auto batch, pipeline::create_batch(session, scope, wanted, context.clock->now_us()));
    batch_id = batch.id;
    if (!wants_submission(request)) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(Task task, submit_in(session, context, batch_id, strings_member(request.object(), "collection_ids")));
    return Ok{};
  }));
  if (wants_submission(request) && deps.engine) deps.engine->notify();
  return reply_batch(context, deps, batch_id);
}

Result<Reply> add_objects(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto batch, find_batch(context, deps, &bucket, request.param("batch_id")));
  std::vector<std::string> ids = strings_member(request.object(), "object_ids");
  bool trusted = bool_member(request.query, "skip_validation");
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    if (!trusted) QUARRY_RETURN_IF_ERROR(check_objects(session, namespace_scope(context), bucket, ids));
    return pipeline::add_batch_objects(session, namespace_scope(context), batch.id, ids, context.clock->now_us());
  }));
  return reply_batch(context, deps, batch.id);
}

Result<Reply> get_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto batch, find_batch(context, deps, &bucket, request.param("batch_id")));
  return reply_batch(context, deps, batch.id);
}

Result<Reply> get_any_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto batch, find_batch(context, deps, nullptr, request.param("batch_id")));
  return reply_batch(context, deps, batch.id);
}

// The contract's flat members as a filter over the batches' bodies.
Result<Filter> list_filter(const RequestContext& context, const json::object& body) {
  std::vector<Filter> all;
  if (std::string_view status = string_member(body, "status"); !status.empty()) all.push_back(equals("status", json::value(status)));
  if (std::string_view id = string_member(body, "collection_id"); !id.empty()) all.push_back(equals("collection_ids", json::value(id)));
  std::string_view ns = string_member(body, "namespace_id");
  if (!ns.empty() && ns != context.namespace_id)
    return bad_request("namespace_id differs from the namespace of X-Namespace; batches are listed one namespace at a time");
  return all_of(std::move(all));
}

Result<Reply> list_batches_of(const RequestContext& context, const Request& request, const Dependencies& deps,
                              std::optional<std::string> bucket_id) {
  QUARRY_ASSIGN_OR_RETURN(auto page, parse_page(request));
  QUARRY_ASSIGN_OR_RETURN(auto query, make_list_query(kBatch, namespace_scope(context), request, page));
  QUARRY_ASSIGN_OR_RETURN(Filter filter, list_filter(context, request.object()));
  query.filter = all_of({std::move(query.filter), std::move(filter)});
  query.parent_id = std::move(bucket_id);
  catalog::ResourcePage found;
  json::array results;
  QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
    results.clear();
    QUARRY_ASSIGN_OR_RETURN(found, session.list(query));
    for (const auto& batch : found.items) {
      QUARRY_ASSIGN_OR_RETURN(json::object shown, show_batch(session, batch, kListedObjects));
      results.push_back(std::move(shown));
    }
    return Ok{};
  }));
  json::object reply;
  reply["total_count"] = found.total.value_or(results.size());
  reply["pagination"] = pagination_of(query, page, found);
  reply["results"] = std::move(results);
  return Reply(std::move(reply));
}

Result<Reply> list_batches(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  return list_batches_of(context, request, deps, bucket.id());
}

Result<Reply> list_all_batches(const RequestContext& context, const Request& request, const Dependencies& deps) {
  std::string_view bucket = string_member(request.object(), "bucket_id");
  if (bucket.empty()) return list_batches_of(context, request, deps, std::nullopt);
  QUARRY_ASSIGN_OR_RETURN(OpenBucket opened, open_bucket(context, deps, bucket));
  return list_batches_of(context, request, deps, opened.id());
}

Result<Reply> patch_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto batch, find_batch(context, deps, &bucket, request.param("batch_id")));
  const json::object* metadata = object_member(request.object(), "metadata");
  auto stored = deps.catalog->update(kBatch, namespace_scope(context), batch.id, [&](catalog::Resource& r) -> Status {
    json::object changed = object_member(r.body, "metadata") ? *object_member(r.body, "metadata") : json::object{};
    if (metadata) merge_patch(changed, *metadata);
    r.body["metadata"] = std::move(changed);
    return Ok{};
  });
  QUARRY_RETURN_IF_ERROR(stored);
  return reply_batch(context, deps, batch.id);
}

// The documents that the batch wrote stay.
Result<Reply> delete_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto batch, find_batch(context, deps, &bucket, request.param("batch_id")));
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto current, session.get(kBatch, namespace_scope(context), batch.id));
    TaskStatus status = status_of(current);
    if (!is_terminal(status) && status != TaskStatus::kDraft)
      return bad_request(fmt::format("Batch '{}' is {}: cancel it first", batch.id, to_string(status)));
    return session.remove(kBatch, namespace_scope(context), batch.id);
  }));
  return Reply(json::object{{"success", true}, {"message", "The batch was deleted; its documents stay"}});
}

// Which batches wait or run, oldest first.
Result<Reply> queue_status(const RequestContext& context, const Request&, const Dependencies& deps) {
  catalog::ListQuery query;
  query.kind = kBatch;
  query.scope = namespace_scope(context);
  query.descending = false;
  query.limit = kPage;
  QUARRY_ASSIGN_OR_RETURN(
      query.filter,
      parse_filter(
          json::object{{"field", "status"}, {"operator", "in"}, {"value", json::array{"PENDING", "QUEUED", "IN_PROGRESS", "PROCESSING"}}}));
  QUARRY_ASSIGN_OR_RETURN(auto page, deps.catalog->list(query));
  json::array queued, active;
  for (const auto& batch : page.items) {
    json::object entry;
    copy_members(entry, batch.body, {"batch_id", "bucket_id", "status", "task_id", "object_count", "progress"});
    bool waits = status_of(batch) == TaskStatus::kPending || status_of(batch) == TaskStatus::kQueued;
    if (waits) entry["queue_position"] = queued.size() + 1;
    (waits ? queued : active).push_back(std::move(entry));
  }
  size_t waiting = queued.size(), running = active.size();
  return Reply(json::object{{"queued_count", waiting},
                            {"active_count", running},
                            {"queued", std::move(queued)},
                            {"active", std::move(active)},
                            {"truncated", page.has_more}});
}

}  // namespace

Result<catalog::Resource> find_batch(const RequestContext& context, const Dependencies& deps, const OpenBucket* bucket,
                                     std::string_view batch_id) {
  auto found = deps.catalog->get(kBatch, namespace_scope(context), batch_id);
  bool absent = found.ok() ? bucket && found->parent_id != bucket->id() : found.error().kind == ErrorKind::kNotFound;
  if (absent) return not_found(fmt::format("Batch '{}' not found", batch_id.substr(0, 300)));
  return found;
}

Result<json::object> show_batch(catalog::Session& session, const catalog::Resource& batch, size_t max_object_ids) {
  json::object out = show(batch);
  int64_t count = integer_member(out, "object_count").value_or(0);
  if (count <= static_cast<int64_t>(max_object_ids)) {
    QUARRY_ASSIGN_OR_RETURN(auto ids, pipeline::batch_objects(session, batch.id, 0, max_object_ids));
    out["object_ids"] = to_array(ids);
  }
  return out;
}

Result<Reply> reply_batch(const RequestContext& context, const Dependencies& deps, const std::string& batch_id) {
  json::object shown;
  QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto batch, session.get(kBatch, namespace_scope(context), batch_id));
    QUARRY_ASSIGN_OR_RETURN(shown, show_batch(session, batch, kShownObjects));
    return Ok{};
  }));
  return Reply(std::move(shown));
}

Result<std::vector<std::string>> select_objects(catalog::Session& session, const catalog::Scope& scope, const std::string& bucket_id,
                                                const Filter& filter, size_t limit) {
  std::vector<std::string> ids;
  catalog::ListQuery query;
  query.kind = kObject;
  query.scope = scope;
  query.parent_id = bucket_id;
  query.filter = filter;
  query.descending = false;
  for (;;) {
    query.limit = std::min(kPage, limit - ids.size());
    if (query.limit == 0) return ids;
    QUARRY_ASSIGN_OR_RETURN(auto page, session.list(query));
    for (const auto& object : page.items) ids.push_back(object.id);
    if (ids.size() > pipeline::kMaxBatchObjects)
      return bad_request(
          fmt::format("more than {} objects of bucket '{}' match: narrow the selection", pipeline::kMaxBatchObjects, bucket_id));
    if (!page.has_more || page.items.empty()) return ids;
    query.after = page.last;
  }
}

void bind_batches(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_batch_buckets_batches", create_batch);
  bind_operation(table, deps, "add_objects_to_batch_buckets_batches", add_objects);
  bind_operation(table, deps, "get_batch_buckets_batches", get_batch);
  bind_operation(table, deps, "get_batch_by_id_batches", get_any_batch);
  bind_operation(table, deps, "list_batches_buckets", list_batches);
  bind_operation(table, deps, "list_all_batches", list_all_batches);
  bind_operation(table, deps, "patch_batch_buckets_batches", patch_batch);
  bind_operation(table, deps, "delete_batch_buckets_batches", delete_batch);
  bind_operation(table, deps, "get_queue_status_batches", queue_status);
  bind_batch_submission(table, deps);
}

}  // namespace quarry::service
