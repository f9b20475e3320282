// One data file of a cold table: read in parts through its sidecars.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "mvs/cold/cold_index.h"
#include "mvs/cold/ranged_reads.h"
#include "mvs/cold/row_pages.h"
#include "mvs/hot/segment.h"
#include "mvs/index/quantizer.h"
#include "mvs/snapshot_builder.h"
#include "mvs/text/text_index_parts.h"

namespace quarry::mvs {

using NameSet = std::set<std::string, std::less<>>;

// What of the rows a call looks at before it knows which rows it wants.
struct ColdNeeds {
  NameSet columns;      // of scalars and vectors; document_id and the JSON column always count as named
  NameSet text_fields;  // searched by words
  const TextQuery* text = nullptr;  // those words
};

// Thread-safe. Scalar columns and text indexes that were read stay until the file is let go of; vectors don't.
class ColdFile {
 public:
  // One read. `uid` numbers the segments made of the file. kNotFound: no sidecars. kCorruption: they are no use.
  static Result<std::shared_ptr<ColdFile>> open(const TableFiles& files, std::shared_ptr<const AddFile> file, const TableSchema& schema,
                                                uint32_t uid);
  // Whether its lists are of the vectors that `schema` describes; else they are not to be searched.
  bool fits(const TableSchema& schema) const;

  const std::string& path() const { return file_->path; }
  size_t rows() const { return index_.rows; }
  bool has_column(std::string_view name) const { return columns_.names().contains(name); }

  uint32_t uid() const { return uid_; }
  // A segment with the columns and text indexes that `needs` names, as far as the file has them.
  Result<std::shared_ptr<const Segment>> segment(const ColdNeeds& needs, const std::shared_ptr<const TableSchema>& schema,
                                                 const Analyzer& analyzer, Executor* io);

  struct Lists {
    const ColdIndex::Lists* entries = nullptr;
    std::shared_ptr<const Quantizer> quantizer;
    std::string key;                // of the object
    std::vector<uint64_t> offsets;  // of each list's bytes
    std::vector<uint32_t> first;    // of each list among the entries
  };
  // Of a dense column; nullptr: no row has a vector.
  const Lists* lists(std::string_view vector_name) const;

  // The page that holds a row, and the row's place in it.
  struct PlaceOfRow {
    uint32_t page = 0, row = 0;
  };
  PlaceOfRow place(uint32_t row) const { return {index_.positions[row] / index_.rows_per_page, index_.positions[row] % index_.rows_per_page}; }
  RangeOfObject page_range(uint32_t page) const;
  Result<std::shared_ptr<const RowBlock>> decode_page(std::string_view bytes, uint32_t page,
                                                      const std::shared_ptr<const TableSchema>& schema) const;

  uint64_t memory_bytes() const;
  // Sidecars that were found broken are not to be used again.
  void distrust() { trusted_ = false; }
  bool trusted() const { return trusted_; }
  Status remove_index() const { return files_.store.remove(files_.key(cold_index_path(path()))); }

 private:
  ColdFile(const TableFiles& files, std::shared_ptr<const AddFile> file, uint32_t uid, ColdIndex index, ParquetColumns columns,
           RowPageReader pages);
  void bind();
  // Under the lock.
  Result<std::shared_ptr<arrow::RecordBatch>> read_columns(const NameSet& names, const TableSchema& schema, Executor* io) const;
  Status read_texts(const ColdNeeds& needs, const Analyzer& analyzer, Executor* io);
  Status read_text(const std::string& field, const AnalysedQuery& words, const ColdNeeds& needs, const Analyzer& analyzer, Executor* io);
  Result<std::shared_ptr<const Segment>> make_segment(std::shared_ptr<arrow::RecordBatch> batch,
                                                      const std::shared_ptr<const TableSchema>& schema) const;
  Status keep(std::shared_ptr<arrow::RecordBatch> columns, const std::shared_ptr<const TableSchema>& schema);
  NameSet absent_columns(const ColdNeeds& needs, const TableSchema& schema) const;
  const ColdIndex::Text* text_of(const std::string& field, size_t& ordinal) const;

  const TableFiles& files_;
  const std::shared_ptr<const AddFile> file_;
  const uint32_t uid_;
  const ColdIndex index_;
  const ParquetColumns columns_;
  const RowPageReader pages_;
  std::vector<uint64_t> page_offsets_;
  std::vector<Lists> lists_;
  std::atomic<bool> trusted_{true};

  mutable std::mutex mutex_;  // held while columns are read: of several calls one reads
  std::shared_ptr<arrow::RecordBatch> kept_;
  std::shared_ptr<const Segment> kept_segment_;
  std::map<std::string, std::unique_ptr<TextIndexParts>> texts_;
  std::atomic<uint64_t> kept_bytes_{0};
};

}  // namespace quarry::mvs
