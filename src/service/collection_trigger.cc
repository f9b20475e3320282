// Runs a collection over what its buckets hold: one batch per bucket, all in one transaction.
#include <fmt/format.h>

#include <map>
#include <set>

#include "service/batches.h"
#include "service/binding.h"
#include "service/collections.h"
#include "service/json_access.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

using ObjectsByBucket = std::map<std::string, std::vector<std::string>>;

// The buckets whose objects reach the collection, narrowed by `include_buckets` (ids or names).
Result<std::vector<std::string>> chosen_buckets(const RequestContext& context, const Dependencies& deps, const OpenCollection& opened,
                                                const json::object& body) {
  std::vector<std::string> fed = opened.collection.source.bucket_ids;
  if (const json::object* source = object_member(opened.resource.body, "source"))
    for (auto& bucket : strings_member(*source, "inherited_bucket_ids")) fed.push_back(std::move(bucket));
  auto wanted = strings_member(body, "include_buckets");
  if (wanted.empty()) return fed;
  std::vector<std::string> out;
  for (const auto& identifier : wanted) {
    QUARRY_ASSIGN_OR_RETURN(auto bucket, find_resource(context, deps, catalog::kind::kBucket, identifier));
    if (std::find(fed.begin(), fed.end(), bucket.id) == fed.end())
      return bad_request(fmt::format("bucket '{}' does not feed collection '{}'", identifier, opened.collection.name));
    out.push_back(bucket.id);
  }
  return out;
}

// The objects that were named, by bucket; those that do not match are left out.
Result<ObjectsByBucket> named_objects(catalog::Session& session, const catalog::Scope& scope, const std::vector<std::string>& buckets,
                                      const std::set<std::string>& ids, const Filter& filter) {
  ObjectsByBucket out;
  size_t elsewhere = 0;
  for (const std::string& id : ids) {
    auto object = session.get(catalog::kind::kObject, scope, id);
    if (!object.ok() && object.error().kind != ErrorKind::kNotFound) return std::move(object).error();
    if (!object.ok() || std::find(buckets.begin(), buckets.end(), object->parent_id) == buckets.end())
      ++elsewhere;
    else if (matches(filter, object->body))
      out[object->parent_id].push_back(id);
  }
  if (elsewhere == 0) return out;
  return not_found(fmt::format("{} of the {} object_ids are in none of the collection's buckets", elsewhere, ids.size()));
}

Result<ObjectsByBucket> chosen_objects(catalog::Session& session, const catalog::Scope& scope, const std::vector<std::string>& buckets,
                                       const json::object& body) {
  Filter filter;
  if (const json::value* filters = body.if_contains("source_filters")) {
    QUARRY_ASSIGN_OR_RETURN(filter, parse_filter(*filters));
  }
  auto named = strings_member(body, "object_ids");
  if (!named.empty()) return named_objects(session, scope, buckets, {named.begin(), named.end()}, filter);
  ObjectsByBucket out;
  for (const std::string& bucket : buckets) {
    QUARRY_ASSIGN_OR_RETURN(auto ids, select_objects(session, scope, bucket, filter, kNoLimit));
    if (!ids.empty()) out[bucket] = std::move(ids);
  }
  return out;
}

Status check_request(const OpenCollection& opened, const json::object& body) {
  QUARRY_RETURN_IF_ERROR(check_writable(opened.collection));
  if (body.contains("reembed")) return Error{ErrorKind::kNotImplemented, "'reembed' is not built yet"};
  if (const json::array* narrowed = array_member(body, "include_collections"); narrowed && !narrowed->empty())
    return Error{ErrorKind::kNotImplemented, "'include_collections' is not built yet; a trigger takes all of the collection's sources"};
  if (!opened.collection.enabled) return bad_request(fmt::format("collection '{}' is disabled", opened.collection.name));
  if (opened.collection.source.type == "none")
    return bad_request(fmt::format("collection '{}' has no source to process: its documents are written directly", opened.collection.name));
  return Ok{};
}

struct Triggered {
  json::array bucket_ids, batch_ids, task_ids;
  size_t objects = 0, tiers = 0;
};

Status submit(catalog::Session& session, const RequestContext& context, const OpenCollection& opened, const pipeline::NewBatch& batch,
              Triggered& out) {
  const catalog::Scope scope = namespace_scope(context);
  const std::vector<std::string> only{opened.resource.id};
  TimestampUs now = context.clock->now_us();
  QUARRY_ASSIGN_OR_RETURN(auto tiers, pipeline::plan_tiers(session, scope, batch.bucket_id, only));
  QUARRY_ASSIGN_OR_RETURN(auto stored, pipeline::create_batch(session, scope, batch, now));
  QUARRY_ASSIGN_OR_RETURN(auto task, submit_in(session, context, stored.id, only));
  out.bucket_ids.emplace_back(batch.bucket_id);
  out.batch_ids.emplace_back(stored.id);
  out.task_ids.emplace_back(task.task_id);
  out.objects += batch.object_ids.size();
  out.tiers = std::max(out.tiers, tiers.size());
  return Ok{};
}

json::object show_triggered(const OpenCollection& opened, Triggered t) {
  json::object reply{{"collection_id", opened.resource.id}, {"batch_id", t.batch_ids.front()}, {"task_id", t.task_ids.front()}};
  reply["message"] = fmt::format("{} objects in {} batches were submitted", t.objects, t.batch_ids.size());
  reply["batch_count"] = t.batch_ids.size();
  reply["object_count"] = t.objects;
  reply["total_tiers"] = t.tiers;
  reply["source_bucket_ids"] = std::move(t.bucket_ids);
  reply["source_collection_ids"] = to_array(opened.collection.source.collection_ids);
  reply["batch_ids"] = std::move(t.batch_ids);
  reply["task_ids"] = std::move(t.task_ids);
  return reply;
}

Result<Reply> trigger_collection(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  QUARRY_ASSIGN_OR_RETURN(auto opened, open_collection(context, deps, request.param("collection_identifier")));
  QUARRY_RETURN_IF_ERROR(check_request(opened, body));
  QUARRY_ASSIGN_OR_RETURN(auto buckets, chosen_buckets(context, deps, opened, body));
  json::object attributes{{"collection_ids", json::array{opened.resource.id}}, {"submitted_by_key_id", context.key_id}};
  copy_members(attributes, body, {"dedup_strategy"});
  Triggered triggered;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    triggered = {};
    QUARRY_ASSIGN_OR_RETURN(auto chosen, chosen_objects(session, namespace_scope(context), buckets, body));
    if (chosen.empty()) return bad_request(fmt::format("there are no objects to process for collection '{}'", opened.collection.name));
    for (auto& [bucket, ids] : chosen)
      QUARRY_RETURN_IF_ERROR(submit(session, context, opened, {bucket, std::move(ids), attributes}, triggered));
    return Ok{};
  }));
  if (deps.engine) deps.engine->notify();
  return Reply(202, show_triggered(opened, std::move(triggered)));
}

}  // namespace

void bind_collection_trigger(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "trigger_collection", trigger_collection);
}

}  // namespace quarry::service
