#include "mvs/hot/field_reader.h"

#include <arrow/api.h>

#include <array>

#include "model/filter.h"
#include "mvs/warm/json_text.h"

namespace quarry::mvs {
namespace {

int readable_column(const RowBlock& block, std::string_view field) {
  const int at = block.schema().find(field);
  if (at < 0 || field == kPayloadJson || is_vector(block.schema().columns()[size_t(at)].kind)) return -1;
  return block.array(at) == nullptr && !block.schema().columns()[size_t(at)].system ? -1 : at;
}

json::value to_json(const FieldKey& key) {
  if (const auto* d = std::get_if<double>(&key)) return *d;
  if (const auto* t = std::get_if<Instant>(&key)) return json::value(json::string(format_timestamp(t->us)));
  if (const auto* s = std::get_if<std::string_view>(&key)) return json::value(json::string(*s));
  if (const auto* v = std::get_if<json::value>(&key)) return *v;
  return nullptr;
}

template <class T>
int three_way(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

template <class T>
const T& as(const arrow::Array& array) {
  return static_cast<const T&>(array);
}

}  // namespace

int compare_keys(const FieldKey& a, const FieldKey& b) {
  if (a.index() == b.index()) {
    if (const auto* d = std::get_if<double>(&a)) return three_way(*d, std::get<double>(b));
    if (const auto* t = std::get_if<Instant>(&a)) return three_way(t->us, std::get<Instant>(b).us);
    if (const auto* s = std::get_if<std::string_view>(&a)) return three_way(*s, std::get<std::string_view>(b));
  }
  return compare_json(to_json(a), to_json(b));
}

FieldReader::FieldReader(const Segment& segment, std::string_view field)
    : segment_(segment), field_(field), column_(readable_column(segment.block(), field)) {}

bool FieldReader::column_decides(size_t row) const {
  return column_ >= 0 && (segment_.block().schema().columns()[size_t(column_)].system || !segment_.overridden(column_).test(row));
}

Result<std::optional<json::value>> FieldReader::value(size_t row) const {
  const RowBlock& block = segment_.block();
  if (column_decides(row)) return block.system_value(column_, row);
  const auto rest = block.rest(row);
  std::optional<json::value> out;
  if (!rest.empty()) {
    const std::array names{field_, field_.substr(0, field_.find('.'))};
    QUARRY_ASSIGN_OR_RETURN(const json::object members, parse_members(rest, names));
    json::value scratch;
    if (const json::value* v = read_path(members, field_, scratch)) return std::optional<json::value>(*v);
  }
  if (column_ >= 0) return block.system_value(column_, row);  // the text only looked like an override
  return out;
}

Result<FieldKey> FieldReader::key(size_t row) const {
  const auto r = int64_t(row);
  if (column_decides(row)) {
    const arrow::Array* array = segment_.block().array(column_);
    if (array == nullptr || array->IsNull(r)) return FieldKey();
    switch (segment_.block().schema().columns()[size_t(column_)].kind) {
      case ColumnKind::kString: return FieldKey(as<arrow::StringArray>(*array).GetView(r));
      case ColumnKind::kTimestamp: return FieldKey(Instant{as<arrow::TimestampArray>(*array).Value(r)});
      case ColumnKind::kNumber:
      case ColumnKind::kFloat: return FieldKey(as<arrow::DoubleArray>(*array).Value(r));
      default: break;
    }
  }
  QUARRY_ASSIGN_OR_RETURN(auto value, this->value(row));
  return value && !value->is_null() ? FieldKey(std::move(*value)) : FieldKey();
}

}  // namespace quarry::mvs
