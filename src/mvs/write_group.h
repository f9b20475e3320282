// What a group of writes does to a snapshot, worked out before anything is written.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "mvs/hot/snapshot.h"
#include "mvs/mvs.h"
#include "mvs/warm/delta_log.h"

namespace quarry::mvs {

// One write of a group. Its upserts are rows [first_row, first_row + row_count) of the group's block.
struct GroupItem {
  const WriteBatch* batch = nullptr;
  const Filter* delete_filter = nullptr;  // deletes what matches; not null only in a group of one
  size_t first_row = 0, row_count = 0;
  bool skipped = false;  // failed before: as if it were not there
};

struct ResolvedGroup {
  std::vector<WriteResult> results;    // by item; version is not set, but for repeated ones
  std::map<uint32_t, Bitmap> deleted;  // by segment uid of the snapshot: all its deleted rows, old and new
  Bitmap block_deleted;                // rows of the group's block that are superseded within the group
  std::vector<Document> patched;       // rows that patches made
  std::vector<SetTransaction> transactions;

  bool changes_anything(size_t block_rows) const;
};

struct ItemFailure {
  size_t item = 0;
  Error error;
};

// Items take effect in order; within an item upserts, patches, source replacement, deletes. On failure nothing of that item may take
// effect: the caller marks it skipped and resolves again.
std::variant<ResolvedGroup, ItemFailure> resolve_group(const Snapshot& snapshot, const LogState& log, const RowBlock* block,
                                                       std::span<const GroupItem> items, TimestampUs now);

Error document_exists(std::string_view document_id);

// Sets or removes the value at a dotted path. A literal member whose name holds the dots wins; objects on the way are made, other values
// replaced.
void set_path(json::object& object, std::string_view path, json::value value);
void unset_path(json::object& object, std::string_view path);

}  // namespace quarry::mvs
