#include "mvs/warm/column_cast.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <limits>
#include <optional>

namespace quarry::mvs {
namespace {

template <class T>
const T& as(const arrow::Array& array) {
  return static_cast<const T&>(array);
}

std::optional<std::string_view> text_at(const arrow::Array& a, int64_t i) {
  switch (a.type_id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY: return as<arrow::BinaryArray>(a).GetView(i);
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY: return as<arrow::LargeBinaryArray>(a).GetView(i);
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY_VIEW: return as<arrow::BinaryViewArray>(a).GetView(i);
    case arrow::Type::DICTIONARY: {
      const auto& d = as<arrow::DictionaryArray>(a);
      return d.dictionary()->IsNull(d.GetValueIndex(i)) ? std::nullopt : text_at(*d.dictionary(), d.GetValueIndex(i));
    }
    default: return std::nullopt;
  }
}

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

std::optional<int64_t> micros_at(const arrow::Array& a, int64_t i) {
  if (a.type_id() != arrow::Type::TIMESTAMP) return std::nullopt;
  const int64_t v = as<arrow::TimestampArray>(a).Value(i);
  switch (static_cast<const arrow::TimestampType&>(*a.type()).unit()) {
    case arrow::TimeUnit::SECOND: return v * 1'000'000;
    case arrow::TimeUnit::MILLI: return v * 1'000;
    case arrow::TimeUnit::MICRO: return v;
    case arrow::TimeUnit::NANO: return v / 1'000;
  }
  return std::nullopt;
}

// Appends value `i` of `a` to `out`; false if it can't be.
bool append_scalar(arrow::ArrayBuilder& out, ColumnKind kind, const arrow::Array& a, int64_t i) {
  switch (kind) {
    case ColumnKind::kString:
      if (const auto v = text_at(a, i)) return static_cast<arrow::StringBuilder&>(out).Append(*v).ok();
      return false;
    case ColumnKind::kInt64:
      if (const auto v = integer_at(a, i)) return static_cast<arrow::Int64Builder&>(out).Append(*v).ok();
      return false;
    case ColumnKind::kInt32:
    case ColumnKind::kDate: {
      const auto v = integer_at(a, i);
      if (!v || *v < std::numeric_limits<int32_t>::min() || *v > std::numeric_limits<int32_t>::max()) return false;
      if (kind == ColumnKind::kDate) return static_cast<arrow::Date32Builder&>(out).Append(int32_t(*v)).ok();
      return static_cast<arrow::Int32Builder&>(out).Append(int32_t(*v)).ok();
    }
    case ColumnKind::kNumber:
    case ColumnKind::kFloat:
      if (const auto v = double_at(a, i)) return static_cast<arrow::DoubleBuilder&>(out).Append(*v).ok();
      return false;
    case ColumnKind::kBoolean:
      return a.type_id() == arrow::Type::BOOL && static_cast<arrow::BooleanBuilder&>(out).Append(as<arrow::BooleanArray>(a).Value(i)).ok();
    case ColumnKind::kTimestamp:
      if (const auto v = micros_at(a, i)) return static_cast<arrow::TimestampBuilder&>(out).Append(*v).ok();
      return false;
    case ColumnKind::kVector: break;
  }
  return false;
}

struct FloatRange {
  std::shared_ptr<arrow::Array> values;
  int64_t begin = 0, end = 0;
};

std::optional<FloatRange> list_at(const arrow::Array& a, int64_t i) {
  switch (a.type_id()) {
    case arrow::Type::LIST: {
      const auto& l = as<arrow::ListArray>(a);
      return FloatRange{l.values(), l.value_offset(i), l.value_offset(i + 1)};
    }
    case arrow::Type::LARGE_LIST: {
      const auto& l = as<arrow::LargeListArray>(a);
      return FloatRange{l.values(), l.value_offset(i), l.value_offset(i + 1)};
    }
    case arrow::Type::FIXED_SIZE_LIST: {
      const auto& l = as<arrow::FixedSizeListArray>(a);
      return FloatRange{l.values(), l.value_offset(i), l.value_offset(i + 1)};
    }
    default: return std::nullopt;
  }
}

bool append_vector(arrow::ListBuilder& out, const arrow::Array& a, int64_t i) {
  const auto range = list_at(a, i);
  if (!range || !out.Append().ok()) return false;
  auto& floats = static_cast<arrow::FloatBuilder&>(*out.value_builder());
  for (int64_t k = range->begin; k < range->end; ++k) {
    const auto v = range->values->IsNull(k) ? std::nullopt : double_at(*range->values, k);
    if (!v || !floats.Append(float(*v)).ok()) return false;
  }
  return true;
}

bool same_layout(const arrow::ChunkedArray& chunks, ColumnKind kind) {
  if (kind == ColumnKind::kVector)
    return chunks.type()->id() == arrow::Type::LIST &&
           static_cast<const arrow::ListType&>(*chunks.type()).value_type()->id() == arrow::Type::FLOAT;
  if (kind == ColumnKind::kTimestamp)
    return chunks.type()->id() == arrow::Type::TIMESTAMP &&
           static_cast<const arrow::TimestampType&>(*chunks.type()).unit() == arrow::TimeUnit::MICRO;
  return chunks.type()->id() == arrow_type(kind)->id();
}

std::unique_ptr<arrow::ArrayBuilder> builder_for(ColumnKind kind) {
  if (kind != ColumnKind::kVector) return arrow::MakeBuilder(arrow_type(kind)).ValueOrDie();
  return std::make_unique<arrow::ListBuilder>(arrow::default_memory_pool(), std::make_shared<arrow::FloatBuilder>(), arrow_type(kind));
}

}  // namespace

Result<std::shared_ptr<arrow::Array>> cast_column(const arrow::ChunkedArray& chunks, const Column& column, const std::string& key) {
  const auto fail = [&](std::string_view why) {
    return corruption(fmt::format("{}: column '{}' of type {}: {}", key, column.name, chunks.type()->ToString(), why));
  };
  if (same_layout(chunks, column.kind) && chunks.num_chunks() > 0) {
    if (chunks.num_chunks() == 1) return chunks.chunk(0);
    auto joined = arrow::Concatenate(chunks.chunks());
    if (!joined.ok()) return fail(joined.status().message());
    return *joined;
  }
  auto builder = builder_for(column.kind);
  for (const auto& chunk : chunks.chunks())
    for (int64_t i = 0; i < chunk->length(); ++i) {
      const bool good = chunk->IsNull(i)                     ? builder->AppendNull().ok()
                        : column.kind == ColumnKind::kVector ? append_vector(static_cast<arrow::ListBuilder&>(*builder), *chunk, i)
                                                             : append_scalar(*builder, column.kind, *chunk, i);
      if (!good) return fail(fmt::format("row {} does not fit the table's schema", i));
    }
  std::shared_ptr<arrow::Array> out;
  if (const auto status = builder->Finish(&out); !status.ok()) return fail(status.message());
  return out;
}

}  // namespace quarry::mvs
