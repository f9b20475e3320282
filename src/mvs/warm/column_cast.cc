#include "mvs/warm/column_cast.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <limits>
#include <optional>

#include "mvs/warm/vector_cast.h"

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
    case ColumnKind::kVector:
    case ColumnKind::kSparse:
    case ColumnKind::kMulti: break;
  }
  return false;
}

bool same_layout(const arrow::ChunkedArray& chunks, ColumnKind kind) {
  if (is_vector(kind)) return same_vector_layout(*chunks.type(), kind);
  if (kind == ColumnKind::kTimestamp)
    return chunks.type()->id() == arrow::Type::TIMESTAMP &&
           static_cast<const arrow::TimestampType&>(*chunks.type()).unit() == arrow::TimeUnit::MICRO;
  return chunks.type()->id() == arrow_type(kind)->id();
}

// The same buffers under `type`, which differs in names, nullability or time zone only: arrays of one type can be joined.
std::shared_ptr<arrow::ArrayData> retyped(const arrow::ArrayData& data, const std::shared_ptr<arrow::DataType>& type) {
  auto out = data.Copy();
  out->type = type;
  for (size_t i = 0; i < out->child_data.size(); ++i) out->child_data[i] = retyped(*out->child_data[i], type->field(int(i))->type());
  return out;
}

template <class Builder, class From>
arrow::Result<std::shared_ptr<arrow::Array>> narrowed(const arrow::Array& array, std::string_view narrow) {
  Builder out;
  ARROW_RETURN_NOT_OK(out.Reserve(array.length()));
  for (int64_t i = 0; i < array.length(); ++i) {
    bool fits = !array.IsNull(i);
    if constexpr (std::is_same_v<From, arrow::Int64Array>) fits = fits && fits_narrow(narrow, as<From>(array).Value(i));
    if (fits)
      out.UnsafeAppend(static_cast<typename Builder::value_type>(as<From>(array).Value(i)));
    else
      out.UnsafeAppendNull();
  }
  return out.Finish();
}

arrow::Result<std::shared_ptr<arrow::Array>> narrowed(const arrow::Array& array, const Column& column) {
  if (column.narrow == "byte") return narrowed<arrow::Int8Builder, arrow::Int64Array>(array, column.narrow);
  if (column.narrow == "short") return narrowed<arrow::Int16Builder, arrow::Int64Array>(array, column.narrow);
  if (column.narrow == "integer") return narrowed<arrow::Int32Builder, arrow::Int64Array>(array, column.narrow);
  return narrowed<arrow::FloatBuilder, arrow::DoubleArray>(array, column.narrow);
}

}  // namespace

Result<std::shared_ptr<arrow::Array>> to_file_type(const std::shared_ptr<arrow::Array>& array, const Column& column) {
  if (column.narrow.empty()) return array;
  auto out = narrowed(*array, column);
  if (!out.ok()) return storage_error(fmt::format("column '{}': {}", column.name, out.status().ToString()));
  return *out;
}

Result<std::shared_ptr<arrow::Array>> cast_column(const arrow::ChunkedArray& chunks, const Column& column, const std::string& key) {
  const auto fail = [&](std::string_view why) {
    return corruption(fmt::format("{}: column '{}' of type {}: {}", key, column.name, chunks.type()->ToString(), why));
  };
  if (same_layout(chunks, column.kind) && chunks.num_chunks() > 0) {
    auto joined = chunks.num_chunks() == 1 ? chunks.chunk(0) : arrow::Concatenate(chunks.chunks());
    if (!joined.ok()) return fail(joined.status().message());
    if (column.kind != ColumnKind::kSparse || ascends(**joined))
      return arrow::MakeArray(retyped(*(*joined)->data(), arrow_type(column.kind)));
  }
  auto builder = arrow::MakeBuilder(arrow_type(column.kind)).ValueOrDie();
  for (const auto& chunk : chunks.chunks())
    for (int64_t i = 0; i < chunk->length(); ++i) {
      const bool good = chunk->IsNull(i)         ? builder->AppendNull().ok()
                        : is_vector(column.kind) ? append_vector(*builder, column.kind, *chunk, i)
                                                 : append_scalar(*builder, column.kind, *chunk, i);
      if (!good) return fail(fmt::format("row {} does not fit the table's schema", i));
    }
  std::shared_ptr<arrow::Array> out;
  if (const auto status = builder->Finish(&out); !status.ok()) return fail(status.message());
  return out;
}

}  // namespace quarry::mvs
