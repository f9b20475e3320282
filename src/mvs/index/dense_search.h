// Dense search with the help of indexes: candidates from graphs and codes, scored and ordered as an exact search would.
#pragma once

#include "mvs/hot/exact_search.h"
#include "mvs/index/column_index.h"

namespace quarry::mvs {

// As exact_search(), but rows that an index covers are found through it and a few of the best may be missing. Rows that no index covers are
// all scored, by `scorer`. The request holds a DenseQuery that make_row_scorer has found valid; its `group` is not looked at.
Result<ExactResult> indexed_search(const Snapshot& snapshot, const ColumnIndex& index, const SearchRequest& request,
                                   const RowScorer& scorer, Executor* executor, const Clock& clock);
// The best groups, from as many of the best rows as fill them; exact where that would be a large part of the table.
Result<ExactResult> indexed_groups(const Snapshot& snapshot, const ColumnIndex& index, const SearchRequest& request,
                                   const RowScorer& scorer, Executor* executor, const Clock& clock);

}  // namespace quarry::mvs
