// Batches on their way: submit, cancel, retry, what failed.
#include <fmt/format.h>

#include "model/ids.h"
#include "service/batches.h"
#include "service/binding.h"
#include "service/json_access.h"
#include "service/paging.h"
#include "service/resources.h"
#include "service/task_view.h"

namespace quarry::service {
namespace {

using catalog::kind::kBatch;

constexpr size_t kPage = 500;
constexpr size_t kMaxFailures = 11'000;  // offset and limit of the largest page

struct Target {
  OpenBucket bucket;
  catalog::Resource batch;
};

Result<Target> find_target(const RequestContext& context, const Request& request, const Dependencies& deps) {
  Target out;
  QUARRY_ASSIGN_OR_RETURN(out.bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(out.batch, find_batch(context, deps, &out.bucket, request.param("batch_id")));
  return out;
}

std::vector<std::string> wanted_collections(const json::object& request, const json::object& batch_body) {
  std::vector<std::string> ids = strings_member(request, "collection_ids");
  return ids.empty() ? strings_member(batch_body, "collection_ids") : ids;
}

// Objects are processed whether or not their documents are there already.
Status force_processing(catalog::Session& session, const RequestContext& context, const std::string& batch_id) {
  QUARRY_ASSIGN_OR_RETURN(auto batch, session.get(kBatch, namespace_scope(context), batch_id));
  batch.body["dedup_strategy"] = batch.body["effective_dedup_strategy"] = "force";
  return session.replace(batch);
}

Result<Reply> submit_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(Target target, find_target(context, request, deps));
  Task task;
  std::string_view webhook = string_member(request.object(), "webhook_url");
  if (!webhook.empty())
    return Error{ErrorKind::kNotImplemented, "'webhook_url' of a submission is not built yet; poll the batch or its task"};
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    if (bool_member(request.query, "force")) QUARRY_RETURN_IF_ERROR(force_processing(session, context, target.batch.id));
    QUARRY_ASSIGN_OR_RETURN(task, submit_in(session, context, target.batch.id, wanted_collections(request.object(), target.batch.body)));
    return Ok{};
  }));
  if (deps.engine) deps.engine->notify();
  return Reply(show_task(task));
}

// Drafts of the bucket, oldest first.
Result<std::vector<catalog::Resource>> list_drafts(const RequestContext& context, const Dependencies& deps, const std::string& bucket_id) {
  std::vector<catalog::Resource> drafts;
  catalog::ListQuery query;
  query.kind = kBatch;
  query.scope = namespace_scope(context);
  query.parent_id = bucket_id;
  query.filter = equals("status", "DRAFT");
  query.descending = false;
  query.limit = kPage;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, deps.catalog->list(query));
    for (auto& batch : page.items) drafts.push_back(std::move(batch));
    if (!page.has_more) return drafts;
    query.after = page.last;
  }
}

Result<Reply> submit_all(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto drafts, list_drafts(context, deps, bucket.id()));
  json::array submitted, failed;
  for (const auto& draft : drafts) {
    Task task;
    auto done = deps.catalog->write([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(task, submit_in(session, context, draft.id, strings_member(draft.body, "collection_ids")));
      return Ok{};
    });
    if (done.ok())
      submitted.push_back(json::object{{"batch_id", draft.id}, {"task_id", task.task_id}});
    else
      failed.push_back(json::object{{"batch_id", draft.id}, {"error", done.error().message}, {"error_type", to_string(done.error().kind)}});
  }
  if (!submitted.empty() && deps.engine) deps.engine->notify();
  size_t good = submitted.size(), bad = failed.size();
  return Reply(
      json::object{{"submitted_count", good}, {"failed_count", bad}, {"submitted", std::move(submitted)}, {"failed", std::move(failed)}});
}

struct BulkOutcome {
  json::array batches;
  size_t submitted = 0, failed = 0;
};

