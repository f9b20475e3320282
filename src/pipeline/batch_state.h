// A batch as its catalog body keeps it (kind "batch", parent = its bucket). Pure functions over that JSON.
//
//   DRAFT -> PENDING -> PROCESSING -> COMPLETED | COMPLETED_WITH_ERRORS | FAILED | CANCELED;  the last three -> PENDING by a retry
//
// Invariants: tier_tasks[i] is tier i + 1 of dag_tiers; its task_id is chosen when the batch is submitted, its task exists once the tier
// before is done; every count in tier_tasks[i].audit was written in the transaction that finished the items it counts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "pipeline/failures.h"

namespace quarry::pipeline {

inline constexpr size_t kMaxShownFailures = 100;

json::object new_batch_body(std::string_view batch_id, std::string_view bucket_id, std::string_view namespace_id,
                            const json::object& attributes);

TaskStatus batch_status(const json::object& body);
// Also lifecycle and lifecycle_reason.
void set_batch_status(json::object& body, TaskStatus status, std::string_view reason, TimestampUs now);

int tier_count(const json::object& body);
// The TierTaskInfo of `tier` (from 1); null if there is none.
json::object* tier_info(json::object& body, int tier);
const json::object* tier_info(const json::object& body, int tier);
std::string tier_task_id(const json::object& body, int tier);
std::vector<std::string> string_list(const json::object& object, std::string_view member);
int64_t integer_member(const json::object& object, std::string_view member);

// Later tiers that take the documents of `collection_id`, given each tier's sources: task ids.
std::vector<std::string> downstream_tasks(const json::object& body, int tier, std::string_view collection_id);

struct PlannedTier {
  std::string task_id;
  std::vector<std::string> collection_ids;
  std::vector<std::string> source_collection_ids;  // empty for tier 1
};
void write_plan(json::object& body, const std::vector<PlannedTier>& tiers, uint64_t objects);

// What a tier has reached, as the worker that runs it counts.
struct TierProgress {
  catalog::ItemCounts items;
  uint64_t documents_written = 0, documents_replaced = 0, documents_deleted = 0;
  uint64_t commits = 0;
  double items_per_second = 0;
  std::vector<std::string> warnings;
};
TierProgress read_progress(const json::object& body, int tier);
void write_progress(json::object& body, int tier, const TierProgress& progress, TimestampUs now);
void add_failures(json::object& body, const std::vector<json::object>& records);
void clear_failures(json::object& body);

void begin_tier(json::object& body, int tier, TimestampUs now);
void end_tier(json::object& body, int tier, TaskStatus status, std::string_view error, TimestampUs now);

// COMPLETED if nothing failed, FAILED if nothing else happened, not even to a part of an item, else COMPLETED_WITH_ERRORS.
TaskStatus status_of_items(const catalog::ItemCounts& items, bool any_partial);
// Over all tiers: FAILED only if no object came through tier 1.
TaskStatus status_of_tiers(const json::object& body);

// What the tasks listing shows of a tier's task while it runs and afterwards.
json::object task_progress(const json::object& body, int tier);

}  // namespace quarry::pipeline
