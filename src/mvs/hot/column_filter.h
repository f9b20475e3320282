// Filters over a segment's columns. The meaning is that of quarry::matches on RowBlock::filter_document, which a random test holds it to.
#pragma once

#include "model/filter.h"
#include "mvs/hot/snapshot.h"

namespace quarry::mvs {

// The rows of `candidates` that match. Conditions on typed and system columns are answered from columns; what is left is asked of the rows
// that remain, one JSON document at a time. kCorruption if a stored payload does not parse. The answer does not depend on `use`.
Result<Bitmap> filter_rows(const Filter& filter, const Segment& segment, Bitmap candidates, IndexUse use = IndexUse::kWhenWorth);

}  // namespace quarry::mvs
