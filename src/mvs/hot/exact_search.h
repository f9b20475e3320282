// Exhaustive search of a snapshot: every live row that matches is scored.
#pragma once

#include "base/executor.h"
#include "mvs/hot/row_scorer.h"
#include "mvs/hot/snapshot.h"
#include "mvs/mvs.h"

namespace quarry::mvs {

struct ExactResult {
  std::vector<ScoredRow> rows;  // best first; they point into the snapshot
  uint64_t rows_scored = 0;
};

using ViewFilter = std::function<bool(const SegmentView&)>;

// `scorer` is make_row_scorer's for the request. kTimeout past request.deadline_us on `clock`. `wanted`, if given, chooses the views to look
// at.
Result<ExactResult> exact_search(const Snapshot& snapshot, const SearchRequest& request, const RowScorer& scorer, Executor* executor,
                                 const Clock& clock, const ViewFilter& wanted = {});

// The best groups out of as many of the best rows as fill them. `best_rows` answers request's query without its group; it is asked for ever
// more rows, up to `most_rows`. Nothing: that is not enough.
using BestRows = std::function<Result<ExactResult>(const SearchRequest&)>;
Result<std::optional<ExactResult>> groups_of_best(const SearchRequest& request, size_t most_rows, const BestRows& best_rows);

}  // namespace quarry::mvs
