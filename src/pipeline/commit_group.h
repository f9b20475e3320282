// What a group of extracted items becomes: one write per collection, then one catalog transaction.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mvs/mvs.h"
#include "pipeline/batch_ledger.h"
#include "pipeline/tier_collection.h"

namespace quarry::pipeline {

// One item after extraction.
struct ExtractedItem {
  std::string item_id;
  int64_t position = 0;
  std::string source_id;                  // object or document
  std::string object_id;                  // the root object; empty: not known
  bool skipped = false;                   // the source is gone, or is left out
  bool abandoned = false;                 // the task was halted before this item: it stays pending
  std::optional<TimestampUs> content_at;  // of an object: which content was read
  std::vector<Failure> failures;
  std::vector<MirroredBlob> mirrored;
  // Per collection that was run, or whose source filter leaves the source out (then no documents): the source's rows become exactly these.
  struct Output {
    size_t collection = 0;  // index among the tier's
    std::vector<Document> documents;
  };
  std::vector<Output> outputs;
  // Documents that were left as they are (dedup_strategy "skip"): (collection, ids; none if no later tier takes them).
  std::vector<std::pair<std::string, std::vector<std::string>>> kept;
  uint64_t bytes = 0;
  size_t documents = 0;
};

// Which collections of later tiers take the documents of a collection. Their tables are attached.
using Consumers = std::map<std::string, std::vector<std::string>>;

// What the vector store calls the tables of the batch's collections (Collection::table_id()), by collection.
using TableNames = std::map<std::string, std::string>;
inline const std::string& table_name(const TableNames& tables, const std::string& collection_id) {
  const auto it = tables.find(collection_id);
  return it == tables.end() ? collection_id : it->second;
}

// Used by the one thread that runs the task; everything outlives it.
//
// Why the writes carry no Delta `txn`: after a crash the items that were not recorded come again, but grouped differently, so a group has
// no identity that a version number could stand for, and skipping one as "committed before" could drop items that were not in it. Repeating
// is harmless instead: document ids are derived from (collection, source, position) and each source's rows are replaced as a whole in one
// commit.
class CommitGroup {
 public:
  CommitGroup(mvs::VectorStore& vectors, const std::vector<TierCollection>& collections, const Consumers& consumers,
              const TableNames& tables, BatchLedger& ledger, const Clock& clock, TaskControl& control, RetryPolicy retries)
      : vectors_(vectors),
        collections_(collections),
        consumers_(consumers),
        tables_(tables),
        ledger_(ledger),
        clock_(clock),
        control_(control),
        retries_(retries) {}

  void add(ExtractedItem item);
  bool empty() const { return items_.empty(); }
  size_t items() const { return items_.size(); }
  size_t documents() const { return documents_; }
  uint64_t bytes() const { return bytes_; }
  int64_t opened_steady_us() const { return opened_steady_us_; }

  // Writes, records, and is empty again. An error means that nothing of the group may be taken as done: the items stay pending.
  Status commit();
  // Items that stay pending because their objects changed after they were read: they are to run again.
  std::vector<catalog::WorkItem> take_outdated() { return std::exchange(outdated_, {}); }

 private:
  Status write_collection(size_t collection, GroupRecord& record);
  Status write_one_by_one(size_t collection, GroupRecord& record);
  Result<mvs::WriteResult> write(size_t collection, const std::vector<size_t>& items);
  Status after_write(size_t collection, const std::vector<size_t>& items, const mvs::WriteResult& written, GroupRecord& record);
  Status drop_orphans(const std::string& collection_id, const Filter& of_roots);
  Status drop_orphans_from(const std::string& consumer, const std::string& collection_id, const Filter& of_roots);
  Status drop_orphans_among(const std::vector<Document>& documents, const std::string& consumer, const std::string& collection_id);
  Status record_items(GroupRecord& record);
  void set_aside(const std::vector<std::string>& object_ids);
  Status take_back(const std::vector<std::string>& object_ids, GroupRecord& record);
  ItemRecord make_record(const ExtractedItem& item) const;

  mvs::VectorStore& vectors_;
  const std::vector<TierCollection>& collections_;
  const Consumers& consumers_;
  const TableNames& tables_;
  BatchLedger& ledger_;
  const Clock& clock_;
  TaskControl& control_;
  const RetryPolicy retries_;
  std::vector<ExtractedItem> items_;
  std::vector<catalog::WorkItem> outdated_;
  std::set<size_t> gone_;  // collections whose table was dropped while the task ran
  size_t documents_ = 0;
  uint64_t bytes_ = 0;
  int64_t opened_steady_us_ = 0;
};

}  // namespace quarry::pipeline
