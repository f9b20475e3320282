// Documents to columns.
//
// A payload member goes to its typed column when the column can give it back exactly; otherwise to the JSON column `payload_json`, which
// wins when a row is read. A member whose value the column can hold but not its JSON form (3.0 where 3 is implied, a timestamp written
// another way) is in both: readers of the plain table see the value, Quarry returns what was written.
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <vector>

#include "mvs/warm/table_schema.h"

namespace quarry::mvs {

// Not thread-safe.
class RowEncoder {
 public:
  explicit RowEncoder(std::shared_ptr<const TableSchema> schema, size_t expected_rows);
  ~RowEncoder();

  // kBadRequest names the document and what is wrong with it; then nothing was added.
  Status append(const Document& document);
  size_t rows() const { return rows_; }
  Result<std::shared_ptr<arrow::RecordBatch>> finish();

 private:
  struct Builders;
  void append_system(const Document& document);
  void append_payload(const json::object& payload);
  void append_vectors(const Document& document);

  std::shared_ptr<const TableSchema> schema_;
  std::unique_ptr<Builders> builders_;
  std::string rest_;
  size_t rows_ = 0;
};

// What append would refuse.
Status check_document(const TableSchema& schema, const Document& document);

}  // namespace quarry::mvs
