#include "pipeline/batch_ledger.h"

#include <fmt/format.h>

#include <set>

#include "base/log.h"

namespace quarry::pipeline {
namespace {

using catalog::ItemStatus;
namespace kind = catalog::kind;

std::string_view failure_category(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kTimeout: return "timeout";
    case ErrorKind::kStorage:
    case ErrorKind::kUnavailable:
    case ErrorKind::kTooManyRequests: return "infrastructure";
    case ErrorKind::kCorruption: return "mvs_durability";
    case ErrorKind::kValidation:
    case ErrorKind::kBadRequest: return "validation";
    default: return "pipeline";
  }
}

void apply_mirrored(json::object& body, const std::vector<MirroredBlob>& mirrored) {
  json::value* blobs = body.if_contains("blobs");
  if (!blobs || !blobs->is_array()) return;
  for (json::value& entry : blobs->get_array()) {
    json::object* blob = entry.if_object();
    const json::value* id = blob ? blob->if_contains("blob_id") : nullptr;
    if (!id || !id->is_string()) continue;
    for (const MirroredBlob& m : mirrored) {
      if (m.blob_id != std::string_view(id->get_string())) continue;
      json::value& storage = (*blob)["storage"];
      if (!storage.is_object()) storage = json::object{};
      storage.get_object()["key"] = m.key;
      (*blob)["details"] =
          json::object{{"filename", m.filename}, {"size_bytes", m.size_bytes}, {"mime_type", m.mime_type}, {"hash", m.hash}};
    }
  }
}

void set_object_status(json::object& body, TaskStatus status, std::string_view error) {
  body["status"] = to_string(status);
  if (error.empty()) {
    body.erase("error");
  } else {
    body["error"] = error;
  }
}

void finish_object(json::object& body, const ItemRecord& record) {
  apply_mirrored(body, record.mirrored);
  std::string error;
  if (!record.failures.empty())
    if (const json::value* text = record.failures.front().if_contains("error"); text && text->is_string())
      error = std::string(text->get_string());
  TaskStatus status = record.failures.empty() ? TaskStatus::kCompleted
                      : record.partial        ? TaskStatus::kCompletedWithErrors
                                              : TaskStatus::kFailed;
  set_object_status(body, status, error);
}

// Replaces the object if `change` returns true. False if the object is gone.
Result<bool> change_object(catalog::Session& session, const catalog::Scope& scope, std::string_view object_id, TimestampUs now,
                           const std::function<bool(json::object&)>& change) {
  auto object = session.get(kind::kObject, scope, object_id);
  if (!object.ok()) {
    if (object.error().kind == ErrorKind::kNotFound) return false;
    return std::move(object).error();
  }
  if (!change(object->body)) return true;
  object->updated_at = now;
  QUARRY_RETURN_IF_ERROR(session.replace(*object));
  return true;
}

std::string outcome_text(TaskStatus status, const json::object& batch) {
  int64_t failed = integer_member(batch, "failed_object_count");
  switch (status) {
    case TaskStatus::kCompleted: return "every object was processed";
    case TaskStatus::kFailed: return fmt::format("none of the objects could be processed ({} failed)", failed);
    default: return fmt::format("{} of the batch's items failed", failed);
  }
}

}  // namespace

Status reopen_task(catalog::Session& session, Task present, const Task& next) {
  present.status = TaskStatus::kPending;  // gives up the lease
  present.error.clear();
  present.cancel_requested = next.cancel_requested;
  present.inputs = next.inputs;
  settle_attempts(present);
  present.additional_data = next.additional_data;
  present.updated_at = next.updated_at;
  return session.update_task(present);
}

BatchLedger::BatchLedger(catalog::Catalog& catalog, const Clock& clock, TaskControl& control, Task task, RetryPolicy retries)
    : catalog_(catalog),
      clock_(clock),
      control_(control),
      task_(std::move(task)),
      retries_(retries),
      tier_(static_cast<int>(std::max<int64_t>(1, integer_member(task_.inputs, "tier")))),
      batch_id_(text_member(task_.inputs, "batch_id")),
      began_steady_us_(clock.steady_us()) {}

void BatchLedger::warn(std::string warning) {
  constexpr size_t kMaxWarnings = 20;
  if (progress_.warnings.size() < kMaxWarnings) progress_.warnings.push_back(std::move(warning));
}

