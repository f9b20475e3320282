// The postings of one word in one field: which rows have it, how often and where. Reader and writer of one record each of the index's
// postings and positions sections; docs/formats/text_index.md has their layout.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mvs/text/text_kernels.h"

namespace quarry::mvs {

// Rows ascending, each once; tfs[i] >= 1 positions for rows[i], ascending, one row after another.
struct Postings {
  std::vector<uint32_t> rows, tfs, positions;

  void clear() { rows.clear(), tfs.clear(), positions.clear(); }
};

// Appends the two records. `lengths` has the words of each row.
void encode_postings(const Postings& postings, const uint32_t* lengths, std::string& record, std::string& positions);

// A decoded block.
struct PostingsBlock {
  uint32_t rows[kPaddedRows] = {};
  uint32_t tfs[kPaddedRows] = {};
  size_t count = 0;
  bool has_tfs = false;
};

// A view of the two records; they outlive it.
class PostingsReader {
 public:
  PostingsReader() = default;
  PostingsReader(uint32_t df, std::string_view record, std::string_view positions);

  uint32_t df() const { return df_; }
  size_t blocks() const { return blocks_; }
  size_t count(size_t block) const { return block + 1 < blocks_ ? kBlockRows : df_ - (blocks_ - 1) * kBlockRows; }
  // No row of the block is greater, none of a later one is smaller or equal. The last row of a record without a table is not known:
  // UINT32_MAX.
  uint32_t last_row(size_t block) const { return has_table() ? number(block) : UINT32_MAX; }

  void decode_rows(size_t block, PostingsBlock& out) const;
  void decode_tfs(size_t block, PostingsBlock& out) const;  // after decode_rows of the same block
  // Appends the positions of the block's posting `index`; `decoded` has its tfs.
  void read_positions(size_t block, const PostingsBlock& decoded, size_t index, std::vector<uint32_t>& out) const;
  // An upper bound of term_score over each block's postings, up to rounding. `out` has room for blocks() + 16.
  void bounds(const TermWeight& weight, const uint32_t* lengths, float* out) const;
  // The whole record.
  void decode_all(Postings& out, bool with_positions) const;
  // For bytes from outside; the calls above trust them. kCorruption unless both records are what encode_postings makes, to the last byte,
  // of rows below `rows` with these lengths. Adds the word's occurrences to `words`.
  Status check(const uint32_t* lengths, uint32_t rows, uint64_t& words) const;
  // The same of the postings alone, where the positions are not there: decode_rows, decode_tfs and bounds may be called.
  Status check_postings(const uint32_t* lengths, uint32_t rows) const;

  std::string_view record() const { return record_; }
  std::string_view positions() const { return positions_; }

 private:
  Status decode_checked(const uint32_t* lengths, uint32_t rows, Postings& out) const;
  Status check_block(size_t block, size_t& at, uint32_t before, PostingsBlock& out) const;
  bool has_table() const { return df_ >= kBlockRows; }
  uint32_t number(size_t index) const;  // of the table's 32-bit numbers
  uint16_t widths(size_t block) const;
  bool is_packed(size_t block) const { return has_table() && count(block) == kBlockRows; }

  uint32_t df_ = 0;
  size_t blocks_ = 0;
  std::string_view record_, positions_;
};

// LEB128.
void append_varint(std::string& out, uint64_t value);
// False past the end or past 64 bits. Moves `at`.
bool read_varint(std::string_view bytes, size_t& at, uint64_t& value);

}  // namespace quarry::mvs
