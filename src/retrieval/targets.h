// Which collections a stage reads, and what becomes of those that fail. Private to this folder.
#pragma once

#include "retrieval/stage.h"

namespace quarry::retrieval {

// "cold" or "active": the tier that serves a collection.
std::string_view tier_of(const Collection& collection);

// The execution's collections, narrowed to `identifiers` (ids or names; empty: all). Archived ones are left out with the warning of the
// contract. Errors: 400 naming an identifier that is not among the retriever's; 400 with archived_collection_ids when nothing but archived
// ones remains; 400 when the retriever reads no collection at all.
Result<std::vector<const Collection*>> target_collections(StageRun& run, const std::vector<std::string>& identifiers);

// `filter` as the store of one collection can answer it: conditions on collection_id, _source_tier and score, which no table holds, become
// constants.
Filter for_collection(const Filter& filter, const Collection& collection);

// Runs read(i) for each of `targets` (repeats allowed), in parallel where there are several, and settles the failures: a collection whose
// storage fails or is too slow is skipped with a warning ("Cold search failed for collection col_x: ...") and an entry in `degraded`; any
// other error is returned. If nothing succeeds, the first failure is returned, unless it is the retriever's time budget that ran out: then
// the execution is marked exceeded and the result is partial. read(i) touches nothing that another read touches.
Status read_targets(StageRun& run, std::span<const Collection* const> targets, const std::function<Status(size_t)>& read);

}  // namespace quarry::retrieval
