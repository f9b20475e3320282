// Background work: claims tasks, runs their steps, publishes once.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "extract/extract.h"
#include "mvs/mvs.h"
#include "objects/object_store.h"
#include "objects/fetcher.h"

namespace quarry::pipeline {

struct Options {
  catalog::Catalog* catalog = nullptr;
  mvs::VectorStore* vectors = nullptr;
  objects::ObjectStore* store = nullptr;
  objects::Fetcher* fetcher = nullptr;
  extract::Runtime extract;
  const Clock* clock = &system_clock();
  std::string worker_id;             // unique among processes on the catalog
  size_t threads = 2;                // objects extracted at the same time
  int64_t lease_us = 30'000'000;
  size_t commit_documents = 512;     // documents per Delta commit
  int max_attempts = 3;              // of a task whose worker died
};

// One task is claimed by one worker with a lease that is extended while it runs. Objects are extracted in parallel; documents go to the store in
// groups, each group's objects are marked done after its commit. A crash repeats at most the objects of the open groups: document ids are derived
// and each object's rows are replaced in one commit, so nothing is lost or doubled.
class Engine {
 public:
  static std::unique_ptr<Engine> make(Options options);
  virtual ~Engine() = default;  // as stop()
  virtual Status start() = 0;
  // Finishes or hands back what is running: the open groups are committed, leases released, status kept.
  virtual void stop() = 0;
  // A task was enqueued: look now rather than at the next poll. Thread-safe, never blocks.
  virtual void notify() = 0;
};

// ---- batches: what the service writes and the engine reads -----------------------------------------------------------

// Task.inputs of "api_buckets_batches_process": {batch_id, bucket_id, namespace_id, internal_id, tier, collection_ids, attempt}.
// The task's work items are object ids (tier 1) or document ids of the source collections (tier > 1), fixed when the batch is submitted (tier 1)
// or when the tier begins.
inline constexpr std::string_view kBatchTaskType = "api_buckets_batches_process";

// The collections fed by `bucket_id`, directly (tier 1) or through other collections (tier n), in order; kBadRequest on a cycle.
Result<std::vector<std::vector<std::string>>> plan_tiers(catalog::Session& session, const catalog::Scope& scope, std::string_view bucket_id,
                                                         const std::vector<std::string>& only_collections);

// In the caller's transaction: writes the tier-1 task with one item per object and moves the batch to PENDING. Returns the task.
Result<Task> submit_batch(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id, std::string_view batch_id,
                          const std::vector<std::string>& only_collections, TimestampUs now);
Result<Task> retry_batch(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id, std::string_view batch_id, TimestampUs now);
Status cancel_batch(catalog::Session& session, const catalog::Scope& scope, std::string_view batch_id, TimestampUs now);

// Key of a blob's bytes on the object store: "{internal_id}/{namespace_id}/blobs/{bucket_id}/{object_id}/{blob_id}".
std::string blob_key(std::string_view internal_id, std::string_view namespace_id, std::string_view bucket_id, std::string_view object_id, std::string_view blob_id);
// The table prefix of a collection: "{internal_id}/{namespace_id}/{collection_id}".
std::string table_prefix(std::string_view internal_id, std::string_view namespace_id, std::string_view collection_id);
mvs::TableSpec table_spec(const Collection& collection, std::string_view internal_id);

}  // namespace quarry::pipeline
