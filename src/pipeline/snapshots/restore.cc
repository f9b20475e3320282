// Bringing a snapshot back. Everything is made beside what is there: tables under prefixes of this attempt, bytes under keys that nothing
// refers to yet. Then one catalog transaction replaces the rows, and each collection's row names its new table; a reader sees all of the
// old or all of the new. The tables that were replaced are kept for a while for requests that began before (drop_all_retired).
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "model/collection.h"
#include "model/ids.h"
#include "mvs/table_copy.h"
#include "pipeline/new_row.h"
#include "pipeline/object_body.h"
#include "pipeline/snapshots/job.h"
#include "pipeline/snapshots/restore_plan.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

constexpr size_t kMaxSkipped = 100;  // that a report names

Error not_restorable(const SnapshotCheck& check) {
  std::string first = check.issues.empty() ? "" : check.issues.front().detail;
  for (const SnapshotIssue& issue : check.issues)
    if (issue.severity == "error") {
      first = issue.detail;
      break;
    }
  return corruption(fmt::format("the snapshot is damaged: {}", first));
}

// Tasks that write to a namespace and have not ended, but for `except`; empty: none.
Result<std::string> open_task(catalog::Session& session, const catalog::Scope& scope, const std::string& except) {
  for (std::string_view type : {kBatchTaskType, kLifecycleTaskType, kRestoreTaskType}) {
    catalog::TaskQuery query;
    query.scope = scope;
    query.task_type = type;
    query.statuses = {TaskStatus::kPending, TaskStatus::kQueued, TaskStatus::kInProgress, TaskStatus::kProcessing};
    query.limit = 2;
    QUARRY_ASSIGN_OR_RETURN(const auto tasks, session.list_tasks(query, nullptr));
    for (const Task& task : tasks)
      if (task.task_id != except) return task.task_id;
  }
  return std::string();
}

Status check_idle(catalog::Session& session, const catalog::Scope& scope, const std::string& except) {
  QUARRY_ASSIGN_OR_RETURN(const std::string busy, open_task(session, scope, except));
  if (busy.empty()) return Ok{};
  return Error(ErrorKind::kConflict, fmt::format("task '{}' of the namespace has not ended: wait for it, or end it", busy),
               {{"task_id", busy}, {"retryable", true}});
}

class SnapshotRestore {
 public:
  explicit SnapshotRestore(SnapshotJob& job)
      : job_(job),
        store_(*job.options().store),
        token_(job.task().task_id.substr(job.task().task_id.find('_') + 1)),
        plan_{.internal_id = job.input("internal_id"),
              .target = {job.scope().organization_id, job.input("target_namespace_id")},
              .target_name = job.input("target_namespace_name"),
              .in_place = job.flag("in_place"),
              .mark = fmt::format("{}-{}", token_, job.task().attempts),
              .renaming = Renaming(job.task().task_id, key_prefix(job, job.scope().namespace_id),
                                   key_prefix(job, job.input("target_namespace_id"))),
              .folder = {},
              .manifest = {},
              .ns = {},
              .buckets = {},
              .retrievers = {}} {}

  Status run() {
    return job_.run(
        {.work = [this] { return restore(); },
         .settle = [this](catalog::Session& session, TaskStatus, const std::string& error) { return report_failure(session, error); },
         .undo = [this] { forget(); }});
  }

 private:
  static std::string key_prefix(const SnapshotJob& job, std::string_view namespace_id) {
    return fmt::format("{}/{}/", job.input("internal_id"), namespace_id);
  }

  Status restore() {
    QUARRY_ASSIGN_OR_RETURN(snapshot_, job_.options().catalog->get(kind::kSnapshot, job_.scope(), job_.input("snapshot_id")));
    plan_.folder = snapshot_prefix_of(snapshot_);
    job_.set_phase("check");
    const std::function<bool()> halted = [this] { return !job_.check().ok(); };
    auto checked = check_snapshot(store_, snapshot_, true, halted);
    if (!checked.ok()) return halted() ? job_.check() : Status(std::move(checked).error());
    if (!checked->is_restorable) return not_restorable(*checked);
    QUARRY_ASSIGN_OR_RETURN(plan_.manifest, read_manifest(store_, snapshot_));
    QUARRY_RETURN_IF_ERROR(read_collections());
    QUARRY_RETURN_IF_ERROR(forget_staged());
    QUARRY_RETURN_IF_ERROR(announce());
    QUARRY_RETURN_IF_ERROR(stage_blobs());
    QUARRY_RETURN_IF_ERROR(stage_tables());
    return swap();
  }