void submit_chunk(const RequestContext& context, const Dependencies& deps, const pipeline::NewBatch& chunk,
                  const std::vector<std::string>& only, BulkOutcome& out) {
  std::string batch_id;
  auto done = deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto batch, pipeline::create_batch(session, namespace_scope(context), chunk, context.clock->now_us()));
    batch_id = batch.id;
    QUARRY_ASSIGN_OR_RETURN(Task task, submit_in(session, context, batch_id, only));
    return Ok{};
  });
  json::object entry{{"batch_id", batch_id}, {"object_count", chunk.object_ids.size()}};
  entry["status"] = to_string(done.ok() ? TaskStatus::kPending : TaskStatus::kFailed);
  if (!done.ok()) entry["error"] = done.error().message;
  ++(done.ok() ? out.submitted : out.failed);
  out.batches.push_back(std::move(entry));
}

Result<Reply> bulk_submit(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  const json::object& body = request.object();
  Filter filter;
  if (const json::object* filters = object_member(body, "filters")) {
    QUARRY_ASSIGN_OR_RETURN(filter, parse_filter(*filters));
  }
  auto chunk_size = static_cast<size_t>(integer_member(body, "chunk_size").value_or(1'000));
  auto most = static_cast<size_t>(integer_member(body, "max_objects").value_or(static_cast<int64_t>(pipeline::kMaxBatchObjects)));
  std::vector<std::string> only = strings_member(body, "collection_ids"), ids;
  QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto tiers, pipeline::plan_tiers(session, namespace_scope(context), bucket.id(), only));
    if (tiers.empty()) return bad_request(fmt::format("No collection takes the objects of bucket '{}'", bucket.resource.name));
    QUARRY_ASSIGN_OR_RETURN(ids, select_objects(session, namespace_scope(context), bucket.id(), filter, most));
    return Ok{};
  }));
  std::string group = new_id("grp");
  BulkOutcome outcome;
  for (size_t at = 0; at < ids.size(); at += chunk_size) {
    pipeline::NewBatch chunk{
        bucket.id(),
        {ids.begin() + static_cast<ptrdiff_t>(at), ids.begin() + static_cast<ptrdiff_t>(std::min(at + chunk_size, ids.size()))},
        {}};
    chunk.attributes = {{"submitted_by_key_id", context.key_id}, {"batch_group_id", group}};
    copy_members(chunk.attributes, body, {"dedup_strategy"});
    submit_chunk(context, deps, chunk, only, outcome);
  }
  if (outcome.submitted > 0 && deps.engine) deps.engine->notify();
  json::object reply{{"batch_group_id", group},        {"total_objects", ids.size()}, {"total_batches", outcome.batches.size()},
                     {"submitted", outcome.submitted}, {"failed", outcome.failed},    {"chunk_size", chunk_size}};
  reply["batches"] = std::move(outcome.batches);
  return Reply(std::move(reply));
}

Result<Reply> cancel(const RequestContext& context, const Request& request, const Dependencies& deps, const catalog::Resource& batch) {
  Task task;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_RETURN_IF_ERROR(pipeline::cancel_batch(session, namespace_scope(context), batch.id, context.clock->now_us()));
    QUARRY_ASSIGN_OR_RETURN(auto current, session.get(kBatch, namespace_scope(context), batch.id));
    if (std::string_view reason = string_member(request.query, "reason"); !reason.empty()) {
      current.body["cancel_reason"] = reason;
      QUARRY_RETURN_IF_ERROR(session.replace(current));
    }
    std::string_view task_id = string_member(current.body, "task_id");
    if (task_id.empty()) {  // a draft has no task; the reply still says what became of it
      task.task_type = pipeline::kBatchTaskType;
      task.status = TaskStatus::kCanceled;
      task.inputs = {{"batch_id", batch.id}};
      task.created_at = task.updated_at = current.updated_at;
      return Ok{};
    }
    QUARRY_ASSIGN_OR_RETURN(task, session.get_task(namespace_scope(context), task_id));
    return Ok{};
  }));
  if (deps.engine) deps.engine->notify();
  return Reply(show_task(task));
}

Result<Reply> cancel_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(Target target, find_target(context, request, deps));
  return cancel(context, request, deps, target.batch);
}

