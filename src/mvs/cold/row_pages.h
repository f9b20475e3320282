// Whole rows in small pages: what a search reads of the rows it found. A page is a record batch of a few rows, zstd-compressed, behind its
// CRC-32C.
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"

namespace quarry::mvs {

struct RowPages {
  std::string schema;                // IPC
  uint32_t rows_per_page = 1;
  std::vector<uint32_t> page_bytes;  // of each page
  std::string bytes;                 // the pages one after another
};

// The rows of `batch` in the order of `order`, which names each once.
Result<RowPages> encode_row_pages(const arrow::RecordBatch& batch, const std::vector<uint32_t>& order, Executor* executor);

// Decodes pages of one file. Thread-safe.
class RowPageReader {
 public:
  // kCorruption names `key`.
  static Result<RowPageReader> open(std::string_view schema, std::string key);
  // `offset`: where the page lies, for messages.
  Result<std::shared_ptr<arrow::RecordBatch>> decode(std::string_view page, uint64_t offset) const;

 private:
  std::shared_ptr<arrow::Schema> schema_;
  std::string key_;
};

}  // namespace quarry::mvs
