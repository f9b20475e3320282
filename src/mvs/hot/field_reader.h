// One field's value, row by row: a system column, a payload field's column, or a path into the JSON column; and what indexes tell of it.
#pragma once

#include <optional>
#include <variant>

#include "mvs/hot/snapshot.h"

namespace quarry::mvs {

struct Instant {
  TimestampUs us = 0;  // stands for format_timestamp(us)
};

// A value to order by, without making JSON where a column holds it. Nothing: missing or null. Texts point into the segment.
using FieldKey = std::variant<std::monostate, double, Instant, std::string_view, json::value>;

// The order of compare_json over the values that the keys stand for; nothing orders first.
int compare_keys(const FieldKey& a, const FieldKey& b);

// Rows with equal values of a field. Points into the segment.
struct FieldGroups {
  const RowGroups* rows = nullptr;
  const Bitmap* elsewhere = nullptr;  // rows whose value may be another than that of their group; nullptr: none
  std::optional<ColumnKind> kind;     // groups ascend by values of this kind; nullopt: values of any kinds, groups in no order

  // Whether the values of a group are written alike: floats may be 0.0 and -0.0.
  bool written_alike() const { return kind != ColumnKind::kNumber && kind != ColumnKind::kFloat; }
};

// `segment` and `field` outlive it. Thread-safe if made without an index.
class FieldReader {
 public:
  FieldReader(const Segment& segment, std::string_view field) : FieldReader(segment, field, IndexUse::kNever, 0) {}
  // Reads through an index of the segment's, if there is one, where so many `reads` are worth asking it. The values are the same.
  FieldReader(const Segment& segment, std::string_view field, IndexUse use, size_t reads);

  // As read_path() of model/filter.h; nullopt: the row has no such field. System columns win over payload fields of the same name.
  Result<std::optional<json::value>> value(size_t row) const;
  Result<FieldKey> key(size_t row) const;

  // nullopt: no index tells them.
  std::optional<FieldGroups> groups() const;
  // Of a row that groups() has in `group`, and not elsewhere.
  Result<FieldKey> key_in(size_t group, size_t row) const { return members_ != nullptr ? key_of(group) : key(row); }
  // RowGroups::by_row() of groups(), which there are.
  const std::vector<uint32_t>& group_by_row() const;

 private:
  bool is_held(size_t row) const { return column_ && (column_->overridden == nullptr || !column_->overridden->test(row)); }
  std::optional<json::value> held(size_t row) const;
  FieldKey held_key(size_t row) const;
  FieldKey key_of(size_t group) const;  // of members_

  const Segment& segment_;
  const std::string_view field_;
  const int declared_;  // column of the segment that holds the values, but where the JSON column does; -1: none
  const IndexUse use_;
  std::optional<ValueColumn> column_;  // the declared one, or that of path_
  const PathColumn* path_ = nullptr;   // this or the next, of a field that has no declared column
  const MemberIndex* members_ = nullptr;
  mutable std::vector<uint32_t> group_by_row_;  // made when first asked for
  mutable std::vector<FieldKey> keys_;          // of members_ by group, likewise
};

}  // namespace quarry::mvs
