#include "pipeline/lifecycle.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "model/ids.h"
#include "pipeline/backoff.h"
#include "pipeline/batch_state.h"
#include "pipeline/lifecycle_rows.h"
#include "pipeline/new_row.h"
#include "pipeline/object_body.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

constexpr size_t kTaskPage = 200, kMaxOpenTasks = 10'000;
// What the trace of a change tells, from its task's inputs or from what the task found.
constexpr std::string_view kEventMembers[] = {"from", "to", "reason", "explanation", "documents", "bytes", "memory_bytes"};
constexpr std::string_view kEmptyRehydrate = "No vectors found in warm tier to rehydrate";

bool flips_at_once(LifecycleState to) { return to == LifecycleState::kFrozen || to == LifecycleState::kArchived; }

std::string transition_task(json::object& body, std::string_view member) {
  const json::value* transition = storage_of(body).if_contains("transition");
  return transition != nullptr && transition->is_object() ? text_member(transition->get_object(), member) : std::string();
}

bool touches(const json::object& batch_body, const std::string& collection_id) {
  for (int tier = 1; tier <= tier_count(batch_body); ++tier) {
    const auto ids = string_list(*tier_info(batch_body, tier), "collection_ids");
    if (std::find(ids.begin(), ids.end(), collection_id) != ids.end()) return true;
  }
  return false;
}

// kConflict naming the batch, if one that has not ended writes to the collection.
Status check_no_batch(catalog::Session& session, const catalog::Scope& scope, const Collection& collection, LifecycleState to) {
  catalog::TaskQuery query;
  query.scope = scope;
  query.task_type = kBatchTaskType;
  query.statuses = {TaskStatus::kPending, TaskStatus::kQueued, TaskStatus::kInProgress, TaskStatus::kProcessing};
  query.limit = kTaskPage;
  for (; query.offset < kMaxOpenTasks; query.offset += kTaskPage) {
    QUARRY_ASSIGN_OR_RETURN(const auto tasks, session.list_tasks(query, nullptr));
    for (const Task& task : tasks) {
      const std::string batch_id = text_member(task.inputs, "batch_id");
      auto batch = session.get(kind::kBatch, scope, batch_id);
      if (!batch.ok() && batch.error().kind == ErrorKind::kNotFound) continue;
      if (!batch.ok()) return std::move(batch).error();
      if (!touches(batch->body, collection.collection_id)) continue;
      return Error(ErrorKind::kConflict,
                   fmt::format("collection '{}' cannot become {} while batch '{}' writes to it: wait for the batch, or cancel it",
                               collection.name, to_string(to), batch_id),
                   {{"batch_id", batch_id}, {"retryable", true}});
    }
    if (tasks.size() < kTaskPage) break;
  }
  return Ok{};
}

const json::value* member_of_task(const Task& task, std::string_view name) {
  const json::value* input = task.inputs.if_contains(name);
  return input != nullptr ? input : task.additional_data.if_contains(name);
}

// The state that the change leads to, and its trace.
Status write_state(catalog::Session& session, catalog::Resource& collection, const Task& task, TimestampUs now) {
  const std::string from = text_member(task.inputs, "from"), to = text_member(task.inputs, "to");
  collection.body["lifecycle_state"] = to;
  collection.body["last_transitioned_at"] = format_timestamp(now);
  json::object& storage = storage_of(collection.body);
  if (to != "frozen")
    storage["tier"] = to;
  else if (from != "frozen")
    storage["tier"] = from;
  json::object event{{"event_type", "lifecycle.transition"}, {"task_id", task.task_id}};
  for (std::string_view name : kEventMembers)
    if (const json::value* value = member_of_task(task, name)) event[name] = *value;
  if (to == "archived") storage.erase("archive_notice");
  return add_lifecycle_event(session, collection, std::move(event), now);
}

Task task_of(const catalog::Scope& scope, std::string_view internal_id, const LifecycleChange& change, LifecycleState from,
             TimestampUs now) {
  Task task = new_task(kLifecycleTaskType, new_id("task"), scope, now);
  task.inputs = {{"collection_id", change.collection_id}, {"from", to_string(from)},       {"to", to_string(change.to)},
                 {"reason", change.reason},               {"internal_id", internal_id}};
  if (!change.explanation.empty()) task.inputs["explanation"] = change.explanation;
  add_held(task.inputs, change.held);
  task.additional_data = {{"operation", kLifecycleOperation}};
  for (std::string_view name : {"collection_id", "from", "to", "reason"}) task.additional_data[name] = task.inputs[name];
  return task;
}

}  // namespace

