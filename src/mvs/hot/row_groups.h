// Rows in groups, such as those with equal values, and those of neighbouring groups as bits.
#pragma once

#include "mvs/hot/row_order.h"

namespace quarry::mvs {

// Immutable; thread-safe.
class RowGroups {
 public:
  RowGroups() = default;
  // `order`: rows below `rows`, each at most once, group after group and ascending within each. `starts`: the position of each group's
  // first row, and order.size().
  RowGroups(std::vector<uint32_t> order, std::vector<uint32_t> starts, size_t rows);

  size_t size() const { return starts_.size() - 1; }
  std::span<const uint32_t> rows_of(size_t group) const { return order_.rows(starts_[group], starts_[group + 1]); }  // ascending
  uint32_t first_row(size_t group) const { return order_.row(starts_[group]); }
  // Sets the rows of the groups first .. last - 1 in `out`, which has a bit per row.
  void add(size_t first, size_t last, Bitmap& out) const { order_.add(starts_[first], starts_[last], out); }
  // The group of each row, kNone where it is in none.
  std::vector<uint32_t> by_row() const;
  static constexpr uint32_t kNone = UINT32_MAX;
  uint64_t memory_bytes() const { return order_.memory_bytes() + starts_.capacity() * sizeof(uint32_t); }

 private:
  RowOrder order_;
  std::vector<uint32_t> starts_{0};
  size_t rows_ = 0;
};

}  // namespace quarry::mvs
