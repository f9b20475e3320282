// Runs a collection over what its buckets hold: one batch per bucket.
#include <fmt/format.h>

#include <set>

#include "service/binding.h"
#include "service/collections.h"
#include "service/json_access.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr size_t kPage = 1'000;

struct Selection {
  std::set<std::string> object_ids;  // empty: all
  Filter filter;
};

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

Result<std::vector<std::string>> chosen_objects(const RequestContext& context, const Dependencies& deps, const std::string& bucket_id,
                                                const Selection& selection) {
  std::vector<std::string> ids;
  catalog::ListQuery query;
  query.kind = catalog::kind::kObject;
  query.scope = namespace_scope(context);
  query.parent_id = bucket_id;
  query.filter = selection.filter;
  query.descending = false;
  query.limit = kPage;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, deps.catalog->list(query));
    for (const auto& object : page.items)
      if (selection.object_ids.empty() || selection.object_ids.contains(object.id)) ids.push_back(object.id);
    if (ids.size() > pipeline::kMaxBatchObjects)
      return bad_request(fmt::format("bucket '{}' holds more than {} objects; trigger with object_ids or source_filters", bucket_id,
                                     pipeline::kMaxBatchObjects));
    if (!page.has_more || page.items.empty()) return ids;
    query.after_id = page.items.back().id;
  }
}

struct Submitted {
  std::string batch_id, task_id;
  size_t tiers = 0;
};

Result<Submitted> submit(const RequestContext& context, const Dependencies& deps, const OpenCollection& opened, pipeline::NewBatch batch) {
  Submitted out;
  const catalog::Scope scope = namespace_scope(context);
  const std::vector<std::string> only{opened.resource.id};
  TimestampUs now = deps.clock->now_us();
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto tiers, pipeline::plan_tiers(session, scope, batch.bucket_id, only));
    out.tiers = tiers.size();
    QUARRY_ASSIGN_OR_RETURN(auto stored, pipeline::create_batch(session, scope, batch, now));
    out.batch_id = stored.id;
    QUARRY_ASSIGN_OR_RETURN(auto task, pipeline::submit_batch(session, scope, context.internal_id, stored.id, only, now));
    out.task_id = task.task_id;
    return Ok{};
  }));
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
  Selection selection;
  for (auto& id : strings_member(body, "object_ids")) selection.object_ids.insert(std::move(id));
  if (const json::value* filters = body.if_contains("source_filters")) {
    QUARRY_ASSIGN_OR_RETURN(selection.filter, parse_filter(*filters));
  }
  std::vector<pipeline::NewBatch> batches;
  Triggered triggered;
  for (const auto& bucket : buckets) {
    QUARRY_ASSIGN_OR_RETURN(auto objects, chosen_objects(context, deps, bucket, selection));
    if (objects.empty()) continue;
    triggered.objects += objects.size();
    json::object attributes{{"collection_ids", json::array{opened.resource.id}}, {"submitted_by_key_id", context.key_id}};
    copy_members(attributes, body, {"dedup_strategy"});
    batches.push_back({bucket, std::move(objects), std::move(attributes)});
  }
  if (!selection.object_ids.empty() && triggered.objects < selection.object_ids.size())
    return not_found(fmt::format("{} of the {} object_ids are in none of the collection's buckets",
                                 selection.object_ids.size() - triggered.objects, selection.object_ids.size()));
  if (batches.empty()) return bad_request(fmt::format("there are no objects to process for collection '{}'", opened.collection.name));
  for (auto& batch : batches) {
    triggered.bucket_ids.emplace_back(batch.bucket_id);
    QUARRY_ASSIGN_OR_RETURN(auto submitted, submit(context, deps, opened, std::move(batch)));
    triggered.batch_ids.emplace_back(std::move(submitted.batch_id));
    triggered.task_ids.emplace_back(std::move(submitted.task_id));
    triggered.tiers = std::max(triggered.tiers, submitted.tiers);
  }
  if (deps.engine) deps.engine->notify();
  return Reply(202, show_triggered(opened, std::move(triggered)));
}

}  // namespace

void bind_collection_trigger(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "trigger_collection", trigger_collection);
}

}  // namespace quarry::service
