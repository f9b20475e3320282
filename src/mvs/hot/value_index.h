// The rows of a column by value: what equals, lies between or begins with something costs what there are values to find, not rows to read.
#pragma once

#include <memory>
#include <optional>

#include "model/filter.h"
#include "mvs/hot/row_groups.h"
#include "mvs/warm/row_block.h"

namespace quarry::mvs {

// Immutable; thread-safe. Rows with equal values are a group. Groups ascend by value: numbers and times by size, false before true, texts
// by bytes.
class ValueIndex {
 public:
  // Of an array of the kind's type, any but vectors; takes as long as a sort of its rows. nullptr: it holds a value without a place in the
  // order (NaN, a time outside the years 0 to 9999), as other programs may write. `array` must outlive the index.
  static std::unique_ptr<const ValueIndex> make(const arrow::Array& array, ColumnKind kind);

  size_t groups() const { return rows_.size(); }
  const RowGroups& rows() const { return rows_; }
  const Bitmap& valid() const { return valid_; }  // rows that are not null
  // As array_value() of the group's first row; the others compare equal to it.
  json::value value(size_t group) const { return array_value(array_, kind_, rows_.first_row(group)); }

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
  // Sets the groups' rows in `out`, which has a bit per row.
  void add_rows(Range groups, Bitmap& out) const { rows_.add(groups.first, groups.last, out); }

  uint64_t memory_bytes() const { return valid_.memory_bytes() + rows_.memory_bytes(); }

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
  RowGroups rows_;
};

}  // namespace quarry::mvs