  // The ids that are to be renamed, and the collections.
  Status read_collections() {
    collections_.clear();
    plan_.buckets.clear();
    plan_.retrievers.clear();
    return for_each_line(store_, plan_.folder, plan_.manifest.catalog_parts, [&](const json::object& line) -> Status {
      QUARRY_ASSIGN_OR_RETURN(catalog::Resource resource, parse_resource(line));
      if (resource.kind == kind::kNamespace) plan_.ns = resource;
      if (resource.kind == kind::kBucket) plan_.buckets.insert(resource.id);
      if (resource.kind == kind::kRetriever) plan_.retrievers.insert(resource.id);
      const bool has_own_id = resource.kind != kind::kObject && resource.kind != kObjectIndexKind && resource.kind != kind::kNamespace;
      if (has_own_id && !plan_.in_place) plan_.renaming.add(resource.id);
      if (resource.kind == kind::kCollection) collections_.push_back(std::move(resource));
      return Ok{};
    });
  }

  // What this attempt makes goes if the task ends without it, whatever dies.
  Status announce() {
    staged_.clear();
    const std::string& ns = plan_.target.namespace_id;
    if (!plan_.in_place) staged_.push_back({ns, fmt::format("{}/{}", plan_.internal_id, ns), job_.task().task_id});
    for (const catalog::Resource& original : collections_) {
      if (!plan_.in_place) break;
      catalog::Resource row = original;
      convert(plan_, row, job_.now());
      QUARRY_ASSIGN_OR_RETURN(const Collection collection, parse_collection(row.body, plan_.target.organization_id, ns));
      staged_.push_back({collection.table_id(), table_prefix(plan_.internal_id, ns, collection.table_id()), job_.task().task_id});
    }
    return job_.options().catalog->write([&](catalog::Session& session) -> Status {
      for (const RetiredFiles& files : staged_) QUARRY_RETURN_IF_ERROR(retire_files(session, plan_.target, files, job_.now()));
      return Ok{};
    });
  }

  // Into another namespace every object gets bytes of its own; in place, those that are gone come back if the snapshot has them.
  Status stage_blobs() {
    job_.set_phase("objects");
    skipped_.clear();
    if (plan_.in_place && !plan_.manifest.blobs_copied) return Ok{};
    return for_each_line(store_, plan_.folder, plan_.manifest.catalog_parts, [&](const json::object& line) -> Status {
      QUARRY_ASSIGN_OR_RETURN(const catalog::Resource resource, parse_resource(line));
      if (resource.kind != kind::kObject) return Ok{};
      QUARRY_ASSIGN_OR_RETURN(const auto blobs, parse_blobs(resource.body));
      for (const ObjectBlob& blob : blobs)
        if (!blob.key.empty()) QUARRY_RETURN_IF_ERROR(stage_blob(resource.id, blob));
      return Ok{};
    });
  }

  Status stage_blob(const std::string& object_id, const ObjectBlob& blob) {
    const std::string to = plan_.in_place ? blob.key : plan_.renaming.key(blob.key);
    if (plan_.in_place && store_.head(to).ok()) return Ok{};
    const std::string path = blob_path(plan_.manifest, blob.key);
    if (path.empty()) return Ok{};
    auto bytes = store_.get(plan_.manifest.blobs_copied ? plan_.folder + "/" + path : blob.key);
    if (!bytes.ok() && bytes.error().kind == ErrorKind::kNotFound) {
      if (skipped_.size() < kMaxSkipped)
        skipped_.emplace_back(fmt::format("the bytes of object '{}', property '{}', are gone", object_id, blob.property));
      is_complete_ = false;
      return Ok{};
    }
    QUARRY_RETURN_IF_ERROR(bytes);
    QUARRY_RETURN_IF_ERROR(store_.put(to, *bytes));
    return job_.count_file(bytes->size());
  }

