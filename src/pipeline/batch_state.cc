#include "pipeline/batch_state.h"

#include <fmt/format.h>

#include <cmath>

namespace quarry::pipeline {
namespace {

std::string_view lifecycle_of(TaskStatus status) {
  switch (status) {
    case TaskStatus::kDraft: return "draft";
    case TaskStatus::kPending:
    case TaskStatus::kQueued: return "queued";
    case TaskStatus::kInProgress:
    case TaskStatus::kProcessing: return "running";
    case TaskStatus::kCanceled: return "canceled";
    case TaskStatus::kFailed: return "failed";
    default: return "done";
  }
}

json::object& object_member(json::object& parent, std::string_view name) {
  json::value& value = parent[name];
  if (!value.is_object()) value = json::object{};
  return value.get_object();
}

uint64_t count_member(const json::object& object, std::string_view name) {
  return static_cast<uint64_t>(std::max<int64_t>(0, integer_member(object, name)));
}

const json::object& object_or_empty(const json::object& parent, std::string_view name) {
  static const json::object kEmpty;
  const json::value* value = parent.if_contains(name);
  return value && value->is_object() ? value->get_object() : kEmpty;
}

// Sums a count of every tier's TierTaskInfo, or of its audit.
uint64_t sum_tiers(const json::object& body, std::string_view member, bool of_audit) {
  uint64_t sum = 0;
  for (int tier = 1; tier <= tier_count(body); ++tier) {
    const json::object* info = tier_info(body, tier);
    if (info) sum += count_member(of_audit ? object_or_empty(*info, "audit") : *info, member);
  }
  return sum;
}

double percent_done(const json::object& body, int tier, const catalog::ItemCounts& items) {
  double total = static_cast<double>(items.total());
  double part = total == 0 ? 1.0 : (total - static_cast<double>(items.pending)) / total;
  double percent = 100.0 * (tier - 1 + part) / std::max(1, tier_count(body));
  return std::floor(percent * 10) / 10;
}

void write_audit(json::object& info, int tier, const catalog::ItemCounts& items) {
  info["audit"] = json::object{
      {"tier_num", tier}, {"submitted", items.total()},    {"processed", items.done}, {"failed", items.failed}, {"skipped", items.skipped},
      {"lost", 0},        {"balanced", items.pending == 0}};
}

void write_stage(json::object& progress, const json::object& body, int tier, const json::object& info, TimestampUs now) {
  const json::value* started = info.if_contains("started_at");
  double elapsed = 0;
  if (started && started->is_string())
    if (auto at = parse_timestamp(started->get_string()); at.ok()) elapsed = std::max(0.0, static_cast<double>(now - *at) / 1e6);
  progress["current_stage"] = json::object{{"name", fmt::format("tier_{}", tier)},
                                           {"index", tier},
                                           {"total", tier_count(body)},
                                           {"stage_elapsed_seconds", std::floor(elapsed * 1000) / 1000}};
}

}  // namespace

int64_t integer_member(const json::object& object, std::string_view member) {
  const json::value* value = object.if_contains(member);
  return value && value->is_number() && !value->is_double() ? value->to_number<int64_t>() : 0;
}

std::vector<std::string> string_list(const json::object& object, std::string_view member) {
  std::vector<std::string> out;
  const json::value* value = object.if_contains(member);
  if (!value || !value->is_array()) return out;
  for (const json::value& item : value->get_array())
    if (item.is_string()) out.emplace_back(item.get_string());
  return out;
}

json::object new_batch_body(std::string_view batch_id, std::string_view bucket_id, std::string_view namespace_id,
                            const json::object& attributes) {
  json::object body{{"batch_id", batch_id}, {"bucket_id", bucket_id}, {"namespace_id", namespace_id}};
  body["type"] = "BUCKET";
  body["status"] = to_string(TaskStatus::kDraft);
  body["collection_ids"] = json::array{};
  body["current_tier"] = 0;
  body["total_tiers"] = 1;
  body["tier_tasks"] = json::array{};
  body["dag_tiers"] = json::array{};
  body["object_count"] = 0;
  body["failed_objects"] = json::array{};
  body["failed_object_count"] = 0;
  body["retry_count"] = 0;
  body["max_retries"] = 3;
  body["max_node_death_resubmits"] = 0;
  body["max_deploy_resubmits"] = 0;
  for (const auto& [name, value] : attributes) body[name] = value;
  return body;
}

TaskStatus batch_status(const json::object& body) {
  const json::value* status = body.if_contains("status");
  return status && status->is_string() ? parse_task_status(status->get_string()) : TaskStatus::kDraft;
}

void set_batch_status(json::object& body, TaskStatus status, std::string_view reason, TimestampUs now) {
  body["status"] = to_string(status);
  body["lifecycle"] = lifecycle_of(status);
  body["lifecycle_reason"] = reason;
  body["status_message"] = reason;
  body["last_activity_at"] = format_timestamp(now);
  if (status == TaskStatus::kFailed) {
    body["error"] = reason;
    body["failure_reason"] = reason;
  } else {
    body.erase("error");
    body.erase("failure_reason");
    body.erase("failure_category");
  }
}

int tier_count(const json::object& body) {
  const json::value* tiers = body.if_contains("tier_tasks");
  return tiers && tiers->is_array() ? static_cast<int>(tiers->get_array().size()) : 0;
}

const json::object* tier_info(const json::object& body, int tier) {
  if (tier < 1 || tier > tier_count(body)) return nullptr;
  return body.at("tier_tasks").get_array()[static_cast<size_t>(tier - 1)].if_object();
}

json::object* tier_info(json::object& body, int tier) { return const_cast<json::object*>(tier_info(std::as_const(body), tier)); }

std::string tier_task_id(const json::object& body, int tier) {
  const json::object* info = tier_info(body, tier);
  const json::value* id = info ? info->if_contains("task_id") : nullptr;
  return id && id->is_string() ? std::string(id->get_string()) : std::string();
}

std::vector<std::string> downstream_tasks(const json::object& body, int tier, std::string_view collection_id) {
  std::vector<std::string> out;
  for (int later = tier + 1; later <= tier_count(body); ++later) {
    const json::object* info = tier_info(body, later);
    if (!info) continue;
    std::vector<std::string> sources = string_list(*info, "source_collection_ids");
    if (std::find(sources.begin(), sources.end(), collection_id) != sources.end()) out.push_back(tier_task_id(body, later));
  }
  return out;
}

void write_plan(json::object& body, const std::vector<PlannedTier>& tiers, uint64_t objects) {
  json::array infos, dag, all;
  std::string parent;
  for (size_t i = 0; i < tiers.size(); ++i) {
    const PlannedTier& tier = tiers[i];
    json::object info{{"tier_num", i + 1}, {"task_id", tier.task_id}, {"status", to_string(TaskStatus::kPending)}};
    info["collection_ids"] = json::value_from(tier.collection_ids);
    info["source_type"] = i == 0 ? "bucket" : "collection";
    if (i > 0) info["source_collection_ids"] = json::value_from(tier.source_collection_ids);
    if (!parent.empty()) info["parent_task_id"] = parent;
    parent = tier.task_id;
    infos.push_back(std::move(info));
    dag.push_back(json::value_from(tier.collection_ids));
    for (const std::string& id : tier.collection_ids) all.emplace_back(id);
  }
  body["tier_tasks"] = std::move(infos);
  body["dag_tiers"] = std::move(dag);
  body["collection_ids"] = std::move(all);
  body["total_tiers"] = std::max<size_t>(1, tiers.size());
  body["current_tier"] = 1;
  body["task_id"] = tiers.empty() ? "" : tiers.front().task_id;
  body["progress"] =
      json::object{{"processed", 0}, {"total", objects}, {"percent", 0.0}, {"batch_count", 0}, {"errors", 0}, {"documents_written", 0}};
}

TierProgress read_progress(const json::object& body, int tier) {
  TierProgress out;
  const json::object* info = tier_info(body, tier);
  if (!info) return out;
  out.documents_written = count_member(*info, "documents_written");
  out.documents_replaced = count_member(*info, "documents_replaced");
  out.documents_deleted = count_member(*info, "documents_deleted");
  out.commits = count_member(object_or_empty(body, "progress"), "batch_count");
  return out;
}

void write_progress(json::object& body, int tier, const TierProgress& p, TimestampUs now) {
  json::object* info = tier_info(body, tier);
  if (!info) return;
  (*info)["documents_written"] = p.documents_written;
  (*info)["documents_replaced"] = p.documents_replaced;
  (*info)["documents_deleted"] = p.documents_deleted;
  (*info)["last_activity_at"] = format_timestamp(now);
  write_audit(*info, tier, p.items);
  for (std::string_view member : {"documents_written", "documents_replaced", "documents_deleted"})
    body[member] = sum_tiers(body, member, false);
  uint64_t failed = sum_tiers(body, "failed", true);
  body["failed_object_count"] = failed;
  body["last_activity_at"] = format_timestamp(now);
  json::object& progress = object_member(body, "progress");
  progress["processed"] = p.items.total() - p.items.pending;
  progress["total"] = p.items.total();
  progress["percent"] = percent_done(body, tier, p.items);
  progress["batch_count"] = p.commits;
  progress["errors"] = failed;
  progress["objects_extracted"] = p.items.done;
  progress["objects_failed"] = p.items.failed;
  progress["objects_skipped"] = p.items.skipped;
  progress["documents_written"] = body["documents_written"];
  if (p.items_per_second > 0) {
    progress["items_per_second"] = std::round(p.items_per_second * 100) / 100;
    progress["eta_seconds"] = std::round(static_cast<double>(p.items.pending) / p.items_per_second * 10) / 10;
  }
  if (!p.warnings.empty()) progress["status_warnings"] = json::value_from(p.warnings);
  write_stage(progress, body, tier, *info, now);
}

void add_failures(json::object& body, const std::vector<json::object>& records) {
  if (records.empty()) return;
  json::value& shown = body["failed_objects"];
  if (!shown.is_array()) shown = json::array{};
  json::object& summary = object_member(body, "error_summary");
  json::object& progress = object_member(body, "progress");
  for (const json::object& record : records) {
    if (shown.get_array().size() < kMaxShownFailures) shown.get_array().push_back(record);
    const json::value* kind = record.if_contains("kind");
    std::string_view name = kind && kind->is_string() ? std::string_view(kind->get_string()) : "unknown";
    summary[name] = integer_member(summary, name) + 1;
    const json::value* error = record.if_contains("error");
    if (error && !progress.contains("first_error")) progress["first_error"] = *error;
  }
}

void clear_failures(json::object& body) {
  body["failed_objects"] = json::array{};
  body["failed_object_count"] = 0;
  body.erase("error_summary");
  if (json::value* progress = body.if_contains("progress"); progress && progress->is_object()) progress->get_object().erase("first_error");
}

void begin_tier(json::object& body, int tier, TimestampUs now) {
  set_batch_status(body, TaskStatus::kProcessing, fmt::format("tier {} of {} is running", tier, tier_count(body)), now);
  body["current_tier"] = tier;
  json::object* info = tier_info(body, tier);
  if (!info) return;
  (*info)["status"] = to_string(TaskStatus::kProcessing);
  if (!info->contains("started_at")) (*info)["started_at"] = format_timestamp(now);
}

void end_tier(json::object& body, int tier, TaskStatus status, std::string_view error, TimestampUs now) {
  json::object* info = tier_info(body, tier);
  if (!info) return;
  (*info)["status"] = to_string(status);
  (*info)["completed_at"] = format_timestamp(now);
  (*info)["last_activity_at"] = format_timestamp(now);
  const json::value* started = info->if_contains("started_at");
  if (started && started->is_string())
    if (auto at = parse_timestamp(started->get_string()); at.ok()) (*info)["duration_ms"] = static_cast<double>(now - *at) / 1000.0;
  info->erase("errors");
  if (!error.empty())
    (*info)["errors"] = json::array{json::object{{"error_type", "runtime"}, {"message", error}, {"timestamp", format_timestamp(now)}}};
}

TaskStatus status_of_items(const catalog::ItemCounts& items, bool any_partial) {
  if (items.failed == 0) return TaskStatus::kCompleted;
  return items.done + items.skipped == 0 && !any_partial ? TaskStatus::kFailed : TaskStatus::kCompletedWithErrors;
}

TaskStatus status_of_tiers(const json::object& body) {
  bool errors = false;
  for (int tier = 1; tier <= tier_count(body); ++tier) {
    const json::object* info = tier_info(body, tier);
    const json::value* status = info ? info->if_contains("status") : nullptr;
    TaskStatus s = status && status->is_string() ? parse_task_status(status->get_string()) : TaskStatus::kPending;
    if (tier == 1 && s == TaskStatus::kFailed) return TaskStatus::kFailed;
    errors = errors || s != TaskStatus::kCompleted;
  }
  return errors ? TaskStatus::kCompletedWithErrors : TaskStatus::kCompleted;
}

json::object task_progress(const json::object& body, int tier) {
  json::object out{
      {"batch_id", body.at("batch_id")}, {"bucket_id", body.at("bucket_id")}, {"tier_num", tier}, {"total_tiers", tier_count(body)}};
  if (const json::value* progress = body.if_contains("progress")) out["progress"] = *progress;
  if (const json::object* info = tier_info(body, tier)) {
    for (std::string_view member : {"documents_written", "documents_replaced", "documents_deleted", "audit"})
      if (const json::value* value = info->if_contains(member)) out[member] = *value;
  }
  return out;
}

}  // namespace quarry::pipeline
