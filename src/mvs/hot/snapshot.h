// What readers see: the live rows of one version of the table.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "mvs/hot/id_index.h"
#include "mvs/hot/segment.h"
#include "mvs/text/analyzer.h"
#include "mvs/warm/delta_actions.h"

namespace quarry::mvs {

// A segment with the rows that are gone at this version.
struct SegmentView {
  std::shared_ptr<const Segment> segment;
  std::shared_ptr<const AddFile> file;
  std::shared_ptr<const Bitmap> deleted;  // null: none
  size_t live = 0;

  bool is_live(size_t row) const { return deleted == nullptr || !deleted->test(row); }
  Bitmap live_rows() const;
};

// How many rows the file's entry in the log deletes: not more than the view does.
size_t logged_deletions(const SegmentView& view);

// Immutable once published; readers share it and never lock.
class Snapshot {
 public:
  int64_t version = -1;
  int64_t data_version = -1;
  std::shared_ptr<const TableSchema> schema;
  Analyzer analyzer;  // of its texts
  std::vector<SegmentView> views;  // ascending by segment uid
  IdIndex ids;
  uint64_t live_rows = 0;
  bool hides_rows = false;  // the log has a stale rewrite whose rows are hidden here and not yet removed (mvs/stale_rows.h)

  // nullptr: the segment is not part of this version.
  const SegmentView* view(uint32_t segment_uid) const;
  // The live row of a document; the newest if another writer has appended a second.
  std::optional<RowRef> find(std::string_view document_id) const;
  std::vector<RowRef> find_all(std::string_view document_id) const;
  bool is_live(RowRef ref) const;
  uint64_t memory_bytes() const;
  // Recomputes live_rows, drops views without live rows.
  void settle();

 private:
  bool holds(RowRef ref, std::string_view document_id) const;
};

}  // namespace quarry::mvs
