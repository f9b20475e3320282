// The rows of one data file as columns: typed access, and back to documents.
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "mvs/warm/table_schema.h"

namespace quarry::mvs {

// A vector column. Rows that have the vector are numbered 0.. in row order (ordinals); ordinal o starts at data + o * dimension.
struct VectorColumn {
  uint32_t dimension = 0;
  const float* data = nullptr;           // owned by the batch
  size_t count = 0;                      // ordinals
  std::vector<uint32_t> row_of_ordinal;  // empty when every row has the vector: then row == ordinal
  std::vector<int32_t> ordinal_of_row;   // -1: the row has none; empty as above

  size_t row(size_t ordinal) const { return row_of_ordinal.empty() ? ordinal : row_of_ordinal[ordinal]; }
  const float* at_row(size_t row) const {
    if (ordinal_of_row.empty()) return data + row * dimension;
    return ordinal_of_row[row] < 0 ? nullptr : data + size_t(ordinal_of_row[row]) * dimension;
  }
};

// Immutable; shares the batch's memory.
class RowBlock {
 public:
  // The batch's columns have the schema's types; columns may be absent (read as null). kCorruption: a row without document_id.
  static Result<std::shared_ptr<const RowBlock>> make(std::shared_ptr<const TableSchema> schema, std::shared_ptr<arrow::RecordBatch> batch);
  ~RowBlock();

  size_t rows() const { return rows_; }
  const TableSchema& schema() const { return *schema_; }
  const std::shared_ptr<arrow::RecordBatch>& batch() const { return batch_; }

  std::string_view document_id(size_t row) const;
  // The JSON column's text; empty when the row has none.
  std::string_view rest(size_t row) const;
  TimestampUs created_at(size_t row) const;
  TimestampUs updated_at(size_t row) const;
  // Lineage.source_document_id where set, else source_object_id.
  std::string_view source_id(size_t row) const;

  // nullptr: the column is absent from this block. `column` is a position in schema().columns().
  const arrow::Array* array(int column) const { return column < 0 ? nullptr : arrays_[size_t(column)]; }
  const VectorColumn* vector(int column) const { return column < 0 || !vectors_[size_t(column)] ? nullptr : &*vectors_[size_t(column)]; }

  // kCorruption when the JSON column does not parse.
  Result<Document> document(size_t row, const Projection& projection) const;
  // The value of a payload field's column as JSON, nullptr kind when it is null. Not what was written where the JSON column overrides it.
  json::value column_value(int column, size_t row) const;
  // A system column (document_id, lineage, created_at, updated_at) as filters and sorts see it; nullopt when absent.
  std::optional<json::value> system_value(int column, size_t row) const;
  // What filters see: the payload and, over it, the system columns.
  Result<json::object> filter_document(size_t row) const;

  uint64_t memory_bytes() const { return memory_bytes_; }

 private:
  RowBlock() = default;
  Status bind(int column);
  Status bind_vector(int column, const arrow::Array& array);
  Result<json::object> payload(size_t row, const std::vector<std::string>& fields) const;
  std::string_view text(int column, size_t row) const;

  std::shared_ptr<const TableSchema> schema_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  size_t rows_ = 0;
  std::vector<const arrow::Array*> arrays_;
  std::vector<std::optional<VectorColumn>> vectors_;
  int id_ = -1, rest_ = -1, created_ = -1, updated_ = -1, source_object_ = -1, source_document_ = -1;
  uint64_t memory_bytes_ = 0;
};

// Bytes of memory that the batch's buffers hold, each buffer once.
uint64_t batch_memory_bytes(const arrow::RecordBatch& batch);

}  // namespace quarry::mvs
