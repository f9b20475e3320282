// The rows of a segment by what their JSON documents hold at a path that no column has: rows that hold the same answer every condition alike.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "model/filter.h"
#include "mvs/hot/row_groups.h"
#include "mvs/warm/row_block.h"

namespace quarry::mvs {

// Immutable; thread-safe.
class MemberIndex {
 public:
  // Reads every row's JSON. nullptr: a column may hold part of what lies at the path, a document does not parse, or there are more different
  // values than one for sixteen rows (and than 64): asking each of them would spare too little.
  static std::unique_ptr<const MemberIndex> make(const RowBlock& block, std::string_view path);

  // Sets the rows for which a condition on the path holds in `out`, which has a bit per row. Asks one document for each different value.
  void add_rows(const Filter& condition, Bitmap& out) const;
  size_t groups() const { return documents_.size(); }
  const RowGroups& rows() const { return rows_; }  // of every row
  // What the group's rows hold, cut down to the members at which the path may begin.
  const json::object& document(size_t group) const { return documents_[group]; }
  uint64_t memory_bytes() const { return memory_bytes_; }

 private:
  MemberIndex() = default;

  std::vector<json::object> documents_;  // by group; groups are in the order of their first rows
  RowGroups rows_;
  uint64_t memory_bytes_ = 0;
};

}  // namespace quarry::mvs
