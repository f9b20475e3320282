#include "mvs/warm/table_schema.h"

#include <arrow/api.h>
#include <fmt/format.h>
#include <unicode/unistr.h>

#include <array>
#include <charconv>
#include <cmath>

namespace quarry::mvs {
namespace {

struct SystemColumn {
  std::string_view name;
  ColumnKind kind;
};

constexpr std::array kSystemColumns{
    SystemColumn{kDocumentId, ColumnKind::kString},          SystemColumn{"root_object_id", ColumnKind::kString},
    SystemColumn{"root_bucket_id", ColumnKind::kString},     SystemColumn{"source_type", ColumnKind::kString},
    SystemColumn{"source_object_id", ColumnKind::kString},   SystemColumn{"source_collection_id", ColumnKind::kString},
    SystemColumn{"source_document_id", ColumnKind::kString}, SystemColumn{"lineage_path", ColumnKind::kString},
    SystemColumn{kProcessingTier, ColumnKind::kInt32},       SystemColumn{kPayloadJson, ColumnKind::kString},
    SystemColumn{kCreatedAt, ColumnKind::kTimestamp},        SystemColumn{kUpdatedAt, ColumnKind::kTimestamp},
};

// Engines that ignore case must never see two columns with one name.
std::string folded(std::string_view name) {
  std::string out;
  icu::UnicodeString::fromUTF8(icu::StringPiece(name.data(), int32_t(name.size()))).foldCase().toUTF8String(out);
  return out;
}

std::optional<ColumnKind> column_kind(FieldType type) {
  switch (type) {
    case FieldType::kNumber: return ColumnKind::kNumber;
    case FieldType::kFloat: return ColumnKind::kFloat;
    case FieldType::kInteger: return ColumnKind::kInt64;
    case FieldType::kBoolean: return ColumnKind::kBoolean;
    case FieldType::kDate: return ColumnKind::kDate;
    case FieldType::kDatetime: return ColumnKind::kTimestamp;
    case FieldType::kObject:
    case FieldType::kArray: return std::nullopt;
    default: return ColumnKind::kString;
  }
}

std::string_view delta_type(ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kString: return "string";
    case ColumnKind::kInt32: return "integer";
    case ColumnKind::kInt64: return "long";
    case ColumnKind::kNumber:
    case ColumnKind::kFloat: return "double";
    case ColumnKind::kBoolean: return "boolean";
    case ColumnKind::kTimestamp: return "timestamp";
    case ColumnKind::kDate: return "date";
    case ColumnKind::kVector:
    case ColumnKind::kSparse:
    case ColumnKind::kMulti: break;  // of parts: nested_type()
  }
  return "string";
}

json::object array_of(json::value element) { return {{"type", "array"}, {"elementType", std::move(element)}, {"containsNull", false}}; }

json::value nested_type(ColumnKind kind) {
  if (kind == ColumnKind::kVector) return array_of("float");
  if (kind == ColumnKind::kMulti) return array_of(array_of("float"));
  const auto member = [](std::string_view name, json::value type) {
    return json::object{{"name", name}, {"type", std::move(type)}, {"nullable", true}, {"metadata", json::object()}};
  };
  return json::object{{"type", "struct"},
                      {"fields", json::array{member("indices", array_of("long")), member("values", array_of("float"))}}};
}

ColumnKind column_kind(VectorKind kind) {
  switch (kind) {
    case VectorKind::kDense: return ColumnKind::kVector;
    case VectorKind::kSparse: return ColumnKind::kSparse;
    case VectorKind::kMulti: return ColumnKind::kMulti;
  }
  return ColumnKind::kVector;
}

// A column that another program added.
std::optional<FieldType> field_of_delta_type(std::string_view type) {
  if (type == "string") return FieldType::kString;
  if (type == "long" || type == "integer" || type == "short" || type == "byte") return FieldType::kInteger;
  if (type == "double" || type == "float") return FieldType::kFloat;
  if (type == "boolean") return FieldType::kBoolean;
  if (type == "timestamp") return FieldType::kDatetime;
  if (type == "date") return FieldType::kDate;
  return std::nullopt;
}

bool is_narrow(ColumnKind kind, std::string_view type) {
  if (kind == ColumnKind::kInt64) return type == "byte" || type == "short" || type == "integer";
  return (kind == ColumnKind::kNumber || kind == ColumnKind::kFloat) && type == "float";
}

json::object delta_field(const Column& column) {
  json::object metadata;
  json::value type = json::string(column.narrow.empty() ? delta_type(column.kind) : std::string_view(column.narrow));
  if (is_vector(column.kind)) {
    type = nested_type(column.kind);
    metadata = {{"quarry.vector", column.vector.name},
                {"quarry.feature_uri", column.vector.feature_uri},
                {"quarry.dimension", column.vector.dimension},
                {"quarry.metric", to_string(column.vector.metric)}};
    if (column.vector.kind != VectorKind::kDense) metadata["quarry.kind"] = to_string(column.vector.kind);
  } else if (!column.system) {
    metadata = {{"quarry.type", to_string(column.field)}};
  }
  return {{"name", column.name}, {"type", std::move(type)}, {"nullable", column.name != kDocumentId}, {"metadata", std::move(metadata)}};
}

std::string_view text_member(const json::object& object, std::string_view name) {
  const auto* v = object.if_contains(name);
  return v != nullptr && v->is_string() ? std::string_view(v->as_string()) : std::string_view();
}

// A number, or the text that delta-rs makes of all metadata it rewrites.
std::optional<uint32_t> read_dimension(const json::object& metadata) {
  const auto* value = metadata.if_contains("quarry.dimension");
  int64_t dimension = 0;
  if (value != nullptr && value->is_int64()) dimension = value->as_int64();
  if (value != nullptr && value->is_string()) {
    const auto& text = value->as_string();
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), dimension);
    if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  }
  return dimension >= 1 && dimension <= 65'536 ? std::optional(uint32_t(dimension)) : std::nullopt;
}

