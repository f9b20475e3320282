// One field's value, row by row: a system column, a payload field's column, or a path into the JSON column.
#pragma once

#include <optional>

#include "mvs/hot/snapshot.h"

namespace quarry::mvs {

// Cheap to make; `segment` and `field` outlive it.
class FieldReader {
 public:
  FieldReader(const Segment& segment, std::string_view field);

  // nullopt: the row has no such field. System columns win over payload fields of the same name.
  Result<std::optional<json::value>> value(size_t row) const;

 private:
  const Segment& segment_;
  const std::string_view field_;
  const int column_;  // -1: in the JSON column
};

}  // namespace quarry::mvs
