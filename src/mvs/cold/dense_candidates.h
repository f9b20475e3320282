// Which rows of a cold table may be the nearest: a query's distance to the centres of lists chooses lists, their codes choose rows.
#pragma once

#include "mvs/cold/cold_view.h"

namespace quarry::mvs {

// Candidates among the rows that sidecars cover, more than request.k of them where there are so many; codes chose them and scores must
// decide. `matching`: the view's snapshot with the columns that request.filter needs; null if the filter matches all. One round trip.
// The request holds a DenseQuery of the column's dimension.
Result<std::vector<RowRef>> dense_candidates(const ColdView& view, const SearchRequest& request, const Snapshot* matching);

}  // namespace quarry::mvs
