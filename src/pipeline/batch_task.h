// One tier of one batch, from claim to outcome.
//
//   feed (this thread) -> extraction (the engine's threads) -> results -> commit groups (this thread)
//
// Bounded by items in flight, by the bytes of their sources (ByteBudget) and by the bytes of extracted documents that wait for their
// commit.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include "base/executor.h"
#include "pipeline/commit_group.h"
#include "pipeline/item_feed.h"
#include "pipeline/pipeline.h"

namespace quarry::pipeline {

class BatchTask {
 public:
  // What the tasks of an engine share. Everything outlives the task.
  struct Shared {
    const Options& options;
    Executor& extraction;
    ByteBudget& sources;
    const BindExtractor& bind;
  };
  BatchTask(const Shared& shared, TaskControl& control, Task task);
  ~BatchTask() { drain(); }
  BatchTask(const BatchTask&) = delete;
  BatchTask& operator=(const BatchTask&) = delete;

  // Runs to an outcome that is in the catalog when it returns; an error means that not even that could be written (the lease will run out).
  Status run();

 private:
  Status prepare();
  Status open_other_tiers();
  Status run_items();
  Status feed();
  Status load_page();
  void submit(catalog::WorkItem item);
  Status run_alone(catalog::WorkItem item);
  Status collect();
  Status commit_if_due(bool force);
  void drain();
  Status conclude(const Status& ran);

  ExtractedItem process(const catalog::WorkItem& item) const;
  ExtractedItem given_up(const catalog::WorkItem& item, int tries) const;
  void process_object(ExtractedItem& out) const;
  void process_document(ExtractedItem& out) const;
  void leave_nothing(std::string_view source_collection_id, ExtractedItem& out) const;
  void extract_all(const ReadObject& source, const SourceLineage& lineage, const json::object& filterable, ExtractedItem& out) const;
  bool up_to_date(const TierCollection& run, const std::string& source_id, TimestampUs changed_at) const;
  void keep(const TierCollection& run, const std::string& source_id, ExtractedItem& out) const;
  std::optional<Error> nothing_usable() const;

  const Shared shared_;
  const Options& options_;
  TaskControl& control_;
  BatchLedger ledger_;
  ObjectReader reader_;
  ObjectReader::Place place_;
  std::vector<TierCollection> collections_;
  BlobDemand demand_;
  Consumers consumers_;
  TableNames tables_;
  bool skip_processed_ = false;  // dedup_strategy "skip"
  bool careful_ = false;         // one item at a time: something killed earlier workers
  size_t recorded_ = 0;          // items, by this worker
  CommitGroup group_;
  ItemFeed feed_;

  std::mutex mutex_;
  std::condition_variable finished_;
  std::vector<ExtractedItem> results_;
  uint64_t result_bytes_ = 0;
  size_t in_flight_ = 0;
};

}  // namespace quarry::pipeline
