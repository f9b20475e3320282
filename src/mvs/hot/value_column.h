// A field's values by row, be it a column of the data file or made from the rows' documents.
#pragma once

#include <arrow/array/array_base.h>

#include "mvs/warm/deletion_vector.h"
#include "mvs/warm/row_block.h"

namespace quarry::mvs {

// Points into the segment.
struct ValueColumn {
  ColumnKind kind = ColumnKind::kString;
  const arrow::Array* array = nullptr;  // of the kind's type; nullptr: null in every row
  const Bitmap* overridden = nullptr;   // rows whose document may hold something else, or in another form; nullptr: none

  json::value value(size_t row) const { return array == nullptr ? json::value() : array_value(*array, kind, row); }
};

}  // namespace quarry::mvs
