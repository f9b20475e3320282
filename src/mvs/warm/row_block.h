// The rows of one data file as columns: typed access, and back to documents.
#pragma once

#include <arrow/type_fwd.h>

#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "model/lineage_texts.h"
#include "mvs/warm/table_schema.h"

namespace quarry::mvs {

// Which rows have a value of a column: those are numbered 0.. in row order (ordinals).
struct RowOrdinals {
  size_t count = 0;                      // ordinals
  std::vector<uint32_t> row_of_ordinal;  // empty when every row has a value: then row == ordinal
  std::vector<int32_t> ordinal_of_row;   // -1: the row has none; empty as above

  size_t row(size_t ordinal) const { return row_of_ordinal.empty() ? ordinal : row_of_ordinal[ordinal]; }
  int64_t ordinal(size_t row) const { return ordinal_of_row.empty() ? int64_t(row) : ordinal_of_row[row]; }
};

// Ordinal o starts at data + o * dimension.
struct VectorColumn : RowOrdinals {
  uint32_t dimension = 0;
  const float* data = nullptr;  // owned by the batch

  const float* at_row(size_t row) const {
    const int64_t o = ordinal(row);
    return o < 0 ? nullptr : data + size_t(o) * dimension;
  }
};

// Tokens first[o] .. first[o + 1] are ordinal o's, at least one; token t starts at data + t * dimension.
struct MultiColumn : RowOrdinals {
  uint32_t dimension = 0;
  const float* data = nullptr;  // owned by the batch
  std::vector<uint32_t> first;

  size_t tokens() const { return first.back(); }
};

// Entries first[o] .. first[o + 1] are ordinal o's, at least one, ascending by index.
struct SparseColumn : RowOrdinals {
  const int64_t* indices = nullptr;  // each in 0..2^32-1; owned by the batch
  const float* values = nullptr;
  std::vector<uint32_t> first;
};

// Immutable; shares the batch's memory.
class RowBlock {
 public:
  enum class Memory { kHeld, kMapped };  // whether the batch's buffers are anonymous memory or lie in a mapped file

  // The batch's columns have the schema's types; columns may be absent (read as null). kCorruption: a row without document_id.
  static Result<std::shared_ptr<const RowBlock>> make(std::shared_ptr<const TableSchema> schema, std::shared_ptr<arrow::RecordBatch> batch,
                                                      Memory memory = Memory::kHeld);
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
  // nullptr: not a column of that kind, or no row has a value.
  const VectorColumn* vector(int column) const { return of_kind<VectorColumn>(column); }
  const MultiColumn* multi(int column) const { return of_kind<MultiColumn>(column); }
  const SparseColumn* sparse(int column) const { return of_kind<SparseColumn>(column); }
  // Of a vector column of any kind.
  const RowOrdinals* ordinals(int column) const;

  // Fetch what document() reads of a row into the processor's caches without waiting: where its values lie and those of fixed width, then
  // its texts. For rows here and there, of which several are fetched at once.
  void prefetch_values(size_t row) const;
  void prefetch_texts(size_t row) const;
  // kCorruption when the JSON column does not parse.
  Result<Document> document(size_t row, const Projection& projection) const;
  // The value of a payload field's column as JSON, nullptr kind when it is null. Not what was written where the JSON column overrides it.
  json::value column_value(int column, size_t row) const;
  // A system column (document_id, lineage, created_at, updated_at) as filters and sorts see it; nullopt when absent.
  std::optional<json::value> system_value(int column, size_t row) const;
  // What filters see: the payload and, over it, the system columns.
  Result<json::object> filter_document(size_t row) const;

  const std::shared_ptr<const TableSchema>& shared_schema() const { return schema_; }
  uint64_t memory_bytes() const { return memory_bytes_; }  // anonymous
  uint64_t mapped_bytes() const { return mapped_bytes_; }

 private:
  // Where a column's values lie; of texts where they begin, four bytes a row.
  struct Place {
    const uint8_t* values = nullptr;
    size_t width = 0;
    const uint8_t* texts = nullptr;  // null: no column of texts
  };
  RowBlock() = default;
  void note_places();
  Status bind(int column);
  template <class T>
  const T* of_kind(int column) const {
    return column < 0 ? nullptr : std::get_if<T>(&vectors_[size_t(column)]);
  }
  Status bind_vector(int column, const arrow::Array& array);
  Status bind_multi(int column, const arrow::Array& array);
  Status bind_sparse(int column, const arrow::Array& array);
  void append_vector(int column, size_t row, Document& out) const;
  Result<json::object> payload(size_t row, const std::vector<std::string>& fields) const;
  std::string_view text(int column, size_t row) const;

  std::shared_ptr<const TableSchema> schema_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  size_t rows_ = 0;
  std::vector<const arrow::Array*> arrays_;
  std::vector<std::variant<std::monostate, VectorColumn, MultiColumn, SparseColumn>> vectors_;
  std::vector<Place> places_;  // of columns that have values and are no vectors
  std::array<int, kLineageTexts.size()> lineage_{};
  int tier_ = -1;
  int id_ = -1, rest_ = -1, created_ = -1, updated_ = -1, source_object_ = -1, source_document_ = -1;
  uint64_t memory_bytes_ = 0, mapped_bytes_ = 0;
};

// Bytes of memory that the buffers hold, each buffer once.
uint64_t batch_memory_bytes(const arrow::RecordBatch& batch);
uint64_t array_memory_bytes(const arrow::Array& array);

// The value of a row as JSON, of an array of the kind's type; null kind when it is null.
json::value array_value(const arrow::Array& array, ColumnKind kind, size_t row);

}  // namespace quarry::mvs
