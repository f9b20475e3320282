// In how many documents of a snapshot each value of a field occurs.
#pragma once

#include "mvs/hot/snapshot.h"
#include "mvs/mvs.h"

namespace quarry::mvs {

// Elements of array values count one by one; missing and null don't count. By count descending, then value. The answer does not depend on
// `use`.
Result<std::vector<FacetValue>> facet_rows(const Snapshot& snapshot, const Filter& filter, const std::string& field, size_t limit,
                                           IndexUse use = IndexUse::kWhenWorth);

}  // namespace quarry::mvs
