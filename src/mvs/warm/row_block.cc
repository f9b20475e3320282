#include "mvs/warm/row_block.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <cmath>
#include <unordered_set>

#include "model/lineage_texts.h"
#include "mvs/warm/json_text.h"

namespace quarry::mvs {
namespace {

constexpr int64_t kUsPerDay = 86'400'000'000;

template <class T>
const T& as(const arrow::Array& array) {
  return static_cast<const T&>(array);
}

json::value number_value(double d, ColumnKind kind) {
  if (!std::isfinite(d)) return nullptr;  // only files of others hold such; JSON can't
  if (kind == ColumnKind::kNumber && is_json_integer(d)) return int64_t(d);
  return d;
}

void add_buffers(const arrow::ArrayData& data, std::unordered_set<const arrow::Buffer*>& seen, uint64_t& bytes) {
  for (const auto& buffer : data.buffers)
    if (buffer != nullptr && seen.insert(buffer.get()).second) bytes += uint64_t(buffer->capacity());
  for (const auto& child : data.child_data) add_buffers(*child, seen, bytes);
}

}  // namespace

uint64_t batch_memory_bytes(const arrow::RecordBatch& batch) {
  std::unordered_set<const arrow::Buffer*> seen;
  uint64_t bytes = 0;
  for (int i = 0; i < batch.num_columns(); ++i) add_buffers(*batch.column_data(i), seen, bytes);
  return bytes;
}

RowBlock::~RowBlock() = default;

Result<std::shared_ptr<const RowBlock>> RowBlock::make(std::shared_ptr<const TableSchema> schema,
                                                       std::shared_ptr<arrow::RecordBatch> batch) {
  std::shared_ptr<RowBlock> block(new RowBlock());
  block->schema_ = std::move(schema);
  block->batch_ = std::move(batch);
  block->rows_ = size_t(block->batch_->num_rows());
  const size_t columns = block->schema_->columns().size();
  block->arrays_.assign(columns, nullptr);
  block->vectors_.resize(columns);
  for (size_t i = 0; i < columns; ++i) QUARRY_RETURN_IF_ERROR(block->bind(int(i)));
  const TableSchema& s = *block->schema_;
  block->id_ = s.find(kDocumentId);
  block->rest_ = s.find(kPayloadJson);
  block->created_ = s.find(kCreatedAt);
  block->updated_ = s.find(kUpdatedAt);
  block->source_object_ = s.find("source_object_id");
  block->source_document_ = s.find("source_document_id");
  const auto* ids = block->array(block->id_);
  if (block->rows_ > 0 && (ids == nullptr || ids->null_count() != 0)) return corruption("a row has no document_id");
  block->memory_bytes_ = batch_memory_bytes(*block->batch_);
  for (const auto& v : block->vectors_)
    if (v) block->memory_bytes_ += v->row_of_ordinal.size() * 4 + v->ordinal_of_row.size() * 4;
  return std::shared_ptr<const RowBlock>(std::move(block));
}

Status RowBlock::bind(int column) {
  const Column& c = schema_->columns()[size_t(column)];
  const int at = batch_->schema()->GetFieldIndex(c.name);
  if (at < 0) return Ok{};
  const arrow::Array& array = *batch_->column(at);  // cached by the batch: lives as long as it does
  if (array.type_id() != arrow_type(c.kind)->id())
    return corruption(fmt::format("column '{}' holds {}, not {}", c.name, array.type()->ToString(), arrow_type(c.kind)->ToString()));
  arrays_[size_t(column)] = &array;
  return c.kind == ColumnKind::kVector ? bind_vector(column, array) : Status(Ok{});
}

Status RowBlock::bind_vector(int column, const arrow::Array& array) {
  const auto& list = as<arrow::ListArray>(array);
  const uint32_t dimension = schema_->columns()[size_t(column)].vector.dimension;
  const std::string& name = schema_->columns()[size_t(column)].name;
  if (list.value_type()->id() != arrow::Type::FLOAT) return corruption(fmt::format("column '{}' holds {}", name, list.type()->ToString()));
  const auto& values = as<arrow::FloatArray>(*list.values());
  VectorColumn out;
  out.dimension = dimension;
  out.data = values.raw_values() + list.value_offset(0);
  const bool sparse = list.null_count() > 0;
  if (sparse) out.ordinal_of_row.assign(rows_, -1);
  for (size_t row = 0; row < rows_; ++row) {
    const int64_t length = list.value_length(int64_t(row));
    if (sparse && list.IsNull(int64_t(row))) {
      if (length != 0) return corruption(fmt::format("column '{}' row {}: a null of {} values", name, row, length));
      continue;
    }
    if (length != int64_t(dimension)) return corruption(fmt::format("column '{}' row {}: {} values, not {}", name, row, length, dimension));
    if (sparse) {
      out.ordinal_of_row[row] = int32_t(out.count);
      out.row_of_ordinal.push_back(uint32_t(row));
    }
    ++out.count;
  }
  if (out.count == 0) return Ok{};
  if (values.null_count() != 0) return corruption(fmt::format("column '{}' holds a null value", name));
  vectors_[size_t(column)] = std::move(out);
  return Ok{};
}

std::string_view RowBlock::text(int column, size_t row) const {
  const auto* a = array(column);
  return a == nullptr || a->IsNull(int64_t(row)) ? std::string_view() : as<arrow::StringArray>(*a).GetView(int64_t(row));
}

std::string_view RowBlock::document_id(size_t row) const { return as<arrow::StringArray>(*arrays_[size_t(id_)]).GetView(int64_t(row)); }

std::string_view RowBlock::rest(size_t row) const { return text(rest_, row); }

std::string_view RowBlock::source_id(size_t row) const {
  const auto document = text(source_document_, row);
  return document.empty() ? text(source_object_, row) : document;
}

TimestampUs RowBlock::created_at(size_t row) const {
  const auto* a = array(created_);
  return a == nullptr || a->IsNull(int64_t(row)) ? 0 : as<arrow::TimestampArray>(*a).Value(int64_t(row));
}

TimestampUs RowBlock::updated_at(size_t row) const {
  const auto* a = array(updated_);
  return a == nullptr || a->IsNull(int64_t(row)) ? 0 : as<arrow::TimestampArray>(*a).Value(int64_t(row));
}

json::value RowBlock::column_value(int column, size_t row) const {
  const auto* a = array(column);
  if (a == nullptr || a->IsNull(int64_t(row))) return nullptr;
  const auto r = int64_t(row);
  const ColumnKind kind = schema_->columns()[size_t(column)].kind;
  switch (kind) {
    case ColumnKind::kString: return json::value(json::string(as<arrow::StringArray>(*a).GetView(r)));
    case ColumnKind::kInt32: return int64_t(as<arrow::Int32Array>(*a).Value(r));
    case ColumnKind::kInt64: return as<arrow::Int64Array>(*a).Value(r);
    case ColumnKind::kNumber:
    case ColumnKind::kFloat: return number_value(as<arrow::DoubleArray>(*a).Value(r), kind);
    case ColumnKind::kBoolean: return as<arrow::BooleanArray>(*a).Value(r);
    case ColumnKind::kTimestamp: return json::value(json::string(format_timestamp(as<arrow::TimestampArray>(*a).Value(r))));
    case ColumnKind::kDate:
      return json::value(json::string(format_timestamp(as<arrow::Date32Array>(*a).Value(r) * kUsPerDay).substr(0, 10)));
    case ColumnKind::kVector: break;
  }
  return nullptr;
}

std::optional<json::value> RowBlock::system_value(int column, size_t row) const {
  const auto* a = array(column);
  if (a == nullptr || a->IsNull(int64_t(row))) return std::nullopt;
  return column_value(column, row);
}

Result<json::object> RowBlock::payload(size_t row, const std::vector<std::string>& fields) const {
  json::object out;
  const auto wanted = [&](std::string_view name) {
    return fields.empty() || std::find(fields.begin(), fields.end(), name) != fields.end();
  };
  if (const auto text_of_row = rest(row); !text_of_row.empty()) {
    const std::vector<std::string_view> names(fields.begin(), fields.end());
    auto parsed = fields.empty() ? parse_object(text_of_row) : parse_members(text_of_row, names);
    if (!parsed.ok()) return std::move(parsed).error().with_context(fmt::format("document '{}'", document_id(row)));
    out = std::move(parsed).value();
  }
  for (size_t i = 0; i < arrays_.size(); ++i) {
    const Column& column = schema_->columns()[i];
    if (column.system || arrays_[i] == nullptr || arrays_[i]->IsNull(int64_t(row)) || !wanted(column.name)) continue;
    if (!out.contains(column.name)) out.emplace(column.name, column_value(int(i), row));
  }
  return out;
}

Result<Document> RowBlock::document(size_t row, const Projection& projection) const {
  Document out;
  out.document_id = document_id(row);
  Lineage& l = out.lineage;
  for (const auto& [column, member] : kLineageTexts) l.*member = text(schema_->find(column), row);
  if (const auto* tier = array(schema_->find(kProcessingTier)); tier != nullptr && tier->IsValid(int64_t(row)))
    l.processing_tier = as<arrow::Int32Array>(*tier).Value(int64_t(row));
  out.created_at = created_at(row);
  out.updated_at = updated_at(row);
  if (projection.payload) {
    QUARRY_ASSIGN_OR_RETURN(out.payload, payload(row, projection.fields));
  }
  if (!projection.vectors) return out;
  for (size_t i = 0; i < vectors_.size(); ++i) {
    const auto& v = vectors_[i];
    const std::string& name = schema_->columns()[i].vector.name;
    const float* at = v ? v->at_row(row) : nullptr;
    const auto& names = projection.vector_names;
    if (at == nullptr || (!names.empty() && std::find(names.begin(), names.end(), name) == names.end())) continue;
    out.vectors.push_back({name, std::vector<float>(at, at + v->dimension)});
  }
  return out;
}

Result<json::object> RowBlock::filter_document(size_t row) const {
  QUARRY_ASSIGN_OR_RETURN(json::object out, payload(row, {}));
  for (size_t i = 0; i < arrays_.size(); ++i) {
    const Column& column = schema_->columns()[i];
    if (!column.system || column.kind == ColumnKind::kVector || column.name == kPayloadJson) continue;
    if (auto value = system_value(int(i), row))
      out[column.name] = std::move(*value);
    else
      out.erase(column.name);
  }
  return out;
}

}  // namespace quarry::mvs