// The batch, or its whole namespace, was deleted while its task was queued or ran.
static Status abandon(catalog::Session& session, Task row) {
  row.status = TaskStatus::kCanceled;
  row.error = "its batch was deleted";
  return session.update_task(row);
}

Status BatchLedger::in_lease(const Change& change) {
  json::object stored;
  bool gone = false;
  auto done = with_retries(retries_, control_, [&] {
    return catalog_.write([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(Task row, session.get_task_any(task_.task_id));
      if (row.lease_owner != task_.lease_owner)
        return Error{ErrorKind::kConflict, fmt::format("task '{}' is run by another worker now", task_.task_id)};
      auto found = session.get(kind::kBatch, scope(), batch_id_);
      gone = !found.ok() && found.error().kind == ErrorKind::kNotFound;
      if (gone) return abandon(session, std::move(row));
      if (!found.ok()) return std::move(found).error();
      catalog::Resource batch = std::move(found).value();
      row.updated_at = batch.updated_at = clock_.now_us();
      if (row.cancel_requested) control_.canceled = true;
      QUARRY_RETURN_IF_ERROR(change(session, row, batch.body));
      row.additional_data = task_progress(batch.body, tier_);
      QUARRY_RETURN_IF_ERROR(session.update_task(row));
      QUARRY_RETURN_IF_ERROR(session.replace(batch));
      stored = std::move(batch.body);
      return Ok{};
    });
  });
  if (done.ok() && gone) {
    control_.lost = true;
    return not_found(fmt::format("batch '{}' was deleted", batch_id_));
  }
  if (done.ok()) {
    batch_body_ = std::move(stored);
  } else if (done.error().kind == ErrorKind::kConflict) {
    control_.lost = true;
  }
  return done;
}

Status BatchLedger::begin() {
  catalog::ItemCounts counts;
  QUARRY_RETURN_IF_ERROR(in_lease([&](catalog::Session& session, Task& row, json::object& batch) -> Status {
    QUARRY_ASSIGN_OR_RETURN(counts, session.count_items(row.task_id));
    begin_tier(batch, tier_, row.updated_at);
    return Ok{};
  }));
  progress_ = read_progress(batch_body_, tier_);
  progress_.items = counts;
  return Ok{};
}

Status BatchLedger::note_suspect(const std::string& item_id) {
  return in_lease([&](catalog::Session&, Task& row, json::object&) -> Status {
    suspect(row, item_id);
    return Ok{};
  });
}

Status BatchLedger::mark_processing(const std::vector<std::string>& object_ids) {
  return with_retries(retries_, control_, [&] {
    return catalog_.write([&](catalog::Session& session) -> Status {
      for (const std::string& id : object_ids) {
        QUARRY_RETURN_IF_ERROR(change_object(session, scope(), id, clock_.now_us(), [](json::object& body) {
          set_object_status(body, TaskStatus::kProcessing, "");
          return true;
        }));
      }
      return Ok{};
    });
  });
}

TierProgress BatchLedger::advanced(const GroupRecord& group) const {
  TierProgress next = progress_;
  for (const ItemRecord& record : group.items) {
    if (next.items.pending > 0) --next.items.pending;
    uint64_t& count = record.item.status == ItemStatus::kDone     ? next.items.done
                      : record.item.status == ItemStatus::kFailed ? next.items.failed
                                                                  : next.items.skipped;
    ++count;
  }
  next.documents_written += group.documents_written;
  next.documents_replaced += group.documents_replaced;
  next.documents_deleted += group.documents_deleted;
  ++next.commits;
  double seconds = static_cast<double>(clock_.steady_us() - began_steady_us_) / 1e6;
  if (seconds > 0) next.items_per_second = static_cast<double>(finished_here_ + group.items.size()) / seconds;
  return next;
}

Status BatchLedger::tell_later_tiers(catalog::Session& session, const json::object& batch, const ItemRecord& record) const {
  for (const auto& [collection_id, documents] : record.written) {
    std::vector<std::string> ids;
    for (const std::string& id : documents) ids.push_back(collection_id + "/" + id);
    for (const std::string& task_id : downstream_tasks(batch, tier_, collection_id))
      QUARRY_RETURN_IF_ERROR(session.add_items(task_id, ids));
  }
  return Ok{};
}

