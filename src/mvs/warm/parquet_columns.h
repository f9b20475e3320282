// Parts of a data file: its columns, each a few ranges of bytes that are read and checked alone.
#pragma once

#include <arrow/type_fwd.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mvs/warm/table_schema.h"

namespace parquet {
class FileMetaData;
}

namespace quarry::mvs {

struct ByteRange {
  uint64_t offset = 0, length = 0;
};

// Where a data file's column chunks lie, and what their bytes must be.
struct ParquetLayout {
  struct Chunk {
    ByteRange range;
    uint32_t crc = 0;  // CRC-32C
  };
  uint64_t file_bytes = 0;
  std::string footer;         // the serialized metadata, without length and magic
  std::vector<Chunk> chunks;  // by row group, then leaf column
};

// Of a whole data file. kCorruption names `key`.
Result<ParquetLayout> parquet_layout(std::string_view file, const std::string& key);

// Reads columns of one data file. Thread-safe.
class ParquetColumns {
 public:
  // kCorruption if the layout's footer does not parse or does not fit its chunks; names `key`.
  static Result<ParquetColumns> open(ParquetLayout layout, std::string key);

  size_t rows() const;
  // Names of the columns that the file has.
  const std::set<std::string, std::less<>>& names() const { return names_; }
  uint64_t memory_bytes() const;

  // Fetches ranges of the data file, one result each, in whatever order.
  using Fetch = std::function<Result<std::vector<std::string>>(const std::vector<ByteRange>&)>;
  // Those of schema.columns() that `wanted` names and the file has, with the schema's types. kCorruption names key and offset.
  Result<std::shared_ptr<arrow::RecordBatch>> read(const TableSchema& schema, const std::set<std::string, std::less<>>& wanted,
                                                   const Fetch& fetch) const;

 private:
  ParquetColumns() = default;

  ParquetLayout layout_;
  std::string key_;
  std::shared_ptr<parquet::FileMetaData> metadata_;
  std::set<std::string, std::less<>> names_;
};

}  // namespace quarry::mvs
