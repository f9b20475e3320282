#include <fmt/format.h>

#include <set>

#include "model/collection.h"
#include "model/ids.h"
#include "pipeline/batch_ledger.h"
#include "pipeline/batch_state.h"
#include "pipeline/new_row.h"
#include "pipeline/pipeline.h"

namespace quarry::pipeline {
namespace {

using catalog::ItemStatus;
namespace kind = catalog::kind;

constexpr size_t kItemPage = 10'000;

bool running(TaskStatus status) {
  return status == TaskStatus::kPending || status == TaskStatus::kQueued || status == TaskStatus::kInProgress ||
         status == TaskStatus::kProcessing;
}

Error not_a_draft(std::string_view batch_id, TaskStatus status) {
  return bad_request(fmt::format("Batch '{}' is {}: only a DRAFT batch can be changed or submitted", batch_id, to_string(status)));
}

Status copy_items(catalog::Session& session, std::string_view from, std::string_view to) {
  for (size_t offset = 0;; offset += kItemPage) {
    QUARRY_ASSIGN_OR_RETURN(std::vector<std::string> ids, batch_objects(session, from, offset, kItemPage));
    if (ids.empty()) return Ok{};
    QUARRY_RETURN_IF_ERROR(session.add_items(to, ids));
    if (ids.size() < kItemPage) return Ok{};
  }
}

Result<std::vector<PlannedTier>> plan(catalog::Session& session, const catalog::Scope& scope, std::string_view bucket_id,
                                      const std::vector<std::string>& only) {
  QUARRY_ASSIGN_OR_RETURN(auto tiers, plan_tiers(session, scope, bucket_id, only));
  if (tiers.empty())
    return bad_request(
        fmt::format("No collection takes the objects of bucket '{}': create one with this bucket as its source first", bucket_id));
  std::vector<PlannedTier> out;
  std::set<std::string> earlier;
  for (const std::vector<std::string>& ids : tiers) {
    PlannedTier tier{new_id("task"), ids, {}};
    std::set<std::string> sources;
    for (const std::string& id : ids) {
      QUARRY_ASSIGN_OR_RETURN(catalog::Resource resource, session.get(kind::kCollection, scope, id));
      QUARRY_ASSIGN_OR_RETURN(Collection collection, parse_collection(resource.body, scope.organization_id, scope.namespace_id));
      for (const std::string& source : collection.source.collection_ids)
        if (earlier.contains(source)) sources.insert(source);
    }
    tier.source_collection_ids.assign(sources.begin(), sources.end());
    earlier.insert(ids.begin(), ids.end());
    out.push_back(std::move(tier));
  }
  return out;
}

Task first_task(const catalog::Scope& scope, std::string_view internal_id, const json::object& body, TimestampUs now) {
  Task task = new_task(kBatchTaskType, tier_task_id(body, 1), scope, now);
  task.inputs = {{"batch_id", body.at("batch_id")},
                 {"bucket_id", body.at("bucket_id")},
                 {"namespace_id", scope.namespace_id},
                 {"internal_id", internal_id},
                 {"tier", 1}};
  task.inputs["collection_ids"] = tier_info(body, 1)->at("collection_ids");
  task.additional_data = task_progress(body, 1);
  return task;
}

bool retries(const catalog::WorkItem& item, const RetryOptions& options) {
  if (!options.transient_only) return true;
  const json::value* failures = item.outcome.if_contains("failures");
  if (!failures || !failures->is_array()) return true;
  for (const json::value& failure : failures->get_array())
    if (failure.is_object() && failure.get_object().at("error_type") != "permanent") return true;
  return false;
}

// Failed items that are to run again become pending; returns how many are pending then.
Result<uint64_t> reset_failed(catalog::Session& session, std::string_view task_id, const RetryOptions& options) {
  std::vector<catalog::WorkItem> again;
  for (size_t offset = 0;; offset += kItemPage) {
    QUARRY_ASSIGN_OR_RETURN(auto failed, session.list_items(task_id, ItemStatus::kFailed, offset, kItemPage));
    for (catalog::WorkItem& item : failed) {
      if (!retries(item, options)) continue;
      item.status = ItemStatus::kPending;
      item.outcome.clear();
      again.push_back(std::move(item));
    }
    if (failed.size() < kItemPage) break;
  }
  if (!again.empty()) QUARRY_RETURN_IF_ERROR(session.finish_items(task_id, again));
  QUARRY_ASSIGN_OR_RETURN(catalog::ItemCounts counts, session.count_items(task_id));
  return counts.pending;
}

bool wanted(const RetryOptions& options, int tier) {
  return options.tiers.empty() || std::find(options.tiers.begin(), options.tiers.end(), tier) != options.tiers.end();
}

// The first tier with something to do; 0: there is nothing. A tier that was never begun counts when one before it was stopped.
Result<int> first_tier_to_run(catalog::Session& session, json::object& body, const RetryOptions& options, TimestampUs now) {
  int first = 0;
  for (int tier = 1; tier <= tier_count(body); ++tier) {
    std::string task_id = tier_task_id(body, tier);
    uint64_t pending = 0;
    if (wanted(options, tier)) {
      QUARRY_ASSIGN_OR_RETURN(pending, reset_failed(session, task_id, options));
    }
    TierProgress progress = read_progress(body, tier);
    QUARRY_ASSIGN_OR_RETURN(progress.items, session.count_items(task_id));
    write_progress(body, tier, progress, now);
    if (pending == 0) continue;
    tier_info(body, tier)->at("status") = to_string(TaskStatus::kPending);
    if (first == 0) first = tier;
  }
  return first;
}

Result<Task> requeue(catalog::Session& session, const json::object& body, int tier, TimestampUs now) {
  auto present = session.get_task_any(tier_task_id(body, tier));
  bool absent = !present.ok() && present.error().kind == ErrorKind::kNotFound;
  if (!present.ok() && !absent) return std::move(present).error();
  if (absent) {  // the tier was never reached
    QUARRY_ASSIGN_OR_RETURN(present, session.get_task_any(tier_task_id(body, 1)));
    present->task_id = tier_task_id(body, tier);
    present->created_at = now;
  }
  Task task = *present;
  task.status = TaskStatus::kPending;
  task.error.clear();
  task.cancel_requested = false;
  task.updated_at = now;
  task.inputs["tier"] = tier;
  task.inputs["collection_ids"] = tier_info(body, tier)->at("collection_ids");
  task.additional_data = task_progress(body, tier);
  if (!absent) {
    QUARRY_RETURN_IF_ERROR(reopen_task(session, std::move(*present), task));
    return session.get_task_any(task.task_id);
  }
  task.lease_owner.clear();
  task.lease_expires_at = 0;
  task.attempts = 0;
  task.inputs.erase(kWorkerNotes);
  QUARRY_RETURN_IF_ERROR(session.enqueue(task));
  return task;
}

}  // namespace

Result<catalog::Resource> create_batch(catalog::Session& session, const catalog::Scope& scope, const NewBatch& batch, TimestampUs now) {
  QUARRY_RETURN_IF_ERROR(session.get(kind::kBucket, scope, batch.bucket_id));  // it may have been deleted a moment ago
  catalog::Resource resource = new_row(kind::kBatch, new_id("bat"), scope, now);
  resource.parent_id = batch.bucket_id;
  resource.body = new_batch_body(resource.id, batch.bucket_id, scope.namespace_id, batch.attributes);
  set_batch_status(resource.body, TaskStatus::kDraft, "not submitted yet", now);
  QUARRY_RETURN_IF_ERROR(session.insert(resource));
  if (!batch.object_ids.empty()) QUARRY_RETURN_IF_ERROR(add_batch_objects(session, scope, resource.id, batch.object_ids, now));
  return session.get(kind::kBatch, scope, resource.id);
}

Status add_batch_objects(catalog::Session& session, const catalog::Scope& scope, std::string_view batch_id,
                         const std::vector<std::string>& object_ids, TimestampUs now) {
  QUARRY_ASSIGN_OR_RETURN(catalog::Resource batch, session.get(kind::kBatch, scope, batch_id));
  if (batch_status(batch.body) != TaskStatus::kDraft) return not_a_draft(batch_id, batch_status(batch.body));
  QUARRY_RETURN_IF_ERROR(session.add_items(batch_id, object_ids));
  QUARRY_ASSIGN_OR_RETURN(catalog::ItemCounts counts, session.count_items(batch_id));
  if (counts.total() > kMaxBatchObjects) return bad_request(fmt::format("A batch holds at most {} objects", kMaxBatchObjects));
  batch.body["object_count"] = counts.total();
  batch.updated_at = now;
  return session.replace(batch);
}

Result<std::vector<std::string>> batch_objects(catalog::Session& session, std::string_view batch_id, size_t offset, size_t limit) {
  QUARRY_ASSIGN_OR_RETURN(auto items, session.list_items(batch_id, std::nullopt, offset, limit));
  std::vector<std::string> ids;
  ids.reserve(items.size());
  for (catalog::WorkItem& item : items) ids.push_back(std::move(item.item_id));
  return ids;
}

Result<Task> submit_batch(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id, std::string_view batch_id,
                          const std::vector<std::string>& only_collections, TimestampUs now) {
  QUARRY_ASSIGN_OR_RETURN(catalog::Resource batch, session.get(kind::kBatch, scope, batch_id));
  if (batch_status(batch.body) != TaskStatus::kDraft) return not_a_draft(batch_id, batch_status(batch.body));
  QUARRY_ASSIGN_OR_RETURN(catalog::ItemCounts counts, session.count_items(batch_id));
  if (counts.total() == 0) return bad_request(fmt::format("Batch '{}' has no objects", batch_id));
  QUARRY_ASSIGN_OR_RETURN(auto tiers, plan(session, scope, batch.parent_id, only_collections));
  write_plan(batch.body, tiers, counts.total());
  Task task = first_task(scope, internal_id, batch.body, now);
  QUARRY_RETURN_IF_ERROR(session.enqueue(task));
  QUARRY_RETURN_IF_ERROR(copy_items(session, batch_id, task.task_id));
  set_batch_status(batch.body, TaskStatus::kPending, "waits for a worker", now);
  batch.body["submitted_at"] = format_timestamp(now);
  batch.updated_at = now;
  QUARRY_RETURN_IF_ERROR(session.replace(batch));
  return task;
}

Result<Task> retry_batch(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id, std::string_view batch_id,
                         TimestampUs now, const RetryOptions& options) {
  QUARRY_ASSIGN_OR_RETURN(catalog::Resource batch, session.get(kind::kBatch, scope, batch_id));
  TaskStatus status = batch_status(batch.body);
  if (!is_terminal(status))
    return bad_request(fmt::format("Batch '{}' is {}: only one that has ended can be retried", batch_id, to_string(status)));
  int64_t retried = integer_member(batch.body, "retry_count");
  if (retried >= options.max_retries) return bad_request(fmt::format("Batch '{}' was retried {} times already", batch_id, retried));
  QUARRY_ASSIGN_OR_RETURN(int tier, first_tier_to_run(session, batch.body, options, now));
  if (tier == 0)
    return bad_request(fmt::format("Batch '{}' has nothing to retry{}", batch_id,
                                   options.transient_only ? ": its failures would fail again (retry_mode \"all\" runs them anyway)" : ""));
  clear_failures(batch.body);
  QUARRY_ASSIGN_OR_RETURN(Task task, requeue(session, batch.body, tier, now));
  batch.body["task_id"] = task.task_id;
  batch.body["current_tier"] = tier;
  batch.body["retry_count"] = retried + 1;
  batch.body["last_retry_at"] = format_timestamp(now);
  batch.body.erase("completed_at");
  set_batch_status(batch.body, TaskStatus::kPending, "waits for a worker to retry it", now);
  batch.updated_at = now;
  QUARRY_RETURN_IF_ERROR(session.replace(batch));
  (void)internal_id;  // the tier's task has it since the batch was submitted
  return task;
}

Status cancel_batch(catalog::Session& session, const catalog::Scope& scope, std::string_view batch_id, TimestampUs now) {
  QUARRY_ASSIGN_OR_RETURN(catalog::Resource batch, session.get(kind::kBatch, scope, batch_id));
  TaskStatus status = batch_status(batch.body);
  if (is_terminal(status)) return bad_request(fmt::format("Batch '{}' is {} already", batch_id, to_string(status)));
  bool at_once = true;
  if (running(status)) {
    QUARRY_ASSIGN_OR_RETURN(Task task,
                            session.get_task_any(tier_task_id(batch.body, static_cast<int>(integer_member(batch.body, "current_tier")))));
    at_once = task.status == TaskStatus::kPending && task.lease_owner.empty();
    if (at_once) {
      task.status = TaskStatus::kCanceled;
      task.updated_at = now;
      QUARRY_RETURN_IF_ERROR(session.update_task(task));
    } else {
      QUARRY_RETURN_IF_ERROR(session.request_cancel(task.task_id));
    }
  }
  if (at_once) {
    set_batch_status(batch.body, TaskStatus::kCanceled, "canceled on request", now);
  } else {
    batch.body["lifecycle_reason"] = batch.body["status_message"] = "cancel requested";
  }
  batch.updated_at = now;
  return session.replace(batch);
}

Result<std::vector<json::object>> list_failures(catalog::Session& session, const json::object& batch_body, std::optional<int> tier,
                                                size_t limit) {
  std::vector<json::object> out;
  for (int at = 1; at <= tier_count(batch_body) && out.size() < limit; ++at) {
    if (tier && *tier != at) continue;
    for (size_t offset = 0; out.size() < limit; offset += kItemPage) {
      QUARRY_ASSIGN_OR_RETURN(auto items, session.list_items(tier_task_id(batch_body, at), ItemStatus::kFailed, offset, kItemPage));
      for (const catalog::WorkItem& item : items) {
        const json::value* failures = item.outcome.if_contains("failures");
        if (!failures || !failures->is_array()) continue;
        for (const json::value& failure : failures->get_array())
          if (failure.is_object() && out.size() < limit) out.push_back(failure.get_object());
      }
      if (items.size() < kItemPage) break;
    }
  }
  return out;
}

}  // namespace quarry::pipeline