Status BatchLedger::settle_object(catalog::Session& session, const ItemRecord& record, TimestampUs now, Outdated& outdated) const {
  bool changed = false;
  QUARRY_ASSIGN_OR_RETURN(bool there, change_object(session, scope(), record.object_id, now, [&](json::object& body) {
                            if (tier_ > 1) return false;
                            changed = record.content_at && content_changed_at(body) > *record.content_at;
                            if (!changed) finish_object(body, record);
                            return !changed;
                          }));
  if (!there) outdated.deleted.push_back(record.object_id);
  if (changed) outdated.changed.push_back(record.object_id);
  return Ok{};
}

Result<Outdated> BatchLedger::record(const GroupRecord& group) {
  TierProgress next = advanced(group);
  Outdated outdated;
  auto done = in_lease([&](catalog::Session& session, Task& row, json::object& batch) -> Status {
    outdated = {};
    std::vector<catalog::WorkItem> items;
    std::set<std::string_view> settled;  // the documents of a later tier often have one root
    for (const ItemRecord& record : group.items) {
      items.push_back(record.item);
      QUARRY_RETURN_IF_ERROR(tell_later_tiers(session, batch, record));
      add_failures(batch, record.failures);
      bool concerns_object = record.item.status != ItemStatus::kSkipped && !record.object_id.empty();
      if (concerns_object && settled.insert(record.object_id).second)
        QUARRY_RETURN_IF_ERROR(settle_object(session, record, row.updated_at, outdated));
    }
    if (!outdated.empty()) return Error{ErrorKind::kNotFound, "objects were deleted or changed meanwhile"};  // rolls back
    QUARRY_RETURN_IF_ERROR(session.finish_items(row.task_id, items));
    settle_attempts(row);
    write_progress(batch, tier_, next, row.updated_at);
    return Ok{};
  });
  if (!done.ok() && !outdated.empty() && done.error().kind == ErrorKind::kNotFound) return outdated;
  if (!done.ok()) return std::move(done).error();
  progress_ = std::move(next);
  finished_here_ += group.items.size();
  return Outdated{};
}

Result<std::vector<std::string>> BatchLedger::absent_objects(const GroupRecord& group) {
  std::vector<std::string> absent;
  QUARRY_RETURN_IF_ERROR(catalog_.read([&](catalog::Session& session) -> Status {
    for (const ItemRecord& record : group.items) {
      if (record.object_id.empty()) continue;
      auto object = session.get(kind::kObject, scope(), record.object_id);
      if (object.ok()) continue;
      if (object.error().kind != ErrorKind::kNotFound) return std::move(object).error();
      absent.push_back(record.object_id);
    }
    return Ok{};
  }));
  return absent;
}

Status BatchLedger::start_next_tier(catalog::Session& session, json::object& batch, const Task& done) const {
  Task next = done;
  next.task_id = tier_task_id(batch, tier_ + 1);
  next.status = TaskStatus::kPending;
  next.error.clear();
  next.lease_owner.clear();
  next.lease_expires_at = 0;
  next.attempts = 0;
  next.inputs.erase(kWorkerNotes);
  next.created_at = next.updated_at = clock_.now_us();
  next.inputs["tier"] = tier_ + 1;
  const json::object* info = tier_info(batch, tier_ + 1);
  next.inputs["collection_ids"] = info->at("collection_ids");
  next.additional_data = task_progress(batch, tier_ + 1);
  batch["task_id"] = next.task_id;
  batch["current_tier"] = tier_ + 1;
  auto present = session.get_task_any(next.task_id);
  if (!present.ok()) return present.error().kind == ErrorKind::kNotFound ? session.enqueue(next) : Status(std::move(present).error());
  return reopen_task(session, std::move(*present), next);  // a retry: the tier ran before
}

