// Background work: claims tasks, runs their steps, publishes once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "model/collection.h"
#include "extract/extract.h"
#include "mvs/mvs.h"
#include "objects/fetcher.h"
#include "objects/object_store.h"
#include "pipeline/tiering_policy.h"

namespace quarry::pipeline {

// Stores that snapshots may be imported from beside the server's own, by the names that the configuration gives them.
using ImportPlaces = std::map<std::string, objects::ObjectStore*, std::less<>>;

struct Options {
  catalog::Catalog* catalog = nullptr;
  mvs::VectorStore* vectors = nullptr;
  objects::ObjectStore* store = nullptr;
  objects::Fetcher* fetcher = nullptr;
  ImportPlaces import_places;
  extract::Runtime extract;  // its executor is the engine's own
  const Clock* clock = &system_clock();
  std::string worker_id;        // unique among processes on the catalog and among restarts
  bool exclusive = false;       // this process is alone on the catalog: start() frees the leases that a crash left behind
  size_t threads = 2;           // objects extracted at the same time
  size_t concurrent_tasks = 2;  // tasks run at the same time; they share the threads
  int64_t lease_us = 30'000'000;
  int64_t poll_interval_us = 1'000'000;
  size_t commit_documents = 512;                   // documents per Delta commit,
  uint64_t commit_bytes = 32ull << 20;             // or so many bytes of them,
  int64_t commit_interval_us = 500'000;            // or so long after the first of a group
  uint64_t source_bytes_in_flight = 256ull << 20;  // of sources being extracted; a larger one is extracted alone
  // An object may kill its worker. After so many claims in a row without a commit the items are run one at a time, and one that was begun
  // so often without an end fails; the rest goes on.
  int max_attempts = 4;
  int max_item_attempts = 4;
  int storage_attempts = 6;  // tries of one commit, with exponential back-off from retry_delay_us
  int64_t retry_delay_us = 250'000;
  // Bytes that nothing refers to and that are older than a day are removed once after the first, then at each interval. 0: never.
  int64_t first_sweep_us = 600'000'000, sweep_interval_us = 86'400'000'000;
  int64_t daily_snapshot_keep_us = 0;          // each namespace gets a snapshot a day, kept so long; 0: none
  int64_t snapshot_interval_us = 600'000'000;  // how often daily and expired snapshots are looked for; 0: this process does neither
  int64_t tiering_interval_us = 60'000'000;  // how often tiering rules are looked at; 0: this process obeys none
  int64_t query_flush_us = 10'000'000;       // how often times of queries are written: what a crash loses of them; 0: by stop()
  // How a collection's extractor is made; empty: from the catalogue of extract/, with the models of `extract`.
  std::function<Result<std::shared_ptr<const extract::BoundExtractor>>(const ExtractorConfig&)> bind;
};

// One task is claimed by one worker with a lease that is extended while it runs. Objects are extracted in parallel; documents go to the
// store in groups, each group's objects are marked done after its commit. A crash repeats at most the objects of the open groups: document
// ids are derived and each object's rows are replaced in one commit, so nothing is lost or doubled.
class Engine {
 public:
  static std::unique_ptr<Engine> make(Options options);
  virtual ~Engine() = default;  // as stop()
  virtual Status start() = 0;
  // Finishes or hands back what is running: the open groups are committed, leases released, status kept.
  virtual void stop() = 0;
  // A task was enqueued or is to be cancelled: look now rather than at the next poll. Thread-safe, never blocks.
  virtual void notify() = 0;
  // A client reads the collection. Kept in memory and written every query_flush_us, but for the first query after an archive was announced:
  // that takes the announcement back before this returns. One of a cold collection with auto_rehydrate brings it back in the background.
  // Thread-safe; never fails.
  virtual void note_query(const Collection& collection) = 0;
  // Writes the times of queries that are still in memory, for those who read them next. What cannot be written stays in memory.
  virtual void flush_queries() = 0;
};

// ---- objects: what the service writes and the engine reads -----------------------------------------------------------
//
// An object as its catalog body keeps it (kind "object", parent = its bucket):
//
//   body    = { object_id, bucket_id, key_prefix?, status, error?, blobs: [blob], edges?, lifecycle_state?, _internal: {...},
//               and the user's fields }
//   blob    = { blob_id, property, type, key_prefix?, properties: {..},
//               details: {filename?, size_bytes?, mime_type?, hash?}, and one of
//               value: <JSON of a plain type or a short text>
//               storage: { key }                    bytes on the object store
//               storage: { url, mirror, key? } }    read from the URL when first processed; kept under `key` from then on if `mirror`
//
// `_internal` never leaves the server: { content_hash, content_at (microseconds), index: [ids of index rows] }. An object whose
// lifecycle_state is "disabled" is skipped by batches.
inline constexpr std::string_view kInternalMember = "_internal";
inline constexpr std::string_view kObjectIndexKind = "object_index";  // rows that find an object by hash or key; children of its bucket
inline constexpr uint64_t kMaxInlineTextBytes = 64 << 10;  // a longer text is kept on the object store

// True for members that are the object's own, not the user's: "object_id", "blobs", "status", ...
bool is_object_member(std::string_view name);
// kExtraction naming the property when the bytes are empty, or of another kind than a media type declares.
Status check_blob_content(std::string_view property, FieldType type, std::string_view bytes, std::string_view detected_mime_type);

// ---- lifecycle: what the service and the engine share -----------------------------------------------------------------
//
// Readers go by `lifecycle_state` in a collection's body; `_internal.storage` keeps
//
//   { tier: "active" | "cold" of a frozen collection, transition?: { task_id, from, to } while a task works on it,
//     archive_notice?: { announced_at, archive_at } while auto_archive has announced it }
//
// A change is a task of kLifecycleTaskType with additional_data { operation: "lifecycle_transition", from, to, reason, ... }. Its last
// transaction writes the new state, a row of kind "lifecycle_event" under the collection, and the task's end, so that a crash leaves the
// state before or the state after. A collection that is frozen or archived is so from the first transaction on: no batch starts in between.
inline constexpr std::string_view kLifecycleTaskType = "materialize", kLifecycleOperation = "lifecycle_transition";
inline constexpr size_t kMaxLifecycleEvents = 100;  // of one collection; older ones go

// What a collection holds: live documents, bytes of the warm tier, and memory.
struct HeldData {
  uint64_t documents = 0, bytes = 0, memory_bytes = 0;
};
// Nothing if it is archived or cannot be told now. An active collection that was not touched yet is read for it.
std::optional<HeldData> held_data(mvs::VectorStore& vectors, const Collection& collection, std::string_view internal_id);

struct LifecycleChange {
  std::string collection_id;
  LifecycleState to = LifecycleState::kActive;
  std::string reason = "request";  // or the rule that moves it: "auto_evict", ...
  std::string explanation;         // what made the rule do so; may be empty
  std::optional<HeldData> held;    // for the trace of freezing and archiving, which the task finds done
};
// kBadRequest for a step that does not exist ("archived" has none, a frozen collection is thawed before it is archived), else empty.
Status check_lifecycle_step(LifecycleState from, LifecycleState to);
// In the caller's transaction; returns the task's id, empty if the collection is there already. A change to the same state that is under
// way is joined. kConflict while another change is under way, and for freezing and archiving while a batch of the collection has not ended:
// it names the task or the batch. Call Engine::notify() after the transaction.
Result<std::string> begin_lifecycle_change(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id,
                                           const LifecycleChange& change, TimestampUs now);

// ---- tiering rules: what they will do next ----------------------------------------------------------------------------

struct PlannedMove {
  Collection collection;
  TieringState state;
  std::vector<TieringAction> actions;  // as next_tiering_actions() gives them; at least one
};
// Of every collection of the namespace whose rules will do something. Flush the times of queries first.
Result<std::vector<PlannedMove>> plan_tiering(catalog::Catalog& catalog, const catalog::Scope& scope, TimestampUs now);
// In the caller's transaction: what the rules decide upon.
Result<TieringState> load_tiering_state(catalog::Session& session, const catalog::Resource& collection, TimestampUs now);

// ---- batches: what the service writes and the engine reads -----------------------------------------------------------

// Task.inputs of "api_buckets_batches_process": {batch_id, bucket_id, namespace_id, internal_id, tier, collection_ids}.
// The task's work items are object ids (tier 1) or "{collection_id}/{document_id}" of the source collections (tier > 1). Those of tier 1
// are fixed when the batch is submitted; those of later tiers are added, or begin again, in the transactions that mark the earlier tiers'
// items done.
inline constexpr std::string_view kBatchTaskType = "api_buckets_batches_process";
inline constexpr size_t kMaxBatchObjects = 1'000'000;

// The collections fed by `bucket_id`, directly (tier 1) or through other collections (tier n), in order; kBadRequest on a cycle. Disabled,
// archived and frozen collections are left out. `only_collections` (ids or names) narrows to those and what feeds them; kNotFound, or
// kBadRequest for one that the bucket does not feed.
Result<std::vector<std::vector<std::string>>> plan_tiers(catalog::Session& session, const catalog::Scope& scope, std::string_view bucket_id,
                                                         const std::vector<std::string>& only_collections);

struct NewBatch {
  std::string bucket_id;
  std::vector<std::string> object_ids;  // known to exist; repeated ones count once
  json::object attributes;              // batch_name, metadata, dedup_strategy, collection_ids, submitted_by_key_id, ...
};
// In the caller's transaction: a DRAFT batch; kNotFound if the bucket is gone. Its objects are kept as work items under the batch's id, so
// that its body stays small.
Result<catalog::Resource> create_batch(catalog::Session& session, const catalog::Scope& scope, const NewBatch& batch, TimestampUs now);
// kBadRequest unless the batch is a draft.
Status add_batch_objects(catalog::Session& session, const catalog::Scope& scope, std::string_view batch_id,
                         const std::vector<std::string>& object_ids, TimestampUs now);
Result<std::vector<std::string>> batch_objects(catalog::Session& session, std::string_view batch_id, size_t offset, size_t limit);

// In the caller's transaction: writes the tier-1 task with one item per object and moves the batch to PENDING. Returns the task.
Result<Task> submit_batch(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id, std::string_view batch_id,
                          const std::vector<std::string>& only_collections, TimestampUs now);

struct RetryOptions {
  bool transient_only = false;  // leaves failures that would fail again: a damaged file, a wrong type
  std::vector<int> tiers;       // empty: all
  int max_retries = 10;         // kBadRequest once the batch has been retried so often
};
// Failed items, and pending ones of a batch that failed as a whole or was cancelled, run again.
Result<Task> retry_batch(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id, std::string_view batch_id,
                         TimestampUs now, const RetryOptions& options = {});
// A batch that has not begun is CANCELED at once, a running one at its next object: call Engine::notify() after the transaction.
Status cancel_batch(catalog::Session& session, const catalog::Scope& scope, std::string_view batch_id, TimestampUs now);

// One failed item of a batch, as the failed-documents listing shows it: {object_id, document_id?, collection_id, tier_num, error_type,
// error, kind}.
Result<std::vector<json::object>> list_failures(catalog::Session& session, const json::object& batch_body, std::optional<int> tier,
                                                size_t limit);

// Key of a blob's bytes on the object store: "{internal_id}/{namespace_id}/blobs/{bucket_id}/{object_id}/{blob_id}".
std::string blob_key(std::string_view internal_id, std::string_view namespace_id, std::string_view bucket_id, std::string_view object_id,
                     std::string_view blob_id);
// The key prefix of a collection's table (Collection::table_id()): "{internal_id}/{namespace_id}/{table_id}".
std::string table_prefix(std::string_view internal_id, std::string_view namespace_id, std::string_view table_id);
mvs::TableSpec table_spec(const Collection& collection, std::string_view internal_id);

// Entries of the namespace's payload_indexes that ask for a column and that the collection has not taken over; a field of its output schema
// keeps the type that the schema says.
json::array new_payload_indexes(const json::object& namespace_body, const Collection& collection);
// Gives the collection's table, which is known to the store, the columns of those and lists them in the collection's row, which is given
// back. Nothing happens where there are none or the collection takes no documents.
Result<catalog::Resource> take_payload_indexes(catalog::Catalog& catalog, mvs::VectorStore& vectors, const json::object& namespace_body,
                                               std::string_view internal_id, catalog::Resource collection);

// ---- files that have to go --------------------------------------------------------------------------------------------
//
// A row of kind "retired_table" tells of files that no other row owns any more, or none owns yet: whatever dies, the sweep finds them by
// it.
struct RetiredFiles {
  std::string id;       // the table's, or that of what else they belong to
  std::string prefix;   // of their keys, without the last '/'
  std::string task_id;  // that still makes them: they stay until it is over; may be empty
};
// In the caller's transaction. Ok if it is there already.
Status retire_files(catalog::Session& session, const catalog::Scope& scope, const RetiredFiles& files, TimestampUs now);
// In the caller's transaction: they have an owner now. Ok if there is no such row.
Status keep_files(catalog::Session& session, const catalog::Scope& scope, std::string_view id);
// Drops the table, the files, then the row; does nothing where the row is gone.
Status drop_retired(catalog::Catalog& catalog, mvs::VectorStore& vectors, objects::ObjectStore& store, const catalog::Scope& scope,
                    std::string_view id);
// All that were retired before `older_than`, but for what a task still makes. One that fails holds no other up; the first error is
// returned.
Status drop_all_retired(catalog::Catalog& catalog, mvs::VectorStore& vectors, objects::ObjectStore& store, TimestampUs older_than);

struct SweepReport {
  uint64_t looked_at = 0, removed = 0, removed_bytes = 0;
};
// Removes bytes under the buckets' blob prefixes that no object and no upload refers to and that are older than `older_than`: what a crash
// between putting bytes and writing their row left, and PUTs that lost against a later one. The engine runs it now and then; `halted` ends
// it early.
Result<SweepReport> sweep_orphans(catalog::Catalog& catalog, objects::ObjectStore& store, TimestampUs older_than,
                                  const std::function<bool()>& halted = {});

// Removes what was made from these objects, in every collection of the namespace and at every tier. Idempotent.
Status delete_object_documents(catalog::Catalog& catalog, mvs::VectorStore& vectors, const catalog::Scope& scope,
                               std::string_view internal_id, const std::vector<std::string>& object_ids);

}  // namespace quarry::pipeline
