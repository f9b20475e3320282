// Data files: Parquet through Arrow. Vectors are plain float32 pages without compression, everything else is zstd; every page carries a
// CRC.
#pragma once

#include <arrow/io/type_fwd.h>
#include <arrow/type_fwd.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mvs/warm/table_schema.h"
#include "objects/object_store.h"

namespace parquet {
class FileMetaData;
}

namespace quarry::mvs {

// `batch` has the types of schema.arrow_schema().
Result<std::shared_ptr<arrow::Buffer>> encode_parquet(const TableSchema& schema, const arrow::RecordBatch& batch);

// Reads the columns that `schema` knows; types of other writers (large or view strings, other list or integer widths) are converted.
// `crc`: CRC-32C of the whole file, where the log has it: the pages' own CRCs leave headers and footer uncovered.
// kCorruption names `key`: not Parquet, a checksum that differs, a column of an impossible type.
Result<std::shared_ptr<arrow::RecordBatch>> read_parquet(objects::ObjectStore& store, const std::string& key, const TableSchema& schema,
                                                         std::optional<uint32_t> crc);
Result<std::shared_ptr<arrow::RecordBatch>> decode_parquet(std::shared_ptr<arrow::Buffer> bytes, const std::string& key,
                                                           const TableSchema& schema, std::optional<uint32_t> crc = std::nullopt);

// Some leaf columns out of a file whose parsed footer is at hand.
Result<std::shared_ptr<arrow::RecordBatch>> decode_parquet_columns(std::shared_ptr<arrow::io::RandomAccessFile> file,
                                                                   std::shared_ptr<parquet::FileMetaData> metadata,
                                                                   const std::vector<int>& leaves, const std::string& key,
                                                                   const TableSchema& schema);

// The tag of an add action that holds the CRC: eight hexadecimal digits.
inline constexpr const char* kCrcTag = "quarry.crc32c";
std::string crc_tag_value(std::string_view bytes);
std::optional<uint32_t> parse_crc_tag(const std::map<std::string, std::string>& tags);

// The batches one after another as one; columns are copied.
Result<std::shared_ptr<arrow::RecordBatch>> concatenate(const TableSchema& schema,
                                                        const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches);

// The `stats` text of an add action: numRecords, and minimum, maximum and null count of every scalar column.
std::string file_stats(const TableSchema& schema, const arrow::RecordBatch& batch, bool tight_bounds);

// `stats` with tightBounds false: what a file's statistics become once rows are deleted.
std::string loosen_stats(const std::string& stats);

std::string_view view(const arrow::Buffer& buffer);

}  // namespace quarry::mvs