// An item that failed for one collection and was right for another did not fail as a whole.
Result<bool> BatchLedger::is_any_item_partial() {
  constexpr size_t kPage = 1'000;
  for (size_t offset = 0;; offset += kPage) {
    std::vector<catalog::WorkItem> failed;
    QUARRY_RETURN_IF_ERROR(with_retries(retries_, control_, [&] {
      return catalog_.read([&](catalog::Session& session) -> Status {
        QUARRY_ASSIGN_OR_RETURN(failed, session.list_items(task_.task_id, ItemStatus::kFailed, offset, kPage));
        return Ok{};
      });
    }));
    if (std::any_of(failed.begin(), failed.end(), [](const catalog::WorkItem& item) { return item.outcome.contains(kPartialOutcome); }))
      return true;
    if (failed.size() < kPage) return false;
  }
}

Status BatchLedger::finish() {
  bool any_partial = false;
  if (progress_.items.done + progress_.items.skipped == 0) {
    QUARRY_ASSIGN_OR_RETURN(any_partial, is_any_item_partial());
  }
  return in_lease([&](catalog::Session& session, Task& row, json::object& batch) -> Status {
    QUARRY_ASSIGN_OR_RETURN(progress_.items, session.count_items(row.task_id));
    row.status = status_of_items(progress_.items, any_partial);
    write_progress(batch, tier_, progress_, row.updated_at);
    end_tier(batch, tier_, row.status, "", row.updated_at);
    bool last = tier_ >= tier_count(batch) || (tier_ == 1 && row.status == TaskStatus::kFailed);
    if (row.status == TaskStatus::kFailed) row.error = outcome_text(row.status, batch);
    if (!last) return start_next_tier(session, batch, row);
    TaskStatus status = status_of_tiers(batch);
    if (tier_ < tier_count(batch)) status = TaskStatus::kFailed;
    set_batch_status(batch, status, outcome_text(status, batch), row.updated_at);
    batch["completed_at"] = format_timestamp(row.updated_at);
    return Ok{};
  });
}

// Objects whose turn had come, in this worker's life or an earlier one: by the order of the feed they are the first that are pending.
Status BatchLedger::settle_objects(TaskStatus status, const std::string& error) {
  if (tier_ > 1) return Ok{};
  constexpr size_t kPage = 1'000;
  for (size_t offset = 0;; offset += kPage) {
    size_t items = 0, settled = 0;
    QUARRY_RETURN_IF_ERROR(with_retries(retries_, control_, [&] {
      return catalog_.write([&](catalog::Session& session) -> Status {
        settled = 0;
        QUARRY_ASSIGN_OR_RETURN(auto pending, session.list_items(task_.task_id, ItemStatus::kPending, offset, kPage));
        items = pending.size();
        for (const catalog::WorkItem& item : pending) {
          QUARRY_RETURN_IF_ERROR(change_object(session, scope(), item.item_id, clock_.now_us(), [&](json::object& body) {
            if (text_member(body, "status") != to_string(TaskStatus::kProcessing)) return false;
            set_object_status(body, status, error);
            ++settled;
            return true;
          }));
        }
        return Ok{};
      });
    }));
    if (settled == 0 || items < kPage) return Ok{};
  }
}

Status BatchLedger::cancel() {
  QUARRY_RETURN_IF_ERROR(settle_objects(TaskStatus::kPending, ""));
  return in_lease([&](catalog::Session&, Task& row, json::object& batch) -> Status {
    row.status = TaskStatus::kCanceled;
    end_tier(batch, tier_, TaskStatus::kCanceled, "", row.updated_at);
    set_batch_status(batch, TaskStatus::kCanceled, "canceled on request", row.updated_at);
    return Ok{};
  });
}

Status BatchLedger::fail(const Error& error) {
  QUARRY_RETURN_IF_ERROR(settle_objects(TaskStatus::kFailed, error.message));
  return in_lease([&](catalog::Session&, Task& row, json::object& batch) -> Status {
    row.status = TaskStatus::kFailed;
    row.error = error.message;
    end_tier(batch, tier_, TaskStatus::kFailed, error.message, row.updated_at);
    set_batch_status(batch, TaskStatus::kFailed, error.message, row.updated_at);
    batch["failure_category"] = failure_category(error.kind);
    return Ok{};
  });
}

Status BatchLedger::hand_back() {
  return in_lease([&](catalog::Session&, Task& row, json::object&) -> Status {
    row.lease_expires_at = 0;  // whoever claims next takes it at once
    settle_attempts(row);
    return Ok{};
  });
}

}  // namespace quarry::pipeline