  Status stage_tables() {
    job_.set_phase("tables");
    outcomes_.clear();
    documents_ = 0;
    for (const catalog::Resource& original : collections_) {
      catalog::Resource row = original;
      convert(plan_, row, job_.now());
      QUARRY_ASSIGN_OR_RETURN(const Collection collection,
                              parse_collection(row.body, plan_.target.organization_id, plan_.target.namespace_id));
      if (collection.lifecycle == LifecycleState::kArchived) continue;
      const auto table = std::find_if(plan_.manifest.tables.begin(), plan_.manifest.tables.end(),
                                      [&](const SnapshotTable& t) { return t.collection_id == original.id; });
      QUARRY_RETURN_IF_ERROR(table == plan_.manifest.tables.end() ? make_table(collection) : copy_table(collection, *table));
    }
    return Ok{};
  }

  // The snapshot has no documents of it.
  Status make_table(const Collection& collection) {
    made_.insert(collection.table_id());
    QUARRY_RETURN_IF_ERROR(job_.options().vectors->create_table(table_spec(collection, plan_.internal_id)));
    outcomes_.push_back(json::object{{"collection", collection.name}, {"expected", 0}, {"restored", 0}, {"status", "empty"}});
    return Ok{};
  }

  Status copy_table(const Collection& collection, const SnapshotTable& table) {
    mvs::TableCopyOptions options{.table_id = collection.table_id(),
                                  .rename = {},
                                  .progress = [this](uint64_t bytes) { return job_.count_file(bytes); },
                                  .clock = job_.options().clock};
    if (!plan_.in_place) options.rename = [this](std::string_view text) { return plan_.renaming.text(text); };
    auto copied = mvs::copy_table(store_, plan_.folder + "/tables/" + table.collection_id,
                                  table_prefix(plan_.internal_id, plan_.target.namespace_id, collection.table_id()), options);
    if (!copied.ok()) return std::move(copied).error().with_context(fmt::format("collection '{}'", collection.name));
    if (copied->documents != table.documents)
      return corruption(
          fmt::format("collection '{}' has {} documents in the snapshot, not {}", collection.name, copied->documents, table.documents));
    documents_ += copied->documents;
    outcomes_.push_back(json::object{
        {"collection", collection.name}, {"expected", table.documents}, {"restored", copied->documents}, {"status", "complete"}});
    return Ok{};
  }

  Status swap() {
    job_.set_phase("swap");
    job_.report()["report"] = report();
    std::vector<std::string> replaced;
    QUARRY_RETURN_IF_ERROR(job_.check());
    QUARRY_RETURN_IF_ERROR(job_.options().catalog->write([&](catalog::Session& session) -> Status {
      const TimestampUs now = job_.now();
      if (plan_.in_place) QUARRY_RETURN_IF_ERROR(check_idle(session, plan_.target, job_.task().task_id));
      QUARRY_ASSIGN_OR_RETURN(replaced, replace_rows(session, store_, plan_, now));
      for (const RetiredFiles& files : staged_) QUARRY_RETURN_IF_ERROR(keep_files(session, plan_.target, files.id));
      QUARRY_RETURN_IF_ERROR(note_report(session, report(), now));
      return job_.complete(session);
    }));
    release(replaced);
    return Ok{};
  }

  // Requests that began before the swap still find the replaced tables, but memory is not for them any more.
  void release(const std::vector<std::string>& replaced) const {
    for (const std::string& table : replaced) job_.options().vectors->release_memory(table);
  }

  // ---- what is told ---------------------------------------------------------------------------------------------------

  json::object report() const {
    json::object out{{"snapshot_id", plan_.manifest.snapshot_id},
                     {"target_namespace_id", plan_.target.namespace_id},
                     {"complete", is_complete_},
                     {"vector_expected", documents_},
                     {"vector_restored", documents_},
                     {"vector_source", "snapshot"},
                     {"vector_status", plan_.manifest.include_vectors ? "complete" : "none"}};
    out["collections"] = outcomes_;
    out["skipped_summary"] = skipped_;
    return out;
  }

  Status report_failure(catalog::Session& session, const std::string& error) const {
    json::object failed{
        {"snapshot_id", job_.input("snapshot_id")}, {"target_namespace_id", plan_.target.namespace_id}, {"complete", false}};
    failed["skipped_summary"] = json::array{json::value(error.empty() ? "the task was cancelled" : error.c_str())};
    return note_report(session, std::move(failed), job_.now());
  }

