// Fields whose column came after a file was written: their values lie in its JSON column.
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <span>
#include <vector>

#include "mvs/warm/row_block.h"

namespace quarry::mvs {

struct LateColumns {
  std::vector<std::shared_ptr<arrow::Array>> arrays;  // by position in the schema; null: not a payload field's, or the block has it
  std::shared_ptr<arrow::Array> rest;                 // the JSON column without what went to its column
};

// What RowEncoder would have made of these rows of the block, had `schema` been there. Empty: the block has all columns. A row whose JSON
// does not parse stays as it is.
Result<LateColumns> make_late_columns(const RowBlock& block, const TableSchema& schema, std::span<const uint32_t> rows);

}  // namespace quarry::mvs