Status check_lifecycle_step(LifecycleState from, LifecycleState to) {
  using enum LifecycleState;
  if (from == kArchived)
    return bad_request("an archived collection stays archived: its documents are gone; process its sources into a new collection");
  if (from == kFrozen && to == kArchived) return bad_request("a frozen collection is not archived: make it active or cold first");
  return Ok{};
}

Result<std::string> begin_lifecycle_change(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id,
                                           const LifecycleChange& change, TimestampUs now) {
  QUARRY_ASSIGN_OR_RETURN(catalog::Resource resource, session.get(kind::kCollection, scope, change.collection_id));
  QUARRY_ASSIGN_OR_RETURN(const Collection collection, parse_collection(resource.body, scope.organization_id, scope.namespace_id));
  if (const std::string busy = transition_task(resource.body, "task_id"); !busy.empty()) {
    const std::string to = transition_task(resource.body, "to");
    if (to == to_string(change.to)) return busy;
    return Error(ErrorKind::kConflict, fmt::format("collection '{}' is becoming {}: task '{}'", collection.name, to, busy),
                 {{"task_id", busy}, {"retryable", true}});
  }
  const bool left_over = change.to == LifecycleState::kArchived && storage_of(resource.body).contains("data_left");
  if (collection.lifecycle == change.to && !left_over) return std::string();
  if (!left_over) QUARRY_RETURN_IF_ERROR(check_lifecycle_step(collection.lifecycle, change.to));
  if (flips_at_once(change.to)) QUARRY_RETURN_IF_ERROR(check_no_batch(session, scope, collection, change.to));
  Task task = task_of(scope, internal_id, change, collection.lifecycle, now);
  if (flips_at_once(change.to) && !left_over) QUARRY_RETURN_IF_ERROR(write_state(session, resource, task, now));
  if (change.to == LifecycleState::kFrozen)
    task.status = TaskStatus::kCompleted;
  else
    storage_of(resource.body)["transition"] =
        json::object{{"task_id", task.task_id}, {"from", task.inputs.at("from")}, {"to", task.inputs.at("to")}};
  resource.updated_at = now;
  QUARRY_RETURN_IF_ERROR(session.replace(resource));
  QUARRY_RETURN_IF_ERROR(session.enqueue(task));
  return task.task_id;
}

std::optional<HeldData> held_data(mvs::VectorStore& vectors, const Collection& collection, std::string_view internal_id) {
  if (collection.lifecycle == LifecycleState::kArchived) return std::nullopt;
  if (!vectors.attach_table(table_spec(collection, internal_id)).ok()) return std::nullopt;
  const auto stats = vectors.stats(collection.table_id());
  if (!stats.ok()) return std::nullopt;
  return HeldData{stats->documents, stats->bytes, stats->memory_bytes};
}

namespace {

class LifecycleTask {
 public:
  LifecycleTask(const Options& options, TaskControl& control, Task task)
      : options_(options),
        control_(control),
        retries_{options.storage_attempts, options.retry_delay_us},
        task_(std::move(task)),
        scope_{task_.organization_id, task_.namespace_id},
        collection_id_(text_member(task_.inputs, "collection_id")) {}

  Status run() {
    auto to = parse_lifecycle_state(text_member(task_.inputs, "to"));
    if (!to.ok()) return conclude(TaskStatus::kFailed, to.error().message);
    to_ = *to;
    if (task_.cancel_requested && to_ != LifecycleState::kArchived) return conclude(TaskStatus::kCanceled, "");
    auto found = options_.catalog->get(kind::kCollection, scope_, collection_id_);
    if (!found.ok() && found.error().kind == ErrorKind::kNotFound) return conclude(TaskStatus::kCanceled, "the collection was deleted");
    QUARRY_RETURN_IF_ERROR(found);
    if (transition_task(found->body, "task_id") != task_.task_id) return conclude(TaskStatus::kCanceled, "another change took its place");
    QUARRY_ASSIGN_OR_RETURN(const Collection collection, parse_collection(found->body, scope_.organization_id, scope_.namespace_id));
    const Status moved = with_retries(retries_, control_, [&] { return move(collection); });
    if (control_.lost) return Ok{};
    if (moved.ok()) return conclude(TaskStatus::kCompleted, "");
    if (control_.stopping) return conclude(TaskStatus::kPending, "");
    log_warn("a collection was not moved", {{"collection_id", collection_id_}, {"reason", moved.error().message}});
    return conclude(TaskStatus::kFailed, moved.error().message);
  }

