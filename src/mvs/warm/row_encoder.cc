#include "mvs/warm/row_encoder.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "model/lineage_texts.h"
#include "mvs/warm/json_text.h"
#include "mvs/warm/value_builder.h"

namespace quarry::mvs {
namespace {

constexpr size_t kMaxDocumentIdBytes = 512;

bool all_finite(const std::vector<float>& values) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t bad = 0;
  for (float v : values) bad |= uint32_t((std::bit_cast<uint32_t>(v) & kExponent) == kExponent);
  return bad == 0;
}

}  // namespace

struct RowEncoder::Builders {
  std::vector<std::unique_ptr<arrow::ArrayBuilder>> all;
  std::vector<size_t> written;  // per column: rows + 1 of the last row that set it
  std::unordered_map<std::string_view, size_t> field;

  template <class T>
  T& at(size_t column) {
    return static_cast<T&>(*all[column]);
  }

  void put_text(size_t column, std::string_view text) {
    if (text.empty())
      check(at<arrow::StringBuilder>(column).AppendNull());
    else
      check(at<arrow::StringBuilder>(column).Append(text));
  }
};

RowEncoder::RowEncoder(std::shared_ptr<const TableSchema> schema, size_t expected_rows)
    : schema_(std::move(schema)), builders_(std::make_unique<Builders>()) {
  const auto& columns = schema_->columns();
  for (size_t i = 0; i < columns.size(); ++i) {
    builders_->all.push_back(arrow::MakeBuilder(arrow_type(columns[i].kind)).ValueOrDie());
    (void)builders_->all.back()->Reserve(int64_t(expected_rows));  // a hint: append grows it otherwise
    if (columns[i].kind == ColumnKind::kVector)
      (void)builders_->at<arrow::ListBuilder>(i).value_builder()->Reserve(int64_t(expected_rows * columns[i].vector.dimension));
    if (!columns[i].system) builders_->field.emplace(columns[i].name, i);
  }
  builders_->written.assign(columns.size(), 0);
}

RowEncoder::~RowEncoder() = default;

namespace {

Status check_values(const VectorSpec& spec, const DenseVector& v) {
  if (v.values.size() == spec.dimension) return Ok{};
  return bad_request(fmt::format("vector '{}' has {} values; its dimension is {}", v.name, v.values.size(), spec.dimension));
}

Status check_values(const VectorSpec&, const SparseVector& v) {
  if (v.indices.size() != v.values.size())
    return bad_request(fmt::format("vector '{}' has {} indices and {} values", v.name, v.indices.size(), v.values.size()));
  if (v.indices.empty() || v.indices.size() > kMaxSparseEntries)
    return bad_request(fmt::format("vector '{}' has {} entries: 1 to {} are allowed", v.name, v.indices.size(), kMaxSparseEntries));
  for (size_t i = 1; i < v.indices.size(); ++i)
    if (v.indices[i] <= v.indices[i - 1])
      return bad_request(fmt::format("vector '{}': index {} does not ascend or is there twice", v.name, v.indices[i]));
  return Ok{};
}

Status check_values(const VectorSpec& spec, const MultiVector& v) {
  if (v.values.size() % spec.dimension != 0)
    return bad_request(fmt::format("vector '{}' has {} values: no multiple of its dimension {}", v.name, v.values.size(), spec.dimension));
  const size_t tokens = v.values.size() / spec.dimension;
  if (tokens == 0 || tokens > kMaxTokens || v.values.size() > kMaxTokenValues)
    return bad_request(fmt::format("vector '{}' has {} tokens of {} values: 1 to {} tokens and at most {} values are allowed", v.name,
                                   tokens, spec.dimension, kMaxTokens, kMaxTokenValues));
  return Ok{};
}

template <class V>
Status check_vectors_of(const TableSchema& schema, VectorKind kind, const std::vector<V>& vectors, std::vector<std::string_view>& names) {
  for (const V& v : vectors) {
    const int at = schema.find_vector(v.name);
    if (at < 0) return bad_request(fmt::format("the collection has no vector '{}'", v.name));
    const VectorSpec& spec = schema.columns()[size_t(at)].vector;
    if (spec.kind != kind) return bad_request(fmt::format("vector '{}' is {}, not {}", v.name, to_string(spec.kind), to_string(kind)));
    QUARRY_RETURN_IF_ERROR(check_values(spec, v));
    if (!all_finite(v.values)) return bad_request(fmt::format("vector '{}' holds a value that is not finite", v.name));
    if (std::find(names.begin(), names.end(), v.name) != names.end()) return bad_request(fmt::format("vector '{}' is given twice", v.name));
    names.push_back(v.name);
  }
  return Ok{};
}

Status check_vectors(const TableSchema& schema, const Document& document) {
  std::vector<std::string_view> names;
  QUARRY_RETURN_IF_ERROR(check_vectors_of(schema, VectorKind::kDense, document.vectors, names));
  QUARRY_RETURN_IF_ERROR(check_vectors_of(schema, VectorKind::kSparse, document.sparse_vectors, names));
  return check_vectors_of(schema, VectorKind::kMulti, document.multi_vectors, names);
}

template <class V>
const V* find_named(const std::vector<V>& vectors, const std::string& name) {
  const auto it = std::find_if(vectors.begin(), vectors.end(), [&](const V& v) { return v.name == name; });
  return it == vectors.end() ? nullptr : &*it;
}

void append_floats(arrow::ArrayBuilder& list, const float* values, size_t n) {
  auto& out = static_cast<arrow::ListBuilder&>(list);
  check(out.Append());
  check(static_cast<arrow::FloatBuilder&>(*out.value_builder()).AppendValues(values, int64_t(n)));
}

void append_sparse(arrow::StructBuilder& out, const SparseVector& v) {
  check(out.Append());
  auto& indices = static_cast<arrow::ListBuilder&>(*out.field_builder(0));
  check(indices.Append());
  for (const uint32_t index : v.indices) check(static_cast<arrow::Int64Builder&>(*indices.value_builder()).Append(int64_t(index)));
  append_floats(*out.field_builder(1), v.values.data(), v.values.size());
}

void append_tokens(arrow::ListBuilder& out, const MultiVector& v, size_t dimension) {
  check(out.Append());
  for (size_t at = 0; at < v.values.size(); at += dimension) append_floats(*out.value_builder(), v.values.data() + at, dimension);
}

}  // namespace

