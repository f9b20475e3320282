// The columns of a table: which payload fields get one, under what name, and how Arrow and Delta describe them.
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mvs/mvs.h"

namespace quarry::mvs {

enum class ColumnKind {
  kString,
  kInt32,   // processing_tier only
  kInt64,   // JSON integers
  kNumber,  // float64; integral values stand for JSON integers
  kFloat,   // float64; every value stands for a JSON double
  kBoolean,
  kTimestamp,  // microseconds, UTC
  kDate,       // days of kUsPerDay since 1970-01-01
  kVector,     // list<float32>
  kSparse,     // struct<indices: list<int64>, values: list<float32>>
  kMulti,      // list<list<float32>>
};

inline constexpr int64_t kUsPerDay = 86'400'000'000;

inline bool is_vector(ColumnKind kind) { return kind == ColumnKind::kVector || kind == ColumnKind::kSparse || kind == ColumnKind::kMulti; }

// Columns every table has.
inline constexpr std::string_view kDocumentId = "document_id";
inline constexpr std::string_view kPayloadJson = "payload_json";
inline constexpr std::string_view kCreatedAt = "created_at";
inline constexpr std::string_view kUpdatedAt = "updated_at";
inline constexpr std::string_view kProcessingTier = "processing_tier";

struct Column {
  std::string name;
  ColumnKind kind = ColumnKind::kString;
  bool system = false;                   // not a payload field
  FieldType field = FieldType::kString;  // of payload fields
  VectorSpec vector;                     // of vectors
  // Of a column that another program added with fewer bits: "byte", "short" or "integer" of kInt64, "float" of kNumber and kFloat. Files
  // are written so; in memory the kind's own type stands.
  std::string narrow = {};
};

// Whether a column declared as `narrow` (empty: not) can hold the number; of "float" every number, rounded.
bool fits_narrow(std::string_view narrow, int64_t value);

// The type of the column in data files.
std::shared_ptr<arrow::DataType> file_type(const Column& column);

// Immutable once made.
class TableSchema {
 public:
  // kBadRequest: a vector name twice, a dimension out of range. Fields without a usable column name simply get no column.
  static Result<TableSchema> from_spec(const TableSpec& spec);
  // The schema in a Delta metaData action. kStorage names a column Quarry can't keep.
  static Result<TableSchema> from_delta(std::string_view schema_string);
  // This schema and what `spec` adds. kBadRequest if `spec` disagrees with a column that exists.
  Result<TableSchema> extended(const TableSpec& spec) const;

  const std::vector<Column>& columns() const { return columns_; }
  // Positions in columns(); -1: none.
  int find(std::string_view column_name) const;
  int find_field(std::string_view payload_field) const;  // payload fields only
  int find_vector(std::string_view vector_name) const;

  std::shared_ptr<arrow::Schema> arrow_schema() const;
  std::string delta_schema() const;

 private:
  TableSchema() = default;
  Status add_vector(const VectorSpec& spec);
  Status add_field(const FieldSpec& spec);
  void push(Column column);
  bool name_taken(std::string_view name) const;

  struct NameHash {
    using is_transparent = void;  // look-ups by string_view make no string
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };
  using Positions = std::unordered_map<std::string, int, NameHash, std::equal_to<>>;

  std::vector<Column> columns_;
  Positions by_name_, by_folded_name_, by_vector_;
};

// True for a payload field name that may name a column: letters, digits, '_', '-' and anything outside ASCII, not starting with '_' or
// "vector_".
bool is_column_name(std::string_view name);

std::shared_ptr<arrow::DataType> arrow_type(ColumnKind kind);

// Whether a value of a kNumber column stands for a JSON integer: integral, below 2^53, not -0.
bool is_json_integer(double value);

}  // namespace quarry::mvs
