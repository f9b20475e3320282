// What is kept beside a data file so that parts of it can be read alone, and where its parts lie. docs/formats/cold_sidecars.md gives the
// layout of the objects; all of them can be made again from the data file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mvs/mvs.h"
#include "mvs/warm/parquet_columns.h"

namespace quarry::mvs {

// The small object that is read first, and written last: without it the others are not there.
struct ColdIndex {
  // The codes of one dense column, list after list.
  struct Lists {
    std::string vector_name;
    Metric metric = Metric::kCosine;
    uint32_t dimension = 0;
    float largest_norm = 0;       // of the quantizer
    std::vector<float> origin;    // its centre
    std::vector<float> centres;   // of the lists
    std::vector<uint32_t> sizes;  // entries of each list
    std::vector<uint32_t> rows;   // of all entries, list after list
  };
  struct Text {
    std::string field;
    uint64_t bytes = 0;
  };

  ParquetLayout layout;
  uint32_t rows = 0;
  uint32_t rows_per_page = 1;
  std::string page_schema;           // IPC, of the row pages
  std::vector<uint32_t> positions;   // of each row among the pages' rows
  std::vector<uint32_t> page_bytes;  // of each page
  std::vector<Lists> lists;
  std::vector<Text> texts;

  std::string encode() const;
  // kCorruption names `key` and the offset, or says that the layout is of another version.
  static Result<ColdIndex> decode(std::string_view bytes, const std::string& key);
};

// Keys below the table's folder.
inline constexpr std::string_view kColdFolder = "_quarry/cold/";
std::string cold_index_path(std::string_view data_file);
std::string cold_rows_path(std::string_view data_file);
std::string cold_lists_path(std::string_view data_file, size_t ordinal);
std::string cold_text_path(std::string_view data_file, size_t ordinal);
// The data file that a path below kColdFolder belongs to; empty: none.
std::string_view data_file_of(std::string_view cold_path);

// A list on the store: `width` bytes for each entry, then scale and bias of each as float32, then a CRC-32C of all that.
inline uint64_t list_bytes(size_t entries, size_t width) { return entries * (width + 8) + 4; }

}  // namespace quarry::mvs
