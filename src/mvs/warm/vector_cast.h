// Vectors of Parquet files that other programs wrote: lists of any list type and number width.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <optional>

#include "mvs/warm/table_schema.h"

namespace quarry::mvs {

// Value `i`, which is not null; nullopt: the array's type is another.
std::optional<int64_t> integer_at(const arrow::Array& a, int64_t i);
std::optional<double> double_at(const arrow::Array& a, int64_t i);

// Whether an array of `type` can be used as it is for a vector column of `kind`.
bool same_vector_layout(const arrow::DataType& type, ColumnKind kind);

// Whether the entries of every row of an array of arrow_type(kSparse) ascend by index.
bool ascends(const arrow::Array& sparse);

// Appends value `i` of `a`, which is not null, to `out`, a builder of arrow_type(kind). Sparse entries are put in order; a sparse vector
// whose members are null becomes null. False if it can't be: lists of unequal length, an index that is there twice or outside 32 bits, a
// null.
bool append_vector(arrow::ArrayBuilder& out, ColumnKind kind, const arrow::Array& a, int64_t i);

}  // namespace quarry::mvs
