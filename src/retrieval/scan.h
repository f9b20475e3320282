// Documents of the retriever's collections without a search, for pipelines that begin with another stage. Private to this folder.
#pragma once

#include "retrieval/row_order.h"
#include "retrieval/stage.h"

namespace quarry::retrieval {

// More are not read; the reply then says so under `limits` and as a warning.
inline constexpr size_t kMaxScannedRows = 10'000;

// Reads the documents that `filter` and the execution's filter let through, in the order of `order` (ties by document_id), else by
// document_id, and makes them the execution's rows. What the stages that follow are known to drop is not read.
Status scan_rows(StageRun& run, const Filter& filter, std::optional<RowOrder> order);

// How many documents a collection has; 0 if its store cannot say.
uint64_t documents_in(const Execution& execution, const Collection& collection);

// As scan_rows() of everything if no stage has produced rows yet.
Status ensure_rows(StageRun& run);

// The order of a sort_attribute stage's parameters.
RowOrder sort_order_of(const json::object& parameters);

}  // namespace quarry::retrieval
