// BM25 search of a snapshot. mvs.h defines the score; every row that could be among the best is scored so, whatever the segments.
#pragma once

#include <span>

#include "base/executor.h"
#include "mvs/hot/exact_search.h"

namespace quarry::mvs {

// The payload fields that a query without fields searches: those declared as string or text.
std::vector<std::string> text_fields(const TableSchema& schema);

// kBadRequest: a field that is not among text_fields, too many words. kTimeout past request.deadline_us on `clock`; an index that is being
// built is finished first.
Result<ExactResult> text_search(const Snapshot& snapshot, const SearchRequest& request, const TextQuery& query, Executor* executor,
                                const Clock& clock);

// Gives `to` the indexes that one of `from` has, so that no query has to wait for them.
Status carry_text_indexes(std::span<const SegmentView> from, const Segment& to, const Analyzer& analyzer, Executor* executor);

}  // namespace quarry::mvs
