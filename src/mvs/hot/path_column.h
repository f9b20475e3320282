// What lies at a path that no column has, as a column in memory: what columns of data files are asked by serves it too.
#pragma once

#include <memory>
#include <string_view>

#include "mvs/hot/value_column.h"
#include "mvs/hot/value_index.h"

namespace quarry::mvs {

enum class PathReading {
  kValues,  // texts, numbers or truths as they are
  kTimes,   // texts that are times, as such
};

// Immutable; thread-safe.
class PathColumn {
 public:
  // Reads every row's JSON. Values of another kind than most, several of one row and texts of more than 256 bytes are left out: their rows
  // are overridden. nullptr: they are more than one of sixteen rows, a document does not parse, or a value has no place in the order.
  static std::unique_ptr<const PathColumn> make(const RowBlock& block, std::string_view path, PathReading reading);

  // Points into this. Of times: answers only where value_is_exact() is.
  ValueColumn column() const { return {kind_, array_.get(), &other_}; }
  // The same for who needs values as read_path() of model/filter.h gives them, in the form they were written in. Not of times.
  ValueColumn as_written() const { return {kind_, array_.get(), &rewritten_}; }
  const ValueIndex& index() const { return *index_; }
  uint64_t memory_bytes() const {
    return array_memory_bytes(*array_) + other_.memory_bytes() + rewritten_.memory_bytes() + index_->memory_bytes();
  }

 private:
  class Builder;
  PathColumn() = default;

  ColumnKind kind_ = ColumnKind::kString;
  std::shared_ptr<const arrow::Array> array_;
  Bitmap other_;      // rows whose value is not in the array
  Bitmap rewritten_;  // these, and rows whose value is there in another form
  std::unique_ptr<const ValueIndex> index_;
};

}  // namespace quarry::mvs