  Status note_report(catalog::Session& session, json::object report, TimestampUs now) const {
    auto row = session.get(kind::kSnapshot, job_.scope(), job_.input("snapshot_id"));
    if (!row.ok()) return row.error().kind == ErrorKind::kNotFound ? Status(Ok{}) : Status(std::move(row).error());
    row->body["last_restore"] = std::move(report);
    row->updated_at = now;
    return session.replace(*row);
  }

  // What this task's attempts have made so far.
  Status forget_staged() {
    for (const std::string& table : made_) {
      Status dropped = job_.options().vectors->drop_table(table);
      if (!dropped.ok() && dropped.error().kind != ErrorKind::kNotFound) return dropped;
    }
    made_.clear();
    if (!plan_.in_place) return objects::remove_prefix(store_, key_prefix(job_, plan_.target.namespace_id));
    for (const catalog::Resource& collection : collections_) {
      const std::string table = fmt::format("{}@{}", collection.id, token_);
      QUARRY_RETURN_IF_ERROR(objects::remove_prefix(store_, table_prefix(plan_.internal_id, plan_.target.namespace_id, table)));
    }
    return Ok{};
  }

  void forget() {
    if (Status removed = forget_staged(); !removed.ok())
      log_warn("files of a restore that failed are left", {{"task_id", job_.task().task_id}, {"reason", removed.error().message}});
  }

  SnapshotJob& job_;
  objects::ObjectStore& store_;
  const std::string token_;  // of all tables that this task makes; the plan's mark is of those that this attempt makes
  RestorePlan plan_;
  catalog::Resource snapshot_;
  std::vector<catalog::Resource> collections_;
  std::vector<RetiredFiles> staged_;  // that have no owner before the swap
  std::set<std::string> made_;        // tables that the vector store made
  json::array outcomes_, skipped_;
  uint64_t documents_ = 0;
  bool is_complete_ = true;
};

Status check_target(catalog::Session& session, const catalog::Scope& scope, const NewRestore& wanted) {
  if (wanted.in_place) return check_idle(session, scope, "");
  auto taken = session.find(kind::kNamespace, {scope.organization_id, ""}, wanted.target_namespace_name);
  if (taken.ok()) return already_exists(fmt::format("a namespace '{}' exists already", wanted.target_namespace_name));
  return taken.error().kind == ErrorKind::kNotFound ? Status(Ok{}) : Status(std::move(taken).error());
}

}  // namespace

Result<Task> begin_restore(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id, const NewRestore& wanted,
                           TimestampUs now) {
  QUARRY_ASSIGN_OR_RETURN(catalog::Resource row, session.get(kind::kSnapshot, scope, wanted.snapshot_id));
  const std::string status = text_member(row.body, "status");
  if (status != "completed")
    return bad_request(fmt::format("snapshot '{}' is {}: only one that is completed can be brought back", row.id, status));
  const json::value* has_documents = row.body.if_contains("include_vectors");
  if (wanted.in_place && has_documents != nullptr && has_documents->is_bool() && !has_documents->get_bool())
    return bad_request(fmt::format("snapshot '{}' has no documents: bring it back into another namespace", row.id));
  const std::string busy = restore_task_of(row);
  auto running = busy.empty() ? Result<Task>(not_found("")) : session.get_task_any(busy);
  if (running.ok() && !is_terminal(running->status))
    return Error(ErrorKind::kConflict, fmt::format("the snapshot is being brought back already: task '{}'", busy),
                 {{"task_id", busy}, {"retryable", true}});
  QUARRY_RETURN_IF_ERROR(check_target(session, scope, wanted));
  Task task = new_task(kRestoreTaskType, new_id("task"), scope, now);
  task.inputs = {{"snapshot_id", row.id},
                 {"target_namespace_id", wanted.target_namespace_id},
                 {"target_namespace_name", wanted.target_namespace_name},
                 {"in_place", wanted.in_place},
                 {"internal_id", internal_id}};
  task.additional_data = {{"operation", "restore"}, {"snapshot_id", row.id}, {"target_namespace_id", wanted.target_namespace_id}};
  internal_of(row.body)["restore_task_id"] = task.task_id;
  row.updated_at = now;
  QUARRY_RETURN_IF_ERROR(session.replace(row));
  QUARRY_RETURN_IF_ERROR(session.enqueue(task));
  return task;
}

Status run_restore_task(const Options& options, TaskControl& control, Task task) {
  SnapshotJob job(options, control, std::move(task));
  return SnapshotRestore(job).run();
}

}  // namespace quarry::pipeline