 private:
  Status move(const Collection& collection) {
    mvs::VectorStore& vectors = *options_.vectors;
    mvs::TableSpec spec = table_spec(collection, text_member(task_.inputs, "internal_id"));
    spec.tier = to_ == LifecycleState::kActive && !collection.is_cold ? mvs::Tier::kActive : mvs::Tier::kCold;
    Status attached = vectors.attach_table(spec);
    if (to_ == LifecycleState::kArchived) {
      Status dropped = attached.ok() ? vectors.drop_table(spec.table_id) : attached;
      return dropped.ok() || dropped.error().kind == ErrorKind::kNotFound ? Status(Ok{}) : dropped;
    }
    QUARRY_RETURN_IF_ERROR(attached);
    const mvs::Tier tier = to_ == LifecycleState::kCold ? mvs::Tier::kCold : mvs::Tier::kActive;
    const uint64_t freed_bytes = memory_bytes(spec.table_id);
    QUARRY_RETURN_IF_ERROR(vectors.set_tier(spec.table_id, tier));
    const auto stats = vectors.stats(spec.table_id);
    if (!stats.ok()) return tier == mvs::Tier::kCold ? Status(Ok{}) : Status(stats.error());
    task_.additional_data["documents"] = stats->documents;
    task_.additional_data["bytes"] = stats->bytes;
    task_.additional_data["memory_bytes"] = tier == mvs::Tier::kCold ? freed_bytes : stats->memory_bytes;
    if (tier == mvs::Tier::kActive && stats->documents == 0) task_.additional_data["warning"] = kEmptyRehydrate;
    return Ok{};
  }

  uint64_t memory_bytes(const std::string& table_id) const {
    for (const mvs::TableUsage& usage : options_.vectors->usage())
      if (usage.table_id == table_id) return usage.memory_bytes;
    return 0;
  }

  // The collection's state and the task's end, in one transaction. kPending hands the task back.
  Status conclude(TaskStatus status, const std::string& error) {
    return with_retries(retries_, control_, [&] {
      return options_.catalog->write([&](catalog::Session& session) -> Status {
        const TimestampUs now = options_.clock->now_us();
        Task task = task_;
        task.status = status;
        task.error = error;
        task.updated_at = now;
        QUARRY_RETURN_IF_ERROR(session.update_task(task));
        if (status == TaskStatus::kPending) return Ok{};
        auto collection = session.get(kind::kCollection, scope_, collection_id_);
        if (!collection.ok()) return collection.error().kind == ErrorKind::kNotFound ? Status(Ok{}) : Status(collection.error());
        if (transition_task(collection->body, "task_id") != task_.task_id) return Ok{};
        json::object& storage = storage_of(collection->body);
        storage.erase("transition");
        if (to_ == LifecycleState::kArchived) storage.erase("data_left");
        if (status == TaskStatus::kFailed && to_ == LifecycleState::kArchived) storage["data_left"] = true;
        if (status == TaskStatus::kCompleted && !flips_at_once(to_)) QUARRY_RETURN_IF_ERROR(write_state(session, *collection, task, now));
        collection->updated_at = now;
        return session.replace(*collection);
      });
    });
  }

  const Options& options_;
  TaskControl& control_;
  const RetryPolicy retries_;
  Task task_;
  const catalog::Scope scope_;
  const std::string collection_id_;
  LifecycleState to_ = LifecycleState::kActive;
};

}  // namespace

Status run_lifecycle_task(const Options& options, TaskControl& control, Task task) {
  return LifecycleTask(options, control, std::move(task)).run();
}

}  // namespace quarry::pipeline
