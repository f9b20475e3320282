// Rows in the order of a field's values.
#pragma once

#include "mvs/hot/scan.h"

namespace quarry::mvs {

// The first `wanted` in the order of `spec`, whose field is not document_id. `rows`: of each view, in the order of snapshot.views.
Result<std::vector<RowPage::Row>> sort_rows(const Snapshot& snapshot, const std::vector<Bitmap>& rows, const SortSpec& spec, size_t wanted);

}  // namespace quarry::mvs
