// The record of a word that n < 128 rows have: n entries. Of more: a table over its blocks, then the blocks, 128 postings each but the
// last.
//   entry    := varint (gap << 1 | more), [varint tf - 2] if more; gap is the row minus the row before it minus 1, more is tf > 1
//   table    := last row u32 *, offset of the block u32 *, offset of its positions u32 *, points u32 * (all first points, all second, ...),
//               widths u16 * (bits of a gap, bits of a tf << 8)
//   block    := 128 gaps packed, 128 (tf - 1) packed; the last one, if not full: entries
// Positions: for each posting its first position, then the gaps to the next minus 1, all varints.
#include "mvs/text/postings.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.h"

namespace quarry::mvs {
namespace {

constexpr uint32_t kBeforeFirst = UINT32_MAX;  // "row before the first": one more is 0
constexpr size_t kNumbersPerBlock = 3 + kImpactPoints;
constexpr size_t kTableBytesPerBlock = kNumbersPerBlock * sizeof(uint32_t) + sizeof(uint16_t);

const uint8_t* as_bytes(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

struct Point {
  uint32_t tf, length;
};

// The postings of a block that no other beats in both respects, tf descending; then neighbours made one, where that loosens the bound the
// least at the block's own mean length, until they fit (Ding & Suel 2011 keep one maximum; several follow lengths that change).
class ImpactFront {
 public:
  ImpactFront(const Postings& postings, size_t begin, size_t end, const uint32_t* lengths) {
    for (size_t i = begin; i < end; ++i) points_.push_back({postings.tfs[i], lengths[postings.rows[i]]});
    double sum = 0;
    for (const Point& p : points_) sum += p.length;
    mean_ = std::max(1.0, sum / double(points_.size()));
    std::sort(points_.begin(), points_.end(),
              [](const Point& a, const Point& b) { return a.tf != b.tf ? a.tf > b.tf : a.length < b.length; });
    size_t kept = 0;
    for (const Point& p : points_)
      if (kept == 0 || p.length < points_[kept - 1].length) points_[kept++] = p;
    points_.resize(kept);
    while (points_.size() > kImpactPoints) merge_nearest();
    while (points_.size() < kImpactPoints) points_.push_back(points_.back());
  }

  const std::vector<Point>& points() const { return points_; }

 private:
  double factor(const Point& p) const { return p.tf / (p.tf + 0.3 + 0.9 * p.length / mean_); }

  void merge_nearest() {
    size_t best = 0;
    double least = 2;
    for (size_t i = 0; i + 1 < points_.size(); ++i) {
      const Point both{points_[i].tf, points_[i + 1].length};
      const double cost = factor(both) - std::max(factor(points_[i]), factor(points_[i + 1]));
      if (cost < least) least = cost, best = i;
    }
    points_[best].length = points_[best + 1].length;
    points_.erase(points_.begin() + ptrdiff_t(best) + 1);
  }

  std::vector<Point> points_;
  double mean_ = 1;
};

void append_entries(const Postings& p, size_t begin, size_t end, uint32_t before, std::string& out) {
  for (size_t i = begin; i < end; before = p.rows[i++]) {
    const uint64_t gap = p.rows[i] - before - 1;
    append_varint(out, gap << 1 | (p.tfs[i] > 1));
    if (p.tfs[i] > 1) append_varint(out, p.tfs[i] - 2);
  }
}

uint32_t bits_of(const uint32_t* values) {
  uint32_t all = 0;
  for (size_t i = 0; i < kBlockRows; ++i) all |= values[i];
  return uint32_t(std::bit_width(all));
}

// Returns the widths.
uint16_t append_packed(const Postings& p, size_t begin, uint32_t before, std::string& out) {
  uint32_t gaps[kBlockRows], tfs[kBlockRows];
  for (size_t i = 0; i < kBlockRows; ++i) {
    gaps[i] = p.rows[begin + i] - before - 1;
    before = p.rows[begin + i];
    tfs[i] = p.tfs[begin + i] - 1;
  }
  const uint32_t gap_bits = bits_of(gaps), tf_bits = bits_of(tfs);
  pack(gaps, gap_bits, out);
  pack(tfs, tf_bits, out);
  return uint16_t(gap_bits | tf_bits << 8);
}

void append_positions(const Postings& p, size_t begin, size_t end, size_t& at, std::string& out) {
  for (size_t i = begin; i < end; ++i) {
    uint32_t before = kBeforeFirst;
    for (uint32_t k = 0; k < p.tfs[i]; ++k, ++at) {
      append_varint(out, p.positions[at] - before - 1);
      before = p.positions[at];
    }
  }
}

// Trusts the bytes.
uint32_t next_varint(const char*& at) {
  uint32_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = uint8_t(*at++);
    value |= uint32_t(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

// As next_varint of a number of up to 33 bits.
uint64_t next_long_varint(const char*& at) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = uint8_t(*at++);
    value |= uint64_t(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

void decode_entries(std::string_view bytes, uint32_t before, size_t count, PostingsBlock& out) {
  const char* at = bytes.data();
  for (size_t i = 0; i < count; ++i) {
    const uint64_t entry = next_long_varint(at);
    out.rows[i] = before += uint32_t(entry >> 1) + 1;
    out.tfs[i] = (entry & 1) != 0 ? next_varint(at) + 2 : 1;
  }
  for (size_t i = count; i < kPaddedRows; ++i) out.rows[i] = out.tfs[i] = 0;
  out.has_tfs = true;
}

}  // namespace

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(char(value | 0x80));
  out.push_back(char(value));
}

bool read_varint(std::string_view bytes, size_t& at, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64 && at < bytes.size(); shift += 7) {
    const auto byte = uint8_t(bytes[at++]);
    value |= uint64_t(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

void encode_postings(const Postings& p, const uint32_t* lengths, std::string& record, std::string& positions) {
  const size_t n = p.rows.size(), blocks = (n + kBlockRows - 1) / kBlockRows, base = record.size(), positions_base = positions.size();
  size_t at = 0;
  if (n < kBlockRows) {
    append_entries(p, 0, n, kBeforeFirst, record);
    append_positions(p, 0, n, at, positions);
    return;
  }
  std::vector<uint32_t> numbers(blocks * kNumbersPerBlock);
  std::vector<uint16_t> widths(blocks);
  record.resize(base + blocks * kTableBytesPerBlock);
  for (size_t b = 0; b < blocks; ++b) {
    const size_t begin = b * kBlockRows, end = std::min(n, begin + kBlockRows);
    const uint32_t before = b == 0 ? kBeforeFirst : p.rows[begin - 1];
    numbers[b] = p.rows[end - 1];
    numbers[blocks + b] = uint32_t(record.size() - base);
    numbers[2 * blocks + b] = uint32_t(positions.size() - positions_base);
    const ImpactFront front(p, begin, end, lengths);
    for (size_t k = 0; k < kImpactPoints; ++k) numbers[(3 + k) * blocks + b] = impact_point(front.points()[k].tf, front.points()[k].length);
    if (end - begin == kBlockRows)
      widths[b] = append_packed(p, begin, before, record);
    else
      append_entries(p, begin, end, before, record);
    append_positions(p, begin, end, at, positions);
  }
  std::memcpy(record.data() + base, numbers.data(), numbers.size() * sizeof(uint32_t));
  std::memcpy(record.data() + base + numbers.size() * sizeof(uint32_t), widths.data(), widths.size() * sizeof(uint16_t));
}

PostingsReader::PostingsReader(uint32_t df, std::string_view record, std::string_view positions)
    : df_(df), blocks_((size_t(df) + kBlockRows - 1) / kBlockRows), record_(record), positions_(positions) {}

uint32_t PostingsReader::number(size_t index) const { return read_little<uint32_t>(record_, index * sizeof(uint32_t)); }

uint16_t PostingsReader::widths(size_t block) const {
  return read_little<uint16_t>(record_, blocks_ * kNumbersPerBlock * sizeof(uint32_t) + block * sizeof(uint16_t));
}

void PostingsReader::decode_rows(size_t block, PostingsBlock& out) const {
  out.count = count(block);
  const uint32_t before = block == 0 ? kBeforeFirst : last_row(block - 1);
  const std::string_view data = has_table() ? record_.substr(number(blocks_ + block)) : record_;
  if (!is_packed(block)) return decode_entries(data, before, out.count, out);
  text_kernels().unpack_rows(as_bytes(data), widths(block) & 0xff, before, out.rows);
  out.has_tfs = false;
}

void PostingsReader::decode_tfs(size_t block, PostingsBlock& out) const {
  if (out.has_tfs) return;
  const uint16_t bits = widths(block);
  const std::string_view data = record_.substr(number(blocks_ + block) + (bits & 0xff) * size_t(16));
  text_kernels().unpack(as_bytes(data), bits >> 8, out.tfs);
  for (size_t i = 0; i < kBlockRows; ++i) ++out.tfs[i];
  out.has_tfs = true;
}

void PostingsReader::read_positions(size_t block, const PostingsBlock& decoded, size_t index, std::vector<uint32_t>& out) const {
  const char* at = positions_.data() + (has_table() ? number(2 * blocks_ + block) : 0);
  for (size_t i = 0; i < index; ++i)
    for (uint32_t k = 0; k < decoded.tfs[i]; ++k) next_varint(at);
  uint32_t before = kBeforeFirst;
  for (uint32_t k = 0; k < decoded.tfs[index]; ++k) out.push_back(before += next_varint(at) + 1);
}

void PostingsReader::bounds(const TermWeight& weight, const uint32_t* lengths, float* out) const {
  if (has_table()) return text_kernels().bound(weight, as_bytes(record_) + 3 * blocks_ * sizeof(uint32_t), blocks_, out);
  PostingsBlock block;
  decode_rows(0, block);
  out[0] = 0;
  for (size_t i = 0; i < block.count; ++i)
    out[0] = std::max(out[0], term_score(weight, float(block.tfs[i]), float(lengths[block.rows[i]])));
}

void PostingsReader::decode_all(Postings& out, bool with_positions) const {
  PostingsBlock block;
  for (size_t b = 0; b < blocks_; ++b) {
    decode_rows(b, block);
    decode_tfs(b, block);
    out.rows.insert(out.rows.end(), block.rows, block.rows + block.count);
    out.tfs.insert(out.tfs.end(), block.tfs, block.tfs + block.count);
    if (!with_positions) continue;
    const char* at = positions_.data() + (has_table() ? number(2 * blocks_ + b) : 0);
    for (size_t i = 0; i < block.count; ++i) {
      uint32_t before = kBeforeFirst;
      for (uint32_t k = 0; k < block.tfs[i]; ++k) out.positions.push_back(before += next_varint(at) + 1);
    }
  }
}

namespace {

Error bad_postings(std::string_view why) { return corruption(fmt::format("postings: {}", why)); }

// Reads like decode_entries, but believes nothing.
Status check_entries(std::string_view bytes, size_t& at, uint32_t before, size_t count, PostingsBlock& out) {
  for (size_t i = 0; i < count; ++i) {
    uint64_t entry = 0, more = 0;
    if (!read_varint(bytes, at, entry) || entry >> 33 != 0) return bad_postings("cut short");
    if ((entry & 1) != 0 && (!read_varint(bytes, at, more) || more > UINT32_MAX - 2)) return bad_postings("cut short");
    out.rows[i] = before += uint32_t(entry >> 1) + 1;
    out.tfs[i] = (entry & 1) != 0 ? uint32_t(more) + 2 : 1;
  }
  return Ok{};
}

Status check_rows(const PostingsBlock& block, const uint32_t* lengths, uint32_t rows, Postings& out) {
  for (size_t i = 0; i < block.count; ++i) {
    const uint32_t row = block.rows[i];
    if (row >= rows || (!out.rows.empty() && row <= out.rows.back())) return bad_postings(fmt::format("row {} is out of order", row));
    if (block.tfs[i] == 0 || block.tfs[i] > lengths[row]) return bad_postings(fmt::format("row {} has an impossible count", row));
    out.rows.push_back(row);
    out.tfs.push_back(block.tfs[i]);
  }
  return Ok{};
}

Status check_positions(std::string_view bytes, Postings& out) {
  size_t at = 0;
  for (const uint32_t tf : out.tfs) {
    uint32_t before = kBeforeFirst;
    for (uint32_t k = 0; k < tf; ++k) {
      uint64_t gap = 0;
      if (!read_varint(bytes, at, gap) || gap > UINT32_MAX) return bad_postings("positions are cut short");
      const uint32_t position = before + uint32_t(gap) + 1;
      if (k > 0 && position <= before) return bad_postings("positions are out of order");
      out.positions.push_back(before = position);
    }
  }
  return at == bytes.size() ? Status(Ok{}) : Status(bad_postings("positions are too long"));
}

}  // namespace

// Decodes a block that must begin at `at`, and moves past it.
Status PostingsReader::check_block(size_t block, size_t& at, uint32_t before, PostingsBlock& out) const {
  out.count = count(block);
  if (has_table() && number(blocks_ + block) != at) return bad_postings("a block lies elsewhere");
  if (!is_packed(block)) return check_entries(record_, at, before, out.count, out);
  const size_t gap_bits = widths(block) & 0xff, tf_bits = widths(block) >> 8, size = 16 * (gap_bits + tf_bits);
  if (gap_bits > 32 || tf_bits > 32 || record_.size() - at < size) return bad_postings("a block is cut short");
  text_kernels().unpack_rows(as_bytes(record_.substr(at)), uint32_t(gap_bits), before, out.rows);
  out.has_tfs = false;
  decode_tfs(block, out);
  at += size;
  return Ok{};
}

Status PostingsReader::decode_checked(const uint32_t* lengths, uint32_t rows, Postings& out) const {
  if (df_ == 0 || df_ > rows) return bad_postings(fmt::format("{} rows of {}", df_, rows));
  size_t at = has_table() ? blocks_ * kTableBytesPerBlock : 0;
  if (record_.size() < at) return bad_postings("the table is cut short");
  PostingsBlock block;
  for (size_t b = 0; b < blocks_; ++b) {
    QUARRY_RETURN_IF_ERROR(check_block(b, at, out.rows.empty() ? kBeforeFirst : out.rows.back(), block));
    QUARRY_RETURN_IF_ERROR(check_rows(block, lengths, rows, out));
    if (has_table() && last_row(b) != out.rows.back()) return bad_postings("the table gives another last row");
  }
  return at == record_.size() ? Status(Ok{}) : Status(bad_postings("something follows the last block"));
}

Status PostingsReader::check_postings(const uint32_t* lengths, uint32_t rows) const {
  Postings all;
  return decode_checked(lengths, rows, all);
}

Status PostingsReader::check(const uint32_t* lengths, uint32_t rows, uint64_t& words) const {
  Postings all;
  QUARRY_RETURN_IF_ERROR(decode_checked(lengths, rows, all));
  QUARRY_RETURN_IF_ERROR(check_positions(positions_, all));
  std::string again, positions_again;
  encode_postings(all, lengths, again, positions_again);
  if (again != record_ || positions_again != positions_) return bad_postings("not as this program writes them");
  words += all.positions.size();
  return Ok{};
}

}  // namespace quarry::mvs
