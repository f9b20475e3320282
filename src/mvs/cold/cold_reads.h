// Reads of a cold table in parts: what decides who is read first, then the rows that were found. The answers are those of the hot tier.
#pragma once

#include "mvs/cold/cold_view.h"

namespace quarry::mvs {

struct ColdReadOptions {
  Executor* executor = nullptr;
  const Clock* clock = &system_clock();
};

// A dense query that is not `exact` reads code lists and then rows, two round trips; everything else reads the columns that it scores,
// filters or sorts by, and then rows. Errors as VectorStore::search().
Result<SearchResult> cold_search(const ColdView& view, const SearchRequest& request, const ColdReadOptions& options);
Result<std::vector<Document>> cold_get(const ColdView& view, const std::vector<std::string>& document_ids, const Projection& projection);
Result<ScanResult> cold_scan(const ColdView& view, const ScanRequest& request, const ColdReadOptions& options);
Result<uint64_t> cold_count(const ColdView& view, const Filter& filter, const ColdReadOptions& options);
Result<std::vector<FacetValue>> cold_facet(const ColdView& view, const Filter& filter, const std::string& field, size_t limit);

}  // namespace quarry::mvs
