// Which rows of a table stand in it a second time because of a stale rewrite (LogState).
//
// A rewrite says that it changes no data: each row that it adds is one of a file that it removes. A row of a file that was there until then
// is valid. A row of a file that had been removed before is stale: whoever removed that file has moved the row, changed or deleted it, and
// what came of it stands, or does not stand, elsewhere. So of the rows that were added, as many of a document are valid as were valid in
// the files that were there; it takes no look at the files that were not. Where it is no longer known what became of one of those, or a
// file that was there can't be read any more, a row beyond that is stale only if its document is live elsewhere.
//
// Files of a stale rewrite may have been rewritten again before anybody removed the rows: they are followed from entry to entry.
#pragma once

#include <map>
#include <string>

#include "mvs/snapshot_builder.h"

namespace quarry::mvs {

// By path of a data file.
using StaleRows = std::map<std::string, Bitmap>;

// Those that are live in `snapshot`, which is of `log`. Holds the ids of a rewrite's files; segments that neither `snapshot` nor `before`
// (may be null) has are read. Errors are the store's.
Result<StaleRows> find_stale_rows(const TableFiles& files, const LogState& log, const Snapshot& snapshot, const Snapshot* before);

// Takes them out of `snapshot`: a view that is left without a live row stays.
void hide_rows(const StaleRows& rows, Snapshot& snapshot);

}  // namespace quarry::mvs
