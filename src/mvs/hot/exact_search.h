// Exhaustive search of a snapshot: every live row that matches is scored with the canonical kernel.
#pragma once

#include "base/executor.h"
#include "mvs/hot/snapshot.h"
#include "mvs/hot/top_rows.h"
#include "mvs/mvs.h"

namespace quarry::mvs {

struct ExactResult {
  std::vector<ScoredRow> rows;  // best first; they point into the snapshot
  uint64_t rows_scored = 0;
};

// `query` is valid for the vector column. kTimeout past request.deadline_us on `clock`. `wanted`, if given, chooses the views to look at.
Result<ExactResult> exact_search(const Snapshot& snapshot, const SearchRequest& request, const DenseQuery& query, Executor* executor,
                                 const Clock& clock, const std::function<bool(const SegmentView&)>& wanted = {});

}  // namespace quarry::mvs
