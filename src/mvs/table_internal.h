// What the parts of Table share. Private to table*.cc.
#pragma once

#include <arrow/type_fwd.h>

#include "mvs/table.h"

namespace quarry::mvs {

struct PendingWrite {
  WriteBatch batch;
  const Filter* delete_filter = nullptr;
  std::shared_ptr<const TableSchema> schema;  // that `rows` was encoded with
  std::shared_ptr<arrow::RecordBatch> rows;   // the upserts, until they are joined to the group's
  size_t row_count = 0;
  Result<WriteResult> result = WriteResult{};
};

// Of a file that the log names: it may have moved on since it was read.
inline bool is_gone_or_damaged(const Error& error) { return error.kind == ErrorKind::kNotFound || error.kind == ErrorKind::kCorruption; }

// A group's upserts as a data file that is on the store but in no commit.
struct Table::PreparedGroup {
  SegmentView view;  // segment null: the group has no upserts
  Status status = Ok{};
};

// A commit being put together, and the snapshot it leads to.
struct Table::CommitPlan {
  std::vector<Action> actions;
  std::shared_ptr<Snapshot> next;
  std::shared_ptr<const IndexSet> indexes;  // that go with `next`; null: as they are
  std::vector<SegmentView> added;
};

}  // namespace quarry::mvs
