// Reads of a snapshot that need no score: pages, counts, visits.
#pragma once

#include "base/executor.h"
#include "mvs/hot/snapshot.h"
#include "mvs/mvs.h"

namespace quarry::mvs {

// The rows of a page, which live in the snapshot.
struct RowPage {
  struct Row {
    const SegmentView* view = nullptr;
    uint32_t row = 0;

    std::string_view id() const { return view->segment->block().document_id(row); }
  };
  std::vector<Row> rows;
  bool has_more = false;
  std::optional<uint64_t> total;

  std::vector<RowRef> refs() const;
};
Result<RowPage> scan_rows(const Snapshot& snapshot, const ScanRequest& request, Executor* executor);
Result<ScanResult> scan_snapshot(const Snapshot& snapshot, const ScanRequest& request, Executor* executor);
Result<uint64_t> count_rows(const Snapshot& snapshot, const Filter& filter, Executor* executor);
Status visit_rows(const Snapshot& snapshot, const Filter& filter, const Projection& projection,
                  const std::function<bool(const Document&)>& visit);

// The live rows of each view that match, in the order of snapshot.views.
Result<std::vector<Bitmap>> matching_rows(const Snapshot& snapshot, const Filter& filter, Executor* executor);

}  // namespace quarry::mvs