Result<Reply> cancel_any_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto batch, find_batch(context, deps, nullptr, request.param("batch_id")));
  return cancel(context, request, deps, batch);
}

Result<pipeline::RetryOptions> retry_options(const json::object& body) {
  pipeline::RetryOptions out;
  std::string_view mode = string_member(body, "retry_mode", "transient_only");
  bool all = mode == "all" || mode == "all_failed" || mode == "full";
  if (!all && mode != "transient_only") return validation_error("enum", {"body", "retry_mode"}, "retry_mode is 'transient_only' or 'all'");
  out.transient_only = !all;
  if (const json::array* tiers = array_member(body, "tier_nums"))
    for (const json::value& tier : *tiers)
      if (auto number = integer_value(tier)) out.tiers.push_back(static_cast<int>(*number));
  out.max_retries = static_cast<int>(integer_member(body, "max_retry_count").value_or(3));
  return out;
}

Result<Reply> retry_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(Target target, find_target(context, request, deps));
  QUARRY_ASSIGN_OR_RETURN(pipeline::RetryOptions options, retry_options(request.object()));
  Task task;
  json::object shown;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    const catalog::Scope scope = namespace_scope(context);
    QUARRY_ASSIGN_OR_RETURN(task,
                            pipeline::retry_batch(session, scope, context.internal_id, target.batch.id, context.clock->now_us(), options));
    QUARRY_ASSIGN_OR_RETURN(auto batch, session.get(kBatch, scope, target.batch.id));
    shown = {};
    copy_members(shown, batch.body, {"batch_id", "bucket_id", "status", "retry_count", "current_tier", "total_tiers"});
    return Ok{};
  }));
  if (deps.engine) deps.engine->notify();
  shown["task_id"] = task.task_id;
  shown["task"] = show_task(task);
  shown["message"] = "The batch was queued again";
  return Reply(std::move(shown));
}

Result<Reply> failed_documents(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(Target target, find_target(context, request, deps));
  QUARRY_ASSIGN_OR_RETURN(PageRequest page, parse_page(request));
  std::optional<int> tier;
  if (auto number = integer_member(request.query, "tier_num")) tier = static_cast<int>(*number);
  std::string_view collection = string_member(request.query, "collection_id");
  std::vector<json::object> failures;
  QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(failures, pipeline::list_failures(session, target.batch.body, tier, kMaxFailures + 1));
    return Ok{};
  }));
  if (!collection.empty()) std::erase_if(failures, [&](const json::object& f) { return string_member(f, "collection_id") != collection; });
  json::array results;
  for (size_t i = page.offset; i < failures.size() && results.size() < page.limit; ++i) results.push_back(failures[i]);
  json::object reply{{"batch_id", target.batch.id}, {"total", failures.size()}};
  bool more = page.offset + results.size() < failures.size();
  reply["pagination"] = pagination(page, results.size(), more, failures.size(), "");
  reply["failed_documents"] = results;
  reply["results"] = std::move(results);
  return Reply(std::move(reply));
}

}  // namespace

Result<Task> submit_in(catalog::Session& session, const RequestContext& context, const std::string& batch_id,
                       const std::vector<std::string>& only_collections) {
  return pipeline::submit_batch(session, namespace_scope(context), context.internal_id, batch_id, only_collections,
                                context.clock->now_us());
}

void bind_batch_submission(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "submit_batch_buckets_batches", submit_batch);
  bind_operation(table, deps, "submit_all_drafts_buckets_batches", submit_all);
  bind_operation(table, deps, "bulk_submit_batches_buckets", bulk_submit);
  bind_operation(table, deps, "cancel_batch_buckets_batches", cancel_batch);
  bind_operation(table, deps, "cancel_batch_by_id_batches", cancel_any_batch);
  bind_operation(table, deps, "retry_batch_buckets_batches", retry_batch);
  bind_operation(table, deps, "get_failed_documents_buckets_batches_batch", failed_documents);
}

}  // namespace quarry::service
