#include "mvs/warm/row_encoder.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <bit>

#include "model/lineage_texts.h"
#include "mvs/warm/json_text.h"

namespace quarry::mvs {
namespace {

constexpr size_t kMaxDocumentIdBytes = 512;
constexpr int64_t kUsPerDay = 86'400'000'000;

// Growing a builder fails only for want of memory or past 2 GiB of text in one write; both end the write with this.
struct ArrowFailure {
  arrow::Status status;
};

void check(const arrow::Status& status) {
  if (!status.ok()) throw ArrowFailure{status};
}

bool all_finite(const std::vector<float>& values) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t bad = 0;
  for (float v : values) bad |= uint32_t((std::bit_cast<uint32_t>(v) & kExponent) == kExponent);
  return bad == 0;
}

std::optional<double> exact_double(const json::value& value) {
  if (value.is_double()) return value.get_double();
  if (value.is_int64()) {
    const int64_t i = value.get_int64();
    const auto d = double(i);
    if (d < 9223372036854775808.0 && int64_t(d) == i) return d;
  }
  return std::nullopt;
}

// Each put answers true when the JSON column must hold the value too.
bool put_string(arrow::StringBuilder& out, const json::value& value) {
  if (!value.is_string()) return check(out.AppendNull()), true;
  check(out.Append(std::string_view(value.get_string())));
  return false;
}

bool put_int64(arrow::Int64Builder& out, const json::value& value) {
  if (value.is_int64()) return check(out.Append(value.get_int64())), false;
  if (value.is_uint64() && value.get_uint64() <= uint64_t(INT64_MAX)) return check(out.Append(int64_t(value.get_uint64()))), false;
  return check(out.AppendNull()), true;
}

bool put_double(arrow::DoubleBuilder& out, const json::value& value, bool integral_means_integer) {
  const auto d = exact_double(value);
  if (!d) return check(out.AppendNull()), true;
  check(out.Append(*d));
  return value.is_double() == (integral_means_integer && is_json_integer(*d));
}

bool put_boolean(arrow::BooleanBuilder& out, const json::value& value) {
  if (!value.is_bool()) return check(out.AppendNull()), true;
  check(out.Append(value.get_bool()));
  return false;
}

bool put_timestamp(arrow::TimestampBuilder& out, const json::value& value) {
  if (!value.is_string()) return check(out.AppendNull()), true;
  const auto parsed = parse_timestamp(value.get_string());
  if (!parsed.ok()) return check(out.AppendNull()), true;
  check(out.Append(*parsed));
  return format_timestamp(*parsed) != std::string_view(value.get_string());
}

bool put_date(arrow::Date32Builder& out, const json::value& value) {
  if (value.is_string() && value.get_string().size() == 10) {
    const auto parsed = parse_timestamp(value.get_string());
    if (parsed.ok() && *parsed % kUsPerDay == 0 && format_timestamp(*parsed).starts_with(std::string_view(value.get_string())))
      return check(out.Append(int32_t(*parsed / kUsPerDay))), false;
  }
  return check(out.AppendNull()), true;
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

  bool put(const Column& column, size_t at_column, const json::value& value) {
    switch (column.kind) {
      case ColumnKind::kString: return put_string(at<arrow::StringBuilder>(at_column), value);
      case ColumnKind::kInt64: return put_int64(at<arrow::Int64Builder>(at_column), value);
      case ColumnKind::kNumber: return put_double(at<arrow::DoubleBuilder>(at_column), value, true);
      case ColumnKind::kFloat: return put_double(at<arrow::DoubleBuilder>(at_column), value, false);
      case ColumnKind::kBoolean: return put_boolean(at<arrow::BooleanBuilder>(at_column), value);
      case ColumnKind::kTimestamp: return put_timestamp(at<arrow::TimestampBuilder>(at_column), value);
      case ColumnKind::kDate: return put_date(at<arrow::Date32Builder>(at_column), value);
      case ColumnKind::kInt32:
      case ColumnKind::kVector: break;
    }
    QUARRY_CHECK(false && "not a payload column");
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
    if (columns[i].kind == ColumnKind::kVector) {
      auto values = std::make_shared<arrow::FloatBuilder>();
      builders_->all.push_back(std::make_unique<arrow::ListBuilder>(arrow::default_memory_pool(), values, arrow_type(ColumnKind::kVector)));
      (void)values->Reserve(int64_t(expected_rows * columns[i].vector.dimension));  // a hint: append grows it otherwise
    } else {
      builders_->all.push_back(arrow::MakeBuilder(arrow_type(columns[i].kind)).ValueOrDie());
    }
    (void)builders_->all.back()->Reserve(int64_t(expected_rows));
    if (!columns[i].system) builders_->field.emplace(columns[i].name, i);
  }
  builders_->written.assign(columns.size(), 0);
}

RowEncoder::~RowEncoder() = default;

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
  for (size_t i = 0; i < document.vectors.size(); ++i) {
    const DenseVector& v = document.vectors[i];
    const int at = schema.find_vector(v.name);
    if (at < 0) return bad_request(fmt::format("{}: the collection has no vector '{}'", name(), v.name));
    const uint32_t dimension = schema.columns()[size_t(at)].vector.dimension;
    if (v.values.size() != dimension)
      return bad_request(fmt::format("{}: vector '{}' has {} values; its dimension is {}", name(), v.name, v.values.size(), dimension));
    if (!all_finite(v.values)) return bad_request(fmt::format("{}: vector '{}' holds a value that is not finite", name(), v.name));
    for (size_t j = 0; j < i; ++j)
      if (document.vectors[j].name == v.name) return bad_request(fmt::format("{}: vector '{}' is given twice", name(), v.name));
  }
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
      to_rest = b.put(schema_->columns()[field->second], field->second, member.value());
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
    if (column.kind != ColumnKind::kVector) continue;
    auto& list = builders_->at<arrow::ListBuilder>(i);
    const auto it =
        std::find_if(document.vectors.begin(), document.vectors.end(), [&](const auto& v) { return v.name == column.vector.name; });
    if (it == document.vectors.end()) {
      check(list.AppendNull());
    } else {
      check(list.Append());
      check(static_cast<arrow::FloatBuilder&>(*list.value_builder()).AppendValues(it->values.data(), int64_t(it->values.size())));
    }
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
