// One field's value, row by row: a system column, a payload field's column, or a path into the JSON column.
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

// Cheap to make; `segment` and `field` outlive it.
class FieldReader {
 public:
  FieldReader(const Segment& segment, std::string_view field);

  // As read_path() of model/filter.h; nullopt: the row has no such field. System columns win over payload fields of the same name.
  Result<std::optional<json::value>> value(size_t row) const;
  Result<FieldKey> key(size_t row) const;
  int column() const { return column_; }  // that holds the field's values, but where the JSON column does; -1: none

 private:
  bool column_decides(size_t row) const;

  const Segment& segment_;
  const std::string_view field_;
  const int column_;  // -1: in the JSON column
};

}  // namespace quarry::mvs
