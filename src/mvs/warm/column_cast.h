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

// The array of a column as its file holds it: of file_type(column). Values that do not fit (another program's file had them) become null.
Result<std::shared_ptr<arrow::Array>> to_file_type(const std::shared_ptr<arrow::Array>& array, const Column& column);

}  // namespace quarry::mvs