Result<VectorKind> read_kind(const json::object& metadata, std::string_view column) {
  const std::string_view text = text_member(metadata, "quarry.kind");
  if (text.empty()) return VectorKind::kDense;
  if (auto kind = parse_vector_kind(text); kind.ok()) return kind;
  return storage_error(fmt::format("column '{}' has a quarry.kind that this program does not know: {}", column, text));
}

Result<Column> vector_column(std::string name, const json::object& metadata) {
  Column out{std::move(name), ColumnKind::kVector, true, {}, {}};
  QUARRY_ASSIGN_OR_RETURN(out.vector.kind, read_kind(metadata, out.name));
  out.kind = column_kind(out.vector.kind);
  out.vector.name = text_member(metadata, "quarry.vector");
  out.vector.feature_uri = text_member(metadata, "quarry.feature_uri");
  QUARRY_ASSIGN_OR_RETURN(out.vector.metric, parse_metric(text_member(metadata, "quarry.metric")));
  if (out.vector.kind == VectorKind::kSparse) return out;
  const auto dimension = read_dimension(metadata);
  if (!dimension) return corruption(fmt::format("column '{}' has no valid quarry.dimension", out.name));
  out.vector.dimension = *dimension;
  return out;
}

Status check_vector(const VectorSpec& spec) {
  if (spec.name.empty()) return bad_request("a vector needs a name");
  if (spec.kind == VectorKind::kSparse) {
    if (spec.metric != Metric::kDot)
      return bad_request(
          fmt::format("vector '{}': sparse vectors are scored by dot product, not by {}", spec.name, to_string(spec.metric)));
    if (spec.dimension != 0) return bad_request(fmt::format("vector '{}': sparse vectors have no dimension", spec.name));
    return Ok{};
  }
  if (spec.dimension < 1 || spec.dimension > 65'536)
    return bad_request(fmt::format("vector '{}': dimension {} is outside 1..65536", spec.name, spec.dimension));
  return Ok{};
}

std::string shape_of(const VectorSpec& spec) {
  if (spec.kind == VectorKind::kSparse) return "sparse";
  return fmt::format("{} of dimension {} and metric {}", to_string(spec.kind), spec.dimension, to_string(spec.metric));
}

Result<Column> column_of(const json::object& field) {
  std::string name(text_member(field, "name"));
  const auto* type = field.if_contains("type");
  const auto* metadata_value = field.if_contains("metadata");
  const json::object metadata = metadata_value != nullptr && metadata_value->is_object() ? metadata_value->as_object() : json::object();
  if (name.empty() || type == nullptr) return corruption("a column of the Delta schema has no name or type");
  if (metadata.contains("quarry.vector")) return vector_column(std::move(name), metadata);
  for (const auto& system : kSystemColumns)
    if (system.name == name) return Column{std::move(name), system.kind, true, {}, {}};
  std::optional<FieldType> field_type;
  if (type->is_string()) field_type = field_of_delta_type(type->as_string());
  if (!field_type)
    return storage_error(fmt::format("column '{}' has a Delta type that Quarry does not keep: {}", name, json::serialize(*type)));
  if (auto declared = parse_field_type(text_member(metadata, "quarry.type")); declared.ok()) field_type = *declared;
  const auto kind = column_kind(*field_type);
  if (!kind) return corruption(fmt::format("column '{}' has an impossible quarry.type", name));
  Column out{std::move(name), *kind, false, *field_type, {}};
  if (type->as_string() != delta_type(*kind)) out.narrow = type->as_string();
  if (!out.narrow.empty() && !is_narrow(*kind, out.narrow))
    return storage_error(
        fmt::format("column '{}' of Delta type {} can't have the quarry.type {}", out.name, out.narrow, to_string(*field_type)));
  return out;
}

}  // namespace

