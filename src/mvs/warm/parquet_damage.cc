#include "mvs/warm/parquet_damage.h"

#include <arrow/buffer.h>
#include <arrow/io/memory.h>
#include <fmt/format.h>
#include <parquet/column_page.h>
#include <parquet/column_reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>

#include <optional>

namespace quarry::mvs {

ParquetDamage find_damage(const std::shared_ptr<arrow::Buffer>& bytes) {
  const uint64_t tail = bytes->size() >= 8 ? uint64_t(bytes->size() - 8) : 0;
  std::optional<uint64_t> begun;
  std::string column;
  try {
    parquet::ReaderProperties properties;
    properties.set_page_checksum_verification(true);
    auto reader = parquet::ParquetFileReader::Open(std::make_shared<arrow::io::BufferReader>(bytes), properties);
    const auto metadata = reader->metadata();
    for (int g = 0; g < metadata->num_row_groups(); ++g) {
      const auto group = metadata->RowGroup(g);
      for (int c = 0; c < group->num_columns(); ++c) {
        const auto chunk = group->ColumnChunk(c);
        begun = uint64_t(chunk->has_dictionary_page() ? chunk->dictionary_page_offset() : chunk->data_page_offset());
        column = chunk->path_in_schema()->ToDotString();
        const auto pages = reader->RowGroup(g)->GetColumnPageReader(c);
        while (pages->NextPage() != nullptr) {
        }
      }
    }
  } catch (const std::exception& e) {
    if (!begun) return {tail, fmt::format("the footer: {}", e.what())};
    return {*begun, fmt::format("column '{}': {}", column, e.what())};
  }
  return {tail, "outside the pages, whose own checksums are right"};
}

}  // namespace quarry::mvs
