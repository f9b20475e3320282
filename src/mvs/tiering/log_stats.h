// What a table's log tells of its rows without a data file being read: how many there are, and how many have each vector.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "mvs/hot/snapshot.h"
#include "mvs/mvs.h"
#include "mvs/warm/delta_log.h"

namespace quarry::mvs {

// A tag of an `add`: {"deleted": rows that its deletion vector held when they were counted, "rows": {vector: live rows that have it}}.
// Where `deleted` is not the cardinality of the entry's deletion vector, another writer has changed that, and the tag says nothing.
inline constexpr const char* kVectorsTag = "quarry.vectors";
std::string vectors_tag_value(const RowBlock& block, const Bitmap* deleted);

TableStats stats_of(const Snapshot& snapshot);
// nullopt: a file does not say; read the table.
std::optional<TableStats> stats_of(const LogState& log);

}  // namespace quarry::mvs
