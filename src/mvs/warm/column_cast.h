// Columns of Parquet files that other programs wrote, as the types Quarry works with.
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <string>

#include "mvs/warm/table_schema.h"

namespace quarry::mvs {

// One array of arrow_type(column.kind). Arrays that have it already are joined without looking at values. Nulls stay. kCorruption names
// `key` and the column when the type is impossible or a value does not fit.
Result<std::shared_ptr<arrow::Array>> cast_column(const arrow::ChunkedArray& chunks, const Column& column, const std::string& key);

}  // namespace quarry::mvs