bool is_column_name(std::string_view name) {
  if (name.empty() || name.size() > 200 || name.front() == '_') return false;
  for (char c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || (c & 0x80) != 0;
    if (!plain) return false;
  }
  return !folded(name).starts_with("vector_");
}

Status check_fields(const std::vector<FieldSpec>& fields) {
  std::unordered_map<std::string, std::string_view> taken;
  for (const SystemColumn& column : kSystemColumns) taken.emplace(column.name, column.name);
  for (const FieldSpec& field : fields) {
    if (!is_column_name(field.name))
      return bad_request(fmt::format(
          "field '{}' can't have a column: the name of one has up to 200 bytes, letters, digits, '_', '-' and characters outside "
          "ASCII, and begins with neither '_' nor 'vector_'",
          field.name));
    const auto [other, is_new] = taken.emplace(folded(field.name), field.name);
    if (!is_new) return bad_request(fmt::format("field '{}' can't have a column: there is one of '{}'", field.name, other->second));
  }
  return Ok{};
}

std::shared_ptr<arrow::DataType> arrow_type(ColumnKind kind) {
  const auto list_of = [](std::shared_ptr<arrow::DataType> element) {
    return arrow::list(arrow::field("element", std::move(element), false));
  };
  switch (kind) {
    case ColumnKind::kString: return arrow::utf8();
    case ColumnKind::kInt32: return arrow::int32();
    case ColumnKind::kInt64: return arrow::int64();
    case ColumnKind::kNumber:
    case ColumnKind::kFloat: return arrow::float64();
    case ColumnKind::kBoolean: return arrow::boolean();
    case ColumnKind::kTimestamp: return arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
    case ColumnKind::kDate: return arrow::date32();
    case ColumnKind::kVector: return list_of(arrow::float32());
    case ColumnKind::kMulti: return list_of(list_of(arrow::float32()));
    case ColumnKind::kSparse:
      return arrow::struct_({arrow::field("indices", list_of(arrow::int64())), arrow::field("values", list_of(arrow::float32()))});
  }
  return arrow::null();
}

bool fits_narrow(std::string_view narrow, int64_t value) {
  const int64_t bits = narrow == "byte" ? 8 : narrow == "short" ? 16 : narrow == "integer" ? 32 : 64;
  return bits == 64 || (value >= -(1ll << (bits - 1)) && value < 1ll << (bits - 1));
}

std::shared_ptr<arrow::DataType> file_type(const Column& column) {
  if (column.narrow == "byte") return arrow::int8();
  if (column.narrow == "short") return arrow::int16();
  if (column.narrow == "integer") return arrow::int32();
  if (column.narrow == "float") return arrow::float32();
  return arrow_type(column.kind);
}

bool is_json_integer(double value) {
  constexpr double kExactIntegers = 9007199254740992.0;
  return std::abs(value) < kExactIntegers && value == std::floor(value) && !(value == 0 && std::signbit(value));
}

void TableSchema::push(Column column) {
  const int at = int(columns_.size());
  by_name_.emplace(column.name, at);
  by_folded_name_.emplace(folded(column.name), at);
  if (is_vector(column.kind)) by_vector_.emplace(column.vector.name, at);
  columns_.push_back(std::move(column));
}

