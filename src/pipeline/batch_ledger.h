// The catalog's side of one tier of one batch: every change of the task, its items, the batch and the objects, each in one transaction that
// fails when the lease is not ours any more.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "pipeline/backoff.h"
#include "pipeline/batch_state.h"
#include "pipeline/object_reader.h"
#include "pipeline/task_control.h"
#include "pipeline/worker_notes.h"

namespace quarry::pipeline {

// Makes a task that has ended pending again, with the inputs and additional data of `next`.
Status reopen_task(catalog::Session& session, Task present, const Task& next);

// What one commit group did to one item.
struct ItemRecord {
  catalog::WorkItem item;
  std::string object_id;                  // the object itself, or the root object of a document; empty: not known
  std::optional<TimestampUs> content_at;  // of an object: which content was read
  std::vector<MirroredBlob> mirrored;
  std::vector<json::object> failures;  // records; empty for done and skipped items
  bool partial = false;                // failed for some collections, right for others
  // Documents that later tiers take: (source collection, document ids).
  std::vector<std::pair<std::string, std::vector<std::string>>> written;
};

// In the outcome of an item whose record is `partial`.
inline constexpr std::string_view kPartialOutcome = "partial";

struct GroupRecord {
  std::vector<ItemRecord> items;
  uint64_t documents_written = 0, documents_replaced = 0, documents_deleted = 0;
};

// Objects that a group cannot be recorded with: deleted since they were read, or changed.
struct Outdated {
  std::vector<std::string> deleted, changed;
  bool empty() const { return deleted.empty() && changed.empty(); }
};

// Used by the one thread that runs the task.
class BatchLedger {
 public:
  // `catalog`, `clock` and `control` outlive it.
  BatchLedger(catalog::Catalog& catalog, const Clock& clock, TaskControl& control, Task task, RetryPolicy retries);

  // Reads the batch and the counts, moves both to PROCESSING. kNotFound: the batch was deleted.
  Status begin();
  // Tier 1: shows that these objects' turn has come.
  Status mark_processing(const std::vector<std::string>& object_ids);
  // Leaves word that this item is begun alone: should the worker die of it, the next one knows.
  Status note_suspect(const std::string& item_id);
  // Marks items done, failed or skipped, tells later tiers of their sources, moves the progress. If objects turn out to be outdated,
  // nothing is recorded.
  Result<Outdated> record(const GroupRecord& group);
  // Those of the group's objects that are not in the catalog any more.
  Result<std::vector<std::string>> absent_objects(const GroupRecord& group);
  // Completes the tier and enqueues the next, or completes the batch.
  Status finish();
  Status cancel();
  Status fail(const Error& error);
  Status hand_back();
  void warn(std::string warning);

  const Task& task() const { return task_; }
  const json::object& batch() const { return batch_body_; }
  int tier() const { return tier_; }
  catalog::Scope scope() const { return {task_.organization_id, task_.namespace_id}; }

 private:
  using Change = std::function<Status(catalog::Session&, Task&, json::object& batch)>;
  Status in_lease(const Change& change);
  Status tell_later_tiers(catalog::Session& session, const json::object& batch, const ItemRecord& record) const;
  Status settle_object(catalog::Session& session, const ItemRecord& record, TimestampUs now, Outdated& outdated) const;
  Status settle_objects(TaskStatus status, const std::string& error);
  Result<bool> is_any_item_partial();
  Status start_next_tier(catalog::Session& session, json::object& batch, const Task& done) const;
  TierProgress advanced(const GroupRecord& group) const;

  catalog::Catalog& catalog_;
  const Clock& clock_;
  TaskControl& control_;
  Task task_;
  const RetryPolicy retries_;
  const int tier_;
  const std::string batch_id_;
  json::object batch_body_;
  TierProgress progress_;
  int64_t began_steady_us_ = 0;
  uint64_t finished_here_ = 0;
};

}  // namespace quarry::pipeline
