// The rows of a column by value: what equals, lies between or begins with something costs what there are values to find, not rows to read.
#pragma once

#include <memory>
#include <optional>

#include "model/filter.h"
#include "mvs/hot/row_order.h"
#include "mvs/warm/row_block.h"

namespace quarry::mvs {

// Immutable; thread-safe. Rows with equal values are a group. Groups ascend by value: numbers and times by size, false before true, texts
// by bytes.
class ValueIndex {
 public:
  // Of an array of the kind's type, any but vectors; takes as long as a sort of its rows. nullptr: it holds a value without a place in the
  // order (NaN, a time outside the years 0 to 9999), as other programs may write. `array` must outlive the index.
  static std::unique_ptr<const ValueIndex> make(const arrow::Array& array, ColumnKind kind);

  size_t groups() const { return starts_.size() - 1; }
  const Bitmap& valid() const { return valid_; }  // rows that are not null
  std::span<const uint32_t> rows_of(size_t group) const { return order_.rows(starts_[group], starts_[group + 1]); }  // ascending
  size_t rows_in(size_t group) const { return starts_[group + 1] - starts_[group]; }
  // As array_value() of the group's first row; the others compare equal to it.
  json::value value(size_t group) const { return array_value(array_, kind_, order_.row(starts_[group])); }

  // Groups first .. last - 1.
  struct Range {
    size_t first = 0, last = 0;
  };
  // Values that are equal to `operand` as compare_json() has it.
  Range equal(const json::value& operand) const;
  // Values for which an ordering condition holds. nullopt: its operand is one that this order does not answer for.
  std::optional<Range> ordered(const Filter& condition) const;
  // Texts that begin with `text`, byte for byte.
  Range with_prefix(std::string_view text) const;
  // The group of each row, kNoGroup where it is null.
  std::vector<uint32_t> groups_by_row() const;
  static constexpr uint32_t kNoGroup = UINT32_MAX;
  // Sets the groups' rows in `out`, which has a bit per row.
  void add_rows(Range groups, Bitmap& out) const { order_.add(starts_[groups.first], starts_[groups.last], out); }

  uint64_t memory_bytes() const;

 private:
  ValueIndex(const arrow::Array& array, ColumnKind kind) : array_(array), kind_(kind) {}

  // The first group at or after which the predicate no longer holds: it holds for some of the first groups and no other.
  template <class P>
  size_t partition_point(P&& holds) const;
  template <class T>
  Range range_of(FilterOp op, const T& operand) const;
  template <class T>
  T key(size_t group) const;

  const arrow::Array& array_;
  const ColumnKind kind_;
  Bitmap valid_;
  RowOrder order_;
  std::vector<uint32_t> starts_;  // positions in order_, one more than there are groups
};

}  // namespace quarry::mvs