bool TableSchema::name_taken(std::string_view name) const { return by_folded_name_.contains(folded(name)); }

Status TableSchema::add_vector(const VectorSpec& spec) {
  QUARRY_RETURN_IF_ERROR(check_vector(spec));
  if (const int at = find_vector(spec.name); at >= 0) {
    const VectorSpec& known = columns_[size_t(at)].vector;
    if (known.dimension == spec.dimension && known.metric == spec.metric && known.kind == spec.kind) return Ok{};
    return bad_request(fmt::format("vector '{}' is {}, not {}", spec.name, shape_of(known), shape_of(spec)));
  }
  std::string base = "vector_";
  for (char c : spec.name.substr(0, 200)) base += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  std::string name = base;
  for (int i = 2; name_taken(name); ++i) name = fmt::format("{}_{}", base, i);
  push({std::move(name), column_kind(spec.kind), true, {}, spec});
  return Ok{};
}

Status TableSchema::add_field(const FieldSpec& spec) {
  const auto kind = column_kind(spec.type);
  if (const int at = find_field(spec.name); at >= 0) {
    if (spec.yields || (kind && columns_[size_t(at)].kind == *kind)) return Ok{};
    return bad_request(
        fmt::format("field '{}' has type {}, not {}", spec.name, to_string(columns_[size_t(at)].field), to_string(spec.type)));
  }
  if (kind && is_column_name(spec.name) && !name_taken(spec.name)) push({spec.name, *kind, false, spec.type, {}});
  return Ok{};
}

Result<TableSchema> TableSchema::from_spec(const TableSpec& spec) {
  TableSchema schema;
  for (const auto& column : kSystemColumns) schema.push({std::string(column.name), column.kind, true, {}, {}});
  for (size_t i = 0; i < spec.vectors.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (spec.vectors[i].name == spec.vectors[j].name) return bad_request(fmt::format("vector '{}' is given twice", spec.vectors[i].name));
  return schema.extended(spec);
}

Result<TableSchema> TableSchema::extended(const TableSpec& spec) const {
  TableSchema schema = *this;
  for (const auto& field : spec.fields) QUARRY_RETURN_IF_ERROR(schema.add_field(field));
  for (const auto& vector : spec.vectors) QUARRY_RETURN_IF_ERROR(schema.add_vector(vector));
  return schema;
}

Result<TableSchema> TableSchema::from_delta(std::string_view schema_string) {
  boost::system::error_code ec;
  const json::value value = json::parse(schema_string, ec);
  const auto* fields = !ec && value.is_object() ? value.as_object().if_contains("fields") : nullptr;
  if (fields == nullptr || !fields->is_array()) return corruption("the Delta schema is not a struct");
  TableSchema schema;
  for (const auto& field : fields->as_array()) {
    if (!field.is_object()) return corruption("a field of the Delta schema is not an object");
    QUARRY_ASSIGN_OR_RETURN(Column column, column_of(field.as_object()));
    if (schema.name_taken(column.name)) return corruption(fmt::format("the Delta schema has column '{}' twice", column.name));
    schema.push(std::move(column));
  }
  for (const auto& system : kSystemColumns)
    if (schema.find(system.name) < 0)
      return storage_error(fmt::format("the Delta table has no column '{}': it is not one of Quarry's", system.name));
  return schema;
}

int TableSchema::find(std::string_view column_name) const {
  const auto it = by_name_.find(column_name);
  return it == by_name_.end() ? -1 : it->second;
}

int TableSchema::find_field(std::string_view payload_field) const {
  const int at = find(payload_field);
  return at >= 0 && !columns_[size_t(at)].system ? at : -1;
}

int TableSchema::find_vector(std::string_view vector_name) const {
  const auto it = by_vector_.find(vector_name);
  return it == by_vector_.end() ? -1 : it->second;
}

std::shared_ptr<arrow::Schema> TableSchema::arrow_schema() const {
  arrow::FieldVector fields;
  for (const auto& column : columns_) fields.push_back(arrow::field(column.name, arrow_type(column.kind), column.name != kDocumentId));
  return arrow::schema(std::move(fields));
}

std::string TableSchema::delta_schema() const {
  json::array fields;
  for (const auto& column : columns_) fields.push_back(delta_field(column));
  return json::serialize(json::object{{"type", "struct"}, {"fields", std::move(fields)}});
}

}  // namespace quarry::mvs
