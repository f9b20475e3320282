#include "mvs/warm/vector_cast.h"

#include <arrow/api.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace quarry::mvs {
namespace {

template <class T>
const T& as(const arrow::Array& array) {
  return static_cast<const T&>(array);
}

// The elements of one row.
struct Range {
  std::shared_ptr<arrow::Array> values;
  int64_t begin = 0, end = 0;

  int64_t size() const { return end - begin; }
};

template <class List>
Range range_of(const arrow::Array& a, int64_t i) {
  const auto& list = as<List>(a);
  return {list.values(), list.value_offset(i), list.value_offset(i) + list.value_length(i)};
}

std::optional<Range> list_at(const arrow::Array& a, int64_t i) {
  if (a.IsNull(i)) return std::nullopt;
  switch (a.type_id()) {
    case arrow::Type::LIST: return range_of<arrow::ListArray>(a, i);
    case arrow::Type::LARGE_LIST: return range_of<arrow::LargeListArray>(a, i);
    case arrow::Type::FIXED_SIZE_LIST: return range_of<arrow::FixedSizeListArray>(a, i);
    default: return std::nullopt;
  }
}

bool append_floats(arrow::ListBuilder& out, const arrow::Array& a, int64_t i) {
  const auto range = list_at(a, i);
  if (!range || !out.Append().ok()) return false;
  auto& floats = static_cast<arrow::FloatBuilder&>(*out.value_builder());
  for (int64_t k = range->begin; k < range->end; ++k) {
    const auto v = range->values->IsNull(k) ? std::nullopt : double_at(*range->values, k);
    if (!v || !floats.Append(float(*v)).ok()) return false;
  }
  return true;
}

bool append_tokens(arrow::ListBuilder& out, const arrow::Array& a, int64_t i) {
  const auto range = list_at(a, i);
  if (!range || !out.Append().ok()) return false;
  auto& tokens = static_cast<arrow::ListBuilder&>(*out.value_builder());
  for (int64_t k = range->begin; k < range->end; ++k)
    if (!append_floats(tokens, *range->values, k)) return false;
  return true;
}

struct Entry {
  int64_t index;
  float value;
};

// The entries of two lists, ascending. Nothing: they are no sparse vector.
std::optional<std::vector<Entry>> entries_of(const Range& indices, const Range& values) {
  if (indices.size() != values.size()) return std::nullopt;
  std::vector<Entry> out;
  for (int64_t k = 0; k < indices.size(); ++k) {
    if (indices.values->IsNull(indices.begin + k) || values.values->IsNull(values.begin + k)) return std::nullopt;
    const auto index = integer_at(*indices.values, indices.begin + k);
    const auto value = double_at(*values.values, values.begin + k);
    if (!index || !value || *index < 0 || *index > int64_t(UINT32_MAX)) return std::nullopt;
    out.push_back({*index, float(*value)});
  }
  std::sort(out.begin(), out.end(), [](const Entry& a, const Entry& b) { return a.index < b.index; });
  const auto twice = std::adjacent_find(out.begin(), out.end(), [](const Entry& a, const Entry& b) { return a.index == b.index; });
  return twice == out.end() ? std::optional(std::move(out)) : std::nullopt;
}

bool append_sparse(arrow::StructBuilder& out, const arrow::Array& a, int64_t i) {
  if (a.type_id() != arrow::Type::STRUCT) return false;
  const auto& record = as<arrow::StructArray>(a);
  const auto indices = record.GetFieldByName("indices"), values = record.GetFieldByName("values");
  if (indices == nullptr || values == nullptr) return false;
  if (indices->IsNull(i) && values->IsNull(i)) return out.AppendNull().ok();
  const auto index_range = list_at(*indices, i), value_range = list_at(*values, i);
  const auto entries = index_range && value_range ? entries_of(*index_range, *value_range) : std::nullopt;
  auto& index_list = static_cast<arrow::ListBuilder&>(*out.field_builder(0));
  auto& value_list = static_cast<arrow::ListBuilder&>(*out.field_builder(1));
  if (!entries || !out.Append().ok() || !index_list.Append().ok() || !value_list.Append().ok()) return false;
  for (const Entry& e : *entries)
    if (!static_cast<arrow::Int64Builder&>(*index_list.value_builder()).Append(e.index).ok() ||
        !static_cast<arrow::FloatBuilder&>(*value_list.value_builder()).Append(e.value).ok())
      return false;
  return true;
}

bool is_list_of(const arrow::DataType& type, arrow::Type::type element) {
  return type.id() == arrow::Type::LIST && type.field(0)->type()->id() == element;
}

}  // namespace

