// Reads of a snapshot that need no score: pages, counts, facets.
#pragma once

#include "base/executor.h"
#include "mvs/hot/snapshot.h"
#include "mvs/mvs.h"

namespace quarry::mvs {

Result<ScanResult> scan_snapshot(const Snapshot& snapshot, const ScanRequest& request, Executor* executor);
Result<uint64_t> count_rows(const Snapshot& snapshot, const Filter& filter, Executor* executor);
// Elements of array values count one by one; missing and null don't count.
Result<std::vector<FacetValue>> facet_rows(const Snapshot& snapshot, const Filter& filter, const std::string& field, size_t limit);
Status visit_rows(const Snapshot& snapshot, const Filter& filter, const Projection& projection,
                  const std::function<bool(const Document&)>& visit);

// The live rows of each view that match, in the order of snapshot.views.
Result<std::vector<Bitmap>> matching_rows(const Snapshot& snapshot, const Filter& filter, Executor* executor);

}  // namespace quarry::mvs
