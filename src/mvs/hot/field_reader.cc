#include "mvs/hot/field_reader.h"

#include <arrow/api.h>

#include <array>

#include "model/filter.h"
#include "mvs/warm/json_text.h"

namespace quarry::mvs {
namespace {

int readable_column(const RowBlock& block, std::string_view field) {
  const int at = block.schema().find(field);
  if (at < 0 || field == kPayloadJson || block.schema().columns()[size_t(at)].kind == ColumnKind::kVector) return -1;
  return block.array(at) == nullptr && !block.schema().columns()[size_t(at)].system ? -1 : at;
}

}  // namespace

FieldReader::FieldReader(const Segment& segment, std::string_view field)
    : segment_(segment), field_(field), column_(readable_column(segment.block(), field)) {}

Result<std::optional<json::value>> FieldReader::value(size_t row) const {
  const RowBlock& block = segment_.block();
  if (column_ >= 0) {
    const bool is_system = block.schema().columns()[size_t(column_)].system;
    if (is_system || !segment_.overridden(column_).test(row)) return block.system_value(column_, row);
  }
  const auto rest = block.rest(row);
  std::optional<json::value> out;
  if (!rest.empty()) {
    const std::array names{field_, field_.substr(0, field_.find('.'))};
    QUARRY_ASSIGN_OR_RETURN(const json::object members, parse_members(rest, names));
    if (const json::value* v = find_path(members, field_)) return std::optional<json::value>(*v);
  }
  if (column_ >= 0) return block.system_value(column_, row);  // the text only looked like an override
  return out;
}

}  // namespace quarry::mvs