std::optional<int64_t> integer_at(const arrow::Array& a, int64_t i) {
  switch (a.type_id()) {
    case arrow::Type::INT8: return as<arrow::Int8Array>(a).Value(i);
    case arrow::Type::INT16: return as<arrow::Int16Array>(a).Value(i);
    case arrow::Type::INT32: return as<arrow::Int32Array>(a).Value(i);
    case arrow::Type::INT64: return as<arrow::Int64Array>(a).Value(i);
    case arrow::Type::UINT8: return as<arrow::UInt8Array>(a).Value(i);
    case arrow::Type::UINT16: return as<arrow::UInt16Array>(a).Value(i);
    case arrow::Type::UINT32: return as<arrow::UInt32Array>(a).Value(i);
    case arrow::Type::DATE32: return as<arrow::Date32Array>(a).Value(i);
    default: return std::nullopt;
  }
}

std::optional<double> double_at(const arrow::Array& a, int64_t i) {
  switch (a.type_id()) {
    case arrow::Type::FLOAT: return as<arrow::FloatArray>(a).Value(i);
    case arrow::Type::DOUBLE: return as<arrow::DoubleArray>(a).Value(i);
    default:
      if (const auto v = integer_at(a, i)) return double(*v);
      return std::nullopt;
  }
}

bool same_vector_layout(const arrow::DataType& type, ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kVector: return is_list_of(type, arrow::Type::FLOAT);
    case ColumnKind::kMulti: return is_list_of(type, arrow::Type::LIST) && is_list_of(*type.field(0)->type(), arrow::Type::FLOAT);
    case ColumnKind::kSparse:
      return type.id() == arrow::Type::STRUCT && type.num_fields() == 2 && type.field(0)->name() == "indices" &&
             type.field(1)->name() == "values" && is_list_of(*type.field(0)->type(), arrow::Type::INT64) &&
             is_list_of(*type.field(1)->type(), arrow::Type::FLOAT);
    default: return false;
  }
}

bool ascends(const arrow::Array& sparse) {
  const auto& record = as<arrow::StructArray>(sparse);
  const auto& lists = as<arrow::ListArray>(*record.field(0));
  const auto& indices = as<arrow::Int64Array>(*lists.values());
  for (int64_t row = 0; row < record.length(); ++row) {
    if (record.IsNull(row) || lists.IsNull(row)) continue;
    for (int64_t k = lists.value_offset(row) + 1; k < lists.value_offset(row + 1); ++k)
      if (indices.Value(k) <= indices.Value(k - 1)) return false;
  }
  return true;
}

bool append_vector(arrow::ArrayBuilder& out, ColumnKind kind, const arrow::Array& a, int64_t i) {
  switch (kind) {
    case ColumnKind::kVector: return append_floats(static_cast<arrow::ListBuilder&>(out), a, i);
    case ColumnKind::kMulti: return append_tokens(static_cast<arrow::ListBuilder&>(out), a, i);
    case ColumnKind::kSparse: return append_sparse(static_cast<arrow::StructBuilder&>(out), a, i);
    default: return false;
  }
}

}  // namespace quarry::mvs
