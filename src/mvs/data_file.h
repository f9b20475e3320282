// Making one data file: the rows that go into it, and its entry for the log.
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <vector>

#include "mvs/hot/snapshot.h"
#include "mvs/snapshot_builder.h"

namespace quarry::mvs {

// The live rows of `views` as one batch of `schema`, and for each view the rows that were taken, ascending. Fields that got their column
// after a file was written move to it.
Result<std::shared_ptr<arrow::RecordBatch>> gather_live(const TableSchema& schema, const std::vector<SegmentView>& views,
                                                        std::vector<std::vector<uint32_t>>& taken);

// Puts the rows of `block` as a new data file, and returns the entry with which a commit makes it part of the table.
Result<AddFile> put_data_file(const TableFiles& files, const RowBlock& block, int64_t now_ms);

}  // namespace quarry::mvs
