#include "mvs/hot/field_reader.h"

#include <arrow/api.h>

#include <array>

#include "model/filter.h"
#include "mvs/hot/document_reader.h"
#include "mvs/warm/json_text.h"

namespace quarry::mvs {
namespace {

constexpr size_t kRowsPerRead = 16;  // of a segment, for each of which one is read before an index of it is asked

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
    if (const auto* v = std::get_if<json::value>(&a)) return compare_json(*v, std::get<json::value>(b));
  }
  return compare_json(to_json(a), to_json(b));
}

FieldReader::FieldReader(const Segment& segment, std::string_view field, IndexUse use, size_t reads)
    : segment_(segment),
      field_(field),
      declared_(readable_column(segment.block(), field)),
      use_(use == IndexUse::kWhenWorth && reads * kRowsPerRead < segment.rows() ? IndexUse::kNever : use) {
  if (declared_ >= 0) {
    column_ = segment.column(declared_);
  } else if (use_ != IndexUse::kNever && DocumentReader(segment.block(), field).reads_members()) {
    members_ = segment.member_index(field, use_);
    if (members_ == nullptr) path_ = segment.path_column(field, PathReading::kValues, use_);
    if (path_ != nullptr) column_ = path_->as_written();
  }
}

std::optional<json::value> FieldReader::held(size_t row) const {
  json::value value = column_->value(row);
  return value.is_null() ? std::nullopt : std::optional(std::move(value));
}

Result<std::optional<json::value>> FieldReader::value(size_t row) const {
  if (is_held(row)) return held(row);
  const auto rest = segment_.block().rest(row);
  if (!rest.empty()) {
    const std::array names{field_, field_.substr(0, field_.find('.'))};
    QUARRY_ASSIGN_OR_RETURN(const json::object members, parse_members(rest, names));
    json::value scratch;
    if (const json::value* v = read_path(members, field_, scratch)) return std::optional<json::value>(*v);
  }
  return declared_ >= 0 ? held(row) : std::nullopt;  // the text only looked like an override
}

Result<FieldKey> FieldReader::key(size_t row) const {
  if (is_held(row)) return held_key(row);
  if (members_ != nullptr) {
    for (size_t group = keys_.size(); group < members_->groups(); ++group) keys_.push_back(key_of(group));
    return keys_[group_by_row()[row]];
  }
  QUARRY_ASSIGN_OR_RETURN(auto value, this->value(row));
  return value && !value->is_null() ? FieldKey(std::move(*value)) : FieldKey();
}

FieldKey FieldReader::held_key(size_t row) const {
  const auto r = int64_t(row);
  const arrow::Array* array = column_->array;
  if (array == nullptr || array->IsNull(r)) return FieldKey();
  switch (column_->kind) {
    case ColumnKind::kString: return FieldKey(as<arrow::StringArray>(*array).GetView(r));
    case ColumnKind::kTimestamp: return FieldKey(Instant{as<arrow::TimestampArray>(*array).Value(r)});
    case ColumnKind::kNumber:
    case ColumnKind::kFloat: return FieldKey(as<arrow::DoubleArray>(*array).Value(r));
    default: return FieldKey(column_->value(row));
  }
}

FieldKey FieldReader::key_of(size_t group) const {
  json::value scratch;
  const json::value* value = read_path(members_->document(group), field_, scratch);
  if (value == nullptr || value->is_null()) return FieldKey();
  if (const json::string* text = value->if_string()) return FieldKey(std::string_view(*text));
  return FieldKey(*value);
}

std::optional<FieldGroups> FieldReader::groups() const {
  if (members_ != nullptr) return FieldGroups{&members_->rows(), nullptr, std::nullopt};
  const ValueIndex* index = path_ != nullptr ? &path_->index() : declared_ >= 0 ? segment_.value_index(declared_, use_) : nullptr;
  if (index == nullptr) return std::nullopt;
  return FieldGroups{&index->rows(), column_->overridden, column_->kind};
}

const std::vector<uint32_t>& FieldReader::group_by_row() const {
  if (declared_ >= 0) return *segment_.value_groups(declared_, use_);
  if (group_by_row_.empty()) group_by_row_ = groups()->rows->by_row();
  return group_by_row_;
}

}  // namespace quarry::mvs
