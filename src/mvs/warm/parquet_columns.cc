#include "mvs/warm/parquet_columns.h"

#include <arrow/api.h>
#include <arrow/io/interfaces.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/hash.h"
#include "mvs/warm/parquet_file.h"

namespace quarry::mvs {
namespace {

constexpr std::string_view kMagic = "PAR1";
constexpr size_t kTailBytes = 8;  // length of the footer, magic

// A file of which some ranges are at hand.
class PiecedFile final : public arrow::io::RandomAccessFile {
 public:
  struct Piece {
    uint64_t offset = 0;
    std::shared_ptr<arrow::Buffer> bytes;
  };

  PiecedFile(std::vector<Piece> pieces, uint64_t size) : pieces_(std::move(pieces)), size_(size) {
    std::sort(pieces_.begin(), pieces_.end(), [](const Piece& a, const Piece& b) { return a.offset < b.offset; });
    set_mode(arrow::io::FileMode::READ);
  }

  arrow::Status Close() override { return closed_ = true, arrow::Status::OK(); }
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> GetSize() override { return int64_t(size_); }
  arrow::Result<int64_t> Tell() const override { return position_; }
  arrow::Status Seek(int64_t position) override { return position_ = position, arrow::Status::OK(); }

  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position, int64_t bytes) override {
    auto after = std::upper_bound(pieces_.begin(), pieces_.end(), uint64_t(position), [](uint64_t p, const Piece& x) { return p < x.offset; });
    if (after == pieces_.begin()) return absent(position);
    const Piece& piece = *--after;
    const int64_t at = position - int64_t(piece.offset), left = piece.bytes->size() - at;
    if (left < 0 || (left == 0 && bytes > 0)) return absent(position);
    return arrow::SliceBuffer(piece.bytes, at, std::min(bytes, left));
  }
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t bytes, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const auto buffer, ReadAt(position, bytes));
    std::memcpy(out, buffer->data(), size_t(buffer->size()));
    return buffer->size();
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t bytes) override {
    ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(position_, bytes));
    position_ += buffer->size();
    return buffer;
  }
  arrow::Result<int64_t> Read(int64_t bytes, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const int64_t got, ReadAt(position_, bytes, out));
    position_ += got;
    return got;
  }

 private:
  static arrow::Status absent(int64_t position) { return arrow::Status::IOError("bytes at offset ", position, " were not fetched"); }

  std::vector<Piece> pieces_;
  const uint64_t size_;
  int64_t position_ = 0;
  bool closed_ = false;
};

std::shared_ptr<parquet::FileMetaData> parse_footer(std::string_view footer) {
  return parquet::FileMetaData::Make(footer.data(), int64_t(footer.size()));
}

ByteRange range_of(const parquet::ColumnChunkMetaData& chunk) {
  int64_t begin = chunk.data_page_offset();
  if (chunk.has_dictionary_page() && chunk.dictionary_page_offset() > 0) begin = std::min(begin, chunk.dictionary_page_offset());
  return {uint64_t(begin), uint64_t(chunk.total_compressed_size())};
}

Result<std::vector<ByteRange>> ranges_of(const parquet::FileMetaData& metadata, uint64_t file_bytes, const std::string& key) {
  std::vector<ByteRange> out;
  for (int g = 0; g < metadata.num_row_groups(); ++g) {
    const auto group = metadata.RowGroup(g);
    for (int c = 0; c < metadata.num_columns(); ++c) {
      const ByteRange range = range_of(*group->ColumnChunk(c));
      if (range.offset > file_bytes || range.length > file_bytes - range.offset)
        return corruption(fmt::format("{}: a column chunk at offset {} outside the file", key, range.offset));
      out.push_back(range);
    }
  }
  return out;
}

}  // namespace

Result<ParquetLayout> parquet_layout(std::string_view file, const std::string& key) {
  if (file.size() < kTailBytes + kMagic.size() || !file.ends_with(kMagic)) return corruption(fmt::format("{}: no Parquet file", key));
  const uint32_t length = read_little<uint32_t>(file, file.size() - kTailBytes);
  if (length > file.size() - kTailBytes - kMagic.size()) return corruption(fmt::format("{}: a footer longer than the file", key));
  ParquetLayout out;
  out.file_bytes = file.size();
  out.footer = file.substr(file.size() - kTailBytes - length, length);
  try {
    QUARRY_ASSIGN_OR_RETURN(const auto ranges, ranges_of(*parse_footer(out.footer), out.file_bytes, key));
    for (const ByteRange& range : ranges) out.chunks.push_back({range, crc32c(file.substr(range.offset, range.length))});
  } catch (const std::exception& e) {
    return corruption(fmt::format("{}: {}", key, e.what()));
  }
  return out;
}

Result<ParquetColumns> ParquetColumns::open(ParquetLayout layout, std::string key) {
  ParquetColumns out;
  try {
    out.metadata_ = parse_footer(layout.footer);
    QUARRY_ASSIGN_OR_RETURN(const auto ranges, ranges_of(*out.metadata_, layout.file_bytes, key));
    const auto same = [](const ByteRange& a, const ParquetLayout::Chunk& b) {
      return a.offset == b.range.offset && a.length == b.range.length;
    };
    if (!std::equal(ranges.begin(), ranges.end(), layout.chunks.begin(), layout.chunks.end(), same))
      return corruption(fmt::format("{}: other column chunks than its footer names", key));
    for (int c = 0; c < out.metadata_->num_columns(); ++c) out.names_.insert(out.metadata_->schema()->GetColumnRoot(c)->name());
  } catch (const std::exception& e) {
    return corruption(fmt::format("{}: {}", key, e.what()));
  }
  out.layout_ = std::move(layout);
  out.key_ = std::move(key);
  return out;
}

size_t ParquetColumns::rows() const { return size_t(metadata_->num_rows()); }

uint64_t ParquetColumns::memory_bytes() const {
  // Parsed, a footer takes some times its bytes.
  return 4 * layout_.footer.size() + layout_.chunks.size() * sizeof(ParquetLayout::Chunk);
}

Result<std::shared_ptr<arrow::RecordBatch>> ParquetColumns::read(const TableSchema& schema, const std::set<std::string, std::less<>>& wanted,
                                                                 const Fetch& fetch) const {
  std::vector<int> leaves;
  for (int c = 0; c < metadata_->num_columns(); ++c) {
    const std::string& name = metadata_->schema()->GetColumnRoot(c)->name();
    if (wanted.contains(name) && schema.find(name) >= 0) leaves.push_back(c);
  }
  std::vector<ParquetLayout::Chunk> chunks;
  std::vector<ByteRange> ranges;
  for (int g = 0; g < metadata_->num_row_groups(); ++g)
    for (const int leaf : leaves) {
      chunks.push_back(layout_.chunks[size_t(g * metadata_->num_columns() + leaf)]);
      ranges.push_back(chunks.back().range);
    }
  QUARRY_ASSIGN_OR_RETURN(auto fetched, fetch(ranges));
  std::vector<PiecedFile::Piece> pieces;
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (fetched[i].size() != ranges[i].length || crc32c(fetched[i]) != chunks[i].crc)
      return corruption(fmt::format("{}: the checksum of the {} bytes at offset {} differs", key_, ranges[i].length, ranges[i].offset));
    pieces.push_back({ranges[i].offset, arrow::Buffer::FromString(std::move(fetched[i]))});
  }
  return decode_parquet_columns(std::make_shared<PiecedFile>(std::move(pieces), layout_.file_bytes), metadata_, leaves, key_, schema);
}

}  // namespace quarry::mvs
