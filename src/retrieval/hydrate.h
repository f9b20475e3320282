// Reads the payloads of rows that were found without them. Private to this folder.
#pragma once

#include "retrieval/stage.h"

namespace quarry::retrieval {

// Fills document payloads, lineage and times by id, each collection with one read. Rows deleted since, and rows of a collection that fails
// (with its warning), are dropped. Works past the retriever's time budget: what was found within it is worth showing.
Status hydrate(std::vector<Row>& rows, StageRun& run);

// How many rows each tier served: {"active": 8, "cold": 2}.
json::object count_tiers(const std::vector<Row>& rows);

}  // namespace quarry::retrieval
