#include "mvs/warm/row_block.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <cmath>
#include <unordered_set>

#include "mvs/warm/json_text.h"

namespace quarry::mvs {
namespace {

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

// Numbers the rows for which `has` answers true.
template <class Has>
void number_rows(size_t rows, RowOrdinals& out, Has&& has) {
  out.ordinal_of_row.assign(rows, -1);
  for (size_t row = 0; row < rows; ++row) {
    if (!has(row)) continue;
    out.ordinal_of_row[row] = int32_t(out.count++);
    out.row_of_ordinal.push_back(uint32_t(row));
  }
  if (out.count == rows) out.ordinal_of_row = {}, out.row_of_ordinal = {};
}

}  // namespace

uint64_t batch_memory_bytes(const arrow::RecordBatch& batch) {
  std::unordered_set<const arrow::Buffer*> seen;
  uint64_t bytes = 0;
  for (int i = 0; i < batch.num_columns(); ++i) add_buffers(*batch.column_data(i), seen, bytes);
  return bytes;
}

uint64_t array_memory_bytes(const arrow::Array& array) {
  std::unordered_set<const arrow::Buffer*> seen;
  uint64_t bytes = 0;
  add_buffers(*array.data(), seen, bytes);
  return bytes;
}

RowBlock::~RowBlock() = default;

Result<std::shared_ptr<const RowBlock>> RowBlock::make(std::shared_ptr<const TableSchema> schema, std::shared_ptr<arrow::RecordBatch> batch,
                                                       Memory memory) {
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
  block->tier_ = s.find(kProcessingTier);
  for (size_t i = 0; i < kLineageTexts.size(); ++i) block->lineage_[i] = s.find(kLineageTexts[i].name);
  block->note_places();
  const auto* ids = block->array(block->id_);
  if (block->rows_ > 0 && (ids == nullptr || ids->null_count() != 0)) return corruption("a row has no document_id");
  (memory == Memory::kHeld ? block->memory_bytes_ : block->mapped_bytes_) = batch_memory_bytes(*block->batch_);
  for (size_t i = 0; i < columns; ++i) {
    const RowOrdinals* o = block->ordinals(int(i));
    if (o == nullptr) continue;
    const bool has_parts = block->vector(int(i)) == nullptr;
    block->memory_bytes_ += (o->row_of_ordinal.size() + o->ordinal_of_row.size() + (has_parts ? o->count : 0)) * 4;
  }
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
  if (c.kind == ColumnKind::kVector) return bind_vector(column, array);
  if (c.kind == ColumnKind::kMulti) return bind_multi(column, array);
  if (c.kind == ColumnKind::kSparse) return bind_sparse(column, array);
  return Ok{};
}

void RowBlock::note_places() {
  for (size_t i = 0; i < arrays_.size(); ++i) {
    const arrow::Array* array = arrays_[i];
    if (array == nullptr || array->null_count() == array->length() || is_vector(schema_->columns()[i].kind)) continue;
    if (array->type_id() == arrow::Type::STRING) {
      const auto& texts = as<arrow::StringArray>(*array);
      places_.push_back({reinterpret_cast<const uint8_t*>(texts.raw_value_offsets()), sizeof(int32_t), texts.raw_data()});
    } else if (const int width = array->type()->byte_width(); width > 0) {
      places_.push_back({array->data()->buffers[1]->data() + array->offset() * width, size_t(width), nullptr});
    }
  }
}

void RowBlock::prefetch_values(size_t row) const {
  for (const Place& place : places_) __builtin_prefetch(place.values + row * place.width);
}

void RowBlock::prefetch_texts(size_t row) const {
  for (const Place& place : places_)
    if (place.texts != nullptr) __builtin_prefetch(place.texts + reinterpret_cast<const int32_t*>(place.values)[row]);
}

const RowOrdinals* RowBlock::ordinals(int column) const {
  if (const auto* v = vector(column)) return v;
  if (const auto* v = multi(column)) return v;
  return sparse(column);
}

Status RowBlock::bind_multi(int column, const arrow::Array& array) {
  const VectorSpec& spec = schema_->columns()[size_t(column)].vector;
  const std::string& name = schema_->columns()[size_t(column)].name;
  const auto& list = as<arrow::ListArray>(array);
  if (list.value_type()->id() != arrow::Type::LIST || list.value_type()->field(0)->type()->id() != arrow::Type::FLOAT)
    return corruption(fmt::format("column '{}' holds {}", name, list.type()->ToString()));
  const auto& tokens = as<arrow::ListArray>(*list.values());
  const auto& values = as<arrow::FloatArray>(*tokens.values());
  MultiColumn out;
  out.dimension = spec.dimension;
  number_rows(rows_, out, [&](size_t row) { return list.IsValid(int64_t(row)) && list.value_length(int64_t(row)) > 0; });
  if (out.count == 0) return Ok{};
  const int64_t begin = list.value_offset(int64_t(out.row(0))), end = list.value_offset(int64_t(rows_));
  out.data = values.raw_values() + tokens.value_offset(begin);
  for (size_t o = 0; o < out.count; ++o) {
    const auto row = int64_t(out.row(o));
    out.first.push_back(uint32_t(list.value_offset(row) - begin));
    const int64_t next = o + 1 < out.count ? list.value_offset(int64_t(out.row(o + 1))) : end;
    if (next != list.value_offset(row + 1)) return corruption(fmt::format("column '{}' row {}: values before the next row", name, row));
    for (int64_t t = list.value_offset(row); t < list.value_offset(row + 1); ++t)
      if (tokens.IsNull(t) || tokens.value_length(t) != int64_t(spec.dimension))
        return corruption(
            fmt::format("column '{}' row {}: a token of {} values, not {}", name, row, tokens.value_length(t), spec.dimension));
  }
  out.first.push_back(uint32_t(end - begin));
  if (values.null_count() != 0) return corruption(fmt::format("column '{}' holds a null value", name));
  vectors_[size_t(column)] = std::move(out);
  return Ok{};
}

Status RowBlock::bind_sparse(int column, const arrow::Array& array) {
  const std::string& name = schema_->columns()[size_t(column)].name;
  const auto& record = as<arrow::StructArray>(array);
  const auto holds = [&](int member, arrow::Type::type element) {
    return record.num_fields() == 2 && record.field(member)->type_id() == arrow::Type::LIST &&
           as<arrow::ListArray>(*record.field(member)).value_type()->id() == element;
  };
  if (!holds(0, arrow::Type::INT64) || !holds(1, arrow::Type::FLOAT))
    return corruption(fmt::format("column '{}' holds {}", name, record.type()->ToString()));
  const auto& indices = as<arrow::ListArray>(*record.field(0));
  const auto& values = as<arrow::ListArray>(*record.field(1));
  SparseColumn out;
  number_rows(rows_, out, [&](size_t row) {
    return record.IsValid(int64_t(row)) && indices.IsValid(int64_t(row)) && indices.value_length(int64_t(row)) > 0;
  });
  if (out.count == 0) return Ok{};
  const int64_t i_begin = indices.value_offset(int64_t(out.row(0))), v_begin = values.value_offset(int64_t(out.row(0)));
  out.indices = as<arrow::Int64Array>(*indices.values()).raw_values() + i_begin;
  out.values = as<arrow::FloatArray>(*values.values()).raw_values() + v_begin;
  uint32_t at = 0;
  for (size_t o = 0; o < out.count; ++o) {
    const auto row = int64_t(out.row(o));
    const auto bad = [&](std::string_view why) { return corruption(fmt::format("column '{}' row {}: {}", name, row, why)); };
    if (indices.value_offset(row) - i_begin != at || values.value_offset(row) - v_begin != at) return bad("values before the row's own");
    if (values.IsNull(row) || values.value_length(row) != indices.value_length(row)) return bad("not as many values as indices");
    out.first.push_back(at);
    const uint32_t end = at + uint32_t(indices.value_length(row));
    for (int64_t before = -1; at < end; before = out.indices[at++])
      if (out.indices[at] <= before || out.indices[at] > int64_t(UINT32_MAX)) return bad("indices that do not ascend or exceed 32 bits");
  }
  out.first.push_back(at);
  if (indices.values()->null_count() != 0 || values.values()->null_count() != 0)
    return corruption(fmt::format("column '{}' holds a null value", name));
  vectors_[size_t(column)] = std::move(out);
  return Ok{};
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

json::value array_value(const arrow::Array& array, ColumnKind kind, size_t row) {
  const auto r = int64_t(row);
  if (array.IsNull(r)) return nullptr;
  switch (kind) {
    case ColumnKind::kString: return json::value(json::string(as<arrow::StringArray>(array).GetView(r)));
    case ColumnKind::kInt32: return int64_t(as<arrow::Int32Array>(array).Value(r));
    case ColumnKind::kInt64: return as<arrow::Int64Array>(array).Value(r);
    case ColumnKind::kNumber:
    case ColumnKind::kFloat: return number_value(as<arrow::DoubleArray>(array).Value(r), kind);
    case ColumnKind::kBoolean: return as<arrow::BooleanArray>(array).Value(r);
    case ColumnKind::kTimestamp: return json::value(json::string(format_timestamp(as<arrow::TimestampArray>(array).Value(r))));
    case ColumnKind::kDate:
      return json::value(json::string(format_timestamp(as<arrow::Date32Array>(array).Value(r) * kUsPerDay).substr(0, 10)));
    case ColumnKind::kVector:
    case ColumnKind::kSparse:
    case ColumnKind::kMulti: break;
  }
  return nullptr;
}

json::value RowBlock::column_value(int column, size_t row) const {
  const auto* a = array(column);
  return a == nullptr ? json::value() : array_value(*a, schema_->columns()[size_t(column)].kind, row);
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
  for (size_t i = 0; i < lineage_.size(); ++i) l.*kLineageTexts[i].member = text(lineage_[i], row);
  if (const auto* tier = array(tier_); tier != nullptr && tier->IsValid(int64_t(row)))
    l.processing_tier = as<arrow::Int32Array>(*tier).Value(int64_t(row));
  out.created_at = created_at(row);
  out.updated_at = updated_at(row);
  if (projection.payload) {
    QUARRY_ASSIGN_OR_RETURN(out.payload, payload(row, projection.fields));
  }
  if (!projection.vectors) return out;
  const auto& names = projection.vector_names;
  for (size_t i = 0; i < vectors_.size(); ++i)
    if (names.empty() || std::find(names.begin(), names.end(), schema_->columns()[i].vector.name) != names.end())
      append_vector(int(i), row, out);
  return out;
}

void RowBlock::append_vector(int column, size_t row, Document& out) const {
  const RowOrdinals* ordinals = this->ordinals(column);
  const int64_t found = ordinals == nullptr ? -1 : ordinals->ordinal(row);
  if (found < 0) return;
  const auto o = size_t(found);
  const std::string& name = schema_->columns()[size_t(column)].vector.name;
  if (const auto* v = vector(column)) {
    out.vectors.push_back({name, std::vector<float>(v->data + o * v->dimension, v->data + (o + 1) * v->dimension)});
  } else if (const auto* m = multi(column)) {
    const float* data = m->data;
    out.multi_vectors.push_back(
        {name, std::vector<float>(data + size_t(m->first[o]) * m->dimension, data + size_t(m->first[o + 1]) * m->dimension)});
  } else if (const auto* s = sparse(column)) {
    SparseVector& vector = out.sparse_vectors.emplace_back();
    vector.name = name;
    for (uint32_t e = s->first[o]; e < s->first[o + 1]; ++e) vector.indices.push_back(uint32_t(s->indices[e]));
    vector.values.assign(s->values + s->first[o], s->values + s->first[o + 1]);
  }
}

Result<json::object> RowBlock::filter_document(size_t row) const {
  QUARRY_ASSIGN_OR_RETURN(json::object out, payload(row, {}));
  for (size_t i = 0; i < arrays_.size(); ++i) {
    const Column& column = schema_->columns()[i];
    if (!column.system || is_vector(column.kind) || column.name == kPayloadJson) continue;
    if (auto value = system_value(int(i), row))
      out[column.name] = std::move(*value);
    else
      out.erase(column.name);
  }
  return out;
}

}  // namespace quarry::mvs