Status check_document(const TableSchema& schema, const Document& document) {
  if (document.document_id.empty()) return bad_request("a document has no document_id");
  if (document.document_id.size() > kMaxDocumentIdBytes)
    return bad_request(fmt::format("document_id of {} bytes: the limit is {}", document.document_id.size(), kMaxDocumentIdBytes));
  const auto name = [&] { return fmt::format("document '{}'", document.document_id); };
  if (!is_utf8(document.document_id)) return bad_request("a document_id is not valid UTF-8");
  const Lineage& l = document.lineage;
  for (const auto& [column, member] : kLineageTexts)
    if (!is_utf8(l.*member)) return bad_request(name() + ": a lineage field is not valid UTF-8");
  for (const auto& member : document.payload) {
    if (!is_utf8(member.key())) return bad_request(name() + ": a field name is not valid UTF-8");
    if (auto checked = check_payload(member.value(), member.key()); !checked.ok()) return std::move(checked).error().with_context(name());
  }
  if (auto checked = check_vectors(schema, document); !checked.ok()) return std::move(checked).error().with_context(name());
  return Ok{};
}

Status RowEncoder::append(const Document& document) {
  QUARRY_RETURN_IF_ERROR(check_document(*schema_, document));
  try {
    append_system(document);
    append_payload(document.payload);
    append_vectors(document);
  } catch (const ArrowFailure& failure) {
    return storage_error(fmt::format("document '{}' does not fit into one write: {}", document.document_id, failure.status.ToString()));
  }
  ++rows_;
  return Ok{};
}

void RowEncoder::append_system(const Document& document) {
  const Lineage& l = document.lineage;
  Builders& b = *builders_;
  b.put_text(size_t(schema_->find(kDocumentId)), document.document_id);
  for (const auto& [column, member] : kLineageTexts) b.put_text(size_t(schema_->find(column)), l.*member);
  check(b.at<arrow::Int32Builder>(size_t(schema_->find(kProcessingTier))).Append(l.processing_tier));
  check(b.at<arrow::TimestampBuilder>(size_t(schema_->find(kCreatedAt))).Append(document.created_at));
  check(b.at<arrow::TimestampBuilder>(size_t(schema_->find(kUpdatedAt))).Append(document.updated_at));
}

void RowEncoder::append_payload(const json::object& payload) {
  Builders& b = *builders_;
  rest_.clear();
  for (const auto& member : payload) {
    const auto field = b.field.find(std::string_view(member.key()));
    bool to_rest = true;
    if (field != b.field.end()) {
      to_rest = append_value(*b.all[field->second], schema_->columns()[field->second], member.value());
      b.written[field->second] = rows_ + 1;
    }
    if (!to_rest) continue;
    rest_ += rest_.empty() ? '{' : ',';
    append_member(rest_, member.key(), member.value());
  }
  for (const auto& [name, column] : b.field)
    if (b.written[column] != rows_ + 1) check(b.all[column]->AppendNull());
  if (!rest_.empty()) rest_ += '}';
  b.put_text(size_t(schema_->find(kPayloadJson)), rest_);
}

void RowEncoder::append_vectors(const Document& document) {
  for (size_t i = 0; i < schema_->columns().size(); ++i) {
    const Column& column = schema_->columns()[i];
    const std::string& name = column.vector.name;
    if (!is_vector(column.kind)) continue;
    if (const auto* v = find_named(document.vectors, name))
      append_floats(*builders_->all[i], v->values.data(), v->values.size());
    else if (const auto* s = find_named(document.sparse_vectors, name))
      append_sparse(builders_->at<arrow::StructBuilder>(i), *s);
    else if (const auto* m = find_named(document.multi_vectors, name))
      append_tokens(builders_->at<arrow::ListBuilder>(i), *m, column.vector.dimension);
    else
      check(builders_->all[i]->AppendNull());
  }
}

Result<std::shared_ptr<arrow::RecordBatch>> RowEncoder::finish() {
  arrow::ArrayVector arrays;
  for (auto& builder : builders_->all) {
    std::shared_ptr<arrow::Array> array;
    if (const auto status = builder->Finish(&array); !status.ok()) return storage_error(status.ToString());
    arrays.push_back(std::move(array));
  }
  auto batch = arrow::RecordBatch::Make(schema_->arrow_schema(), int64_t(rows_), std::move(arrays));
  rows_ = 0;
  std::fill(builders_->written.begin(), builders_->written.end(), 0);
  return batch;
}

}  // namespace quarry::mvs
