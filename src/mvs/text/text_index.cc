#include "mvs/text/text_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/hash.h"
#include "mvs/text/analyzer.h"
#include "mvs/text/index_layout.h"

namespace quarry::mvs {
namespace {

Error bad_index(std::string_view name, size_t offset, std::string_view why) {
  return corruption(fmt::format("text index {} at offset {}: {}", name, offset, why));
}

TextIndex::Header parse_header(std::string_view bytes) {
  using namespace text_layout;
  TextIndex::Header h;
  h.rows = read_little<uint32_t>(bytes, kRowsAt);
  h.documents = read_little<uint32_t>(bytes, kDocumentsAt);
  h.words = read_little<uint64_t>(bytes, kWordsAt);
  h.terms = read_little<uint32_t>(bytes, kTermsAt);
  h.dictionary_blocks = read_little<uint32_t>(bytes, kBlocksAt);
  size_t at = kSectionsAt;
  for (auto* section : {&h.lengths, &h.postings, &h.positions, &h.dictionary, &h.keys, &h.checksums}) {
    section->offset = read_little<uint64_t>(bytes, at);
    section->size = read_little<uint64_t>(bytes, at + 8);
    at += 16;
  }
  return h;
}

Status check_checksums(std::string_view bytes, std::string_view sums, std::string_view name) {
  using namespace text_layout;
  const size_t covered = bytes.size() - sums.size(), pages = (covered + kPageBytes - 1) / kPageBytes;
  if (sums.size() != (pages + 1) * sizeof(uint32_t)) return bad_index(name, covered, "its checksums are too few or too many");
  if (crc32c(sums.substr(0, pages * sizeof(uint32_t))) != read_little<uint32_t>(sums, pages * sizeof(uint32_t)))
    return bad_index(name, covered, "the checksums' checksum differs");
  for (size_t p = 0; p < pages; ++p)
    if (crc32c(bytes.substr(p * kPageBytes, std::min(kPageBytes, covered - p * kPageBytes))) != read_little<uint32_t>(sums, p * 4))
      return bad_index(name, p * kPageBytes, "the page's checksum differs");
  return Ok{};
}

}  // namespace

Result<std::shared_ptr<const TextIndex>> TextIndex::open(std::string bytes, std::string_view name) {
  std::shared_ptr<TextIndex> index(new TextIndex(std::move(bytes)));
  QUARRY_RETURN_IF_ERROR(index->check(name, Extent::kWhole));
  return std::shared_ptr<const TextIndex>(std::move(index));
}

Result<std::shared_ptr<const TextIndex>> TextIndex::open_parts(std::shared_ptr<const void> owner, std::string_view bytes,
                                                               std::string_view name) {
  std::shared_ptr<TextIndex> index(new TextIndex(std::move(owner), bytes));
  QUARRY_RETURN_IF_ERROR(index->check(name, Extent::kParts));
  return std::shared_ptr<const TextIndex>(std::move(index));
}

std::shared_ptr<const TextIndex> TextIndex::trusted(std::string bytes) {
  std::shared_ptr<TextIndex> index(new TextIndex(std::move(bytes)));
  index->bind();
  return index;
}

TextIndex::TextIndex(std::string bytes) : owner_(std::make_shared<const std::string>(std::move(bytes))) {
  const auto& own = *static_cast<const std::string*>(owner_.get());
  bytes_ = own;
  memory_bytes_ = own.capacity();
}

void TextIndex::bind() {
  using namespace text_layout;
  header_ = parse_header(bytes_);
  language_ = std::string(bytes_.data() + kLanguageAt, strnlen(bytes_.data() + kLanguageAt, kLanguageBytes));
  lengths_ = reinterpret_cast<const uint32_t*>(bytes_.data() + header_.lengths.offset);
}

Result<TextIndex::Header> TextIndex::read_header(std::string_view bytes, uint64_t size, std::string_view name) {
  using namespace text_layout;
  if (bytes.size() < kHeaderBytes || read_little<uint32_t>(bytes, 0) != kMagic) return bad_index(name, 0, "not a text index");
  if (crc32c(bytes.substr(0, kHeaderCrcAt)) != read_little<uint32_t>(bytes, kHeaderCrcAt))
    return bad_index(name, 0, "the header's checksum differs");
  const auto format = read_little<uint16_t>(bytes, kFormatAt), analysis = read_little<uint16_t>(bytes, kAnalysisAt);
  if (format != kFormatVersion || analysis != kAnalysisVersion)
    return storage_error(fmt::format("text index {} has format {} and analysis {}, not {} and {}: it must be built again", name, format,
                                     analysis, kFormatVersion, kAnalysisVersion));
  const Header h = parse_header(bytes);
  uint64_t at = kHeaderBytes;
  for (const auto* s : {&h.lengths, &h.postings, &h.positions, &h.dictionary, &h.keys, &h.checksums}) {
    if (s->offset != at || s->size > size - at) return bad_index(name, kSectionsAt, "a section lies outside the file");
    at += s->size;
  }
  if (at != size) return bad_index(name, at, "something follows the last section");
  if (h.lengths.size != uint64_t(h.rows) * sizeof(uint32_t)) return bad_index(name, kRowsAt, "lengths of other rows");
  if (h.dictionary_blocks != (uint64_t(h.terms) + kTermsPerBlock - 1) / kTermsPerBlock)
    return bad_index(name, kBlocksAt, "impossible number of dictionary blocks");
  return h;
}

Status TextIndex::check(std::string_view name, Extent extent) {
  using namespace text_layout;
  QUARRY_ASSIGN_OR_RETURN(header_, read_header(bytes_, bytes_.size(), name));
  bind();
  if (extent == Extent::kWhole) QUARRY_RETURN_IF_ERROR(check_checksums(bytes_, section(header_.checksums), name));
  if (!Analyzer::make(language_).ok()) return bad_index(name, kLanguageAt, "unknown language");
  QUARRY_RETURN_IF_ERROR(check_keys(name));
  QUARRY_RETURN_IF_ERROR(check_lengths(name));
  return check_dictionary(name, extent);
}

Status TextIndex::check_keys(std::string_view name) const {
  using namespace text_layout;
  const std::string_view keys = section(header_.keys);
  if (keys.size() / kKeyBytes < header_.dictionary_blocks) return bad_index(name, header_.keys.offset, "too few keys");
  uint32_t before[2] = {0, uint32_t(header_.dictionary_blocks * kKeyBytes)};
  for (size_t b = 0; b < header_.dictionary_blocks; ++b) {
    const auto block = read_little<uint32_t>(keys, b * kKeyBytes), key = read_little<uint32_t>(keys, b * kKeyBytes + 4);
    if (block < before[0] || block > header_.dictionary.size || key < before[1] || key > keys.size())
      return bad_index(name, header_.keys.offset + b * kKeyBytes, "a key is out of order");
    before[0] = block;
    before[1] = key;
  }
  return Ok{};
}

Status TextIndex::check_lengths(std::string_view name) const {
  uint32_t documents = 0;
  uint64_t words = 0;
  for (size_t row = 0; row < header_.rows; ++row) {
    documents += lengths_[row] > 0;
    words += lengths_[row];
    if (lengths_[row] > kMaxWordsPerText) return bad_index(name, header_.lengths.offset + row * 4, "impossible length");
  }
  if (documents != header_.documents || words != header_.words)
    return bad_index(name, header_.lengths.offset, "the lengths add up otherwise");
  return Ok{};
}

Status TextIndex::check_dictionary(std::string_view name, Extent extent) const {
  TermCursor cursor(*this, 0);
  std::string before;
  uint64_t postings_end = 0, positions_end = 0, counted = 0;
  for (uint32_t ordinal = 0; ordinal < header_.terms; ++ordinal) {
    if (!cursor.next()) return bad_index(name, header_.dictionary.offset, fmt::format("term {} does not parse", ordinal));
    if (ordinal > 0 && cursor.term() <= before)
      return bad_index(name, header_.dictionary.offset, fmt::format("term {} is out of order", ordinal));
    if (ordinal % text_layout::kTermsPerBlock == 0 && first_term(ordinal / text_layout::kTermsPerBlock) != cursor.term())
      return bad_index(name, header_.keys.offset, fmt::format("the key of term {} is another", ordinal));
    before = cursor.term();
    if (!cursor.follows(postings_end, positions_end))
      return bad_index(name, header_.postings.offset + postings_end, fmt::format("the postings of term {} lie elsewhere", ordinal));
    const PostingsReader postings = cursor.entry().postings;
    if (extent == Extent::kWhole)
      if (auto s = postings.check(lengths_, header_.rows, counted); !s.ok())
        return bad_index(name, header_.postings.offset + postings_end, s.error().message);
    cursor.ends(postings_end, positions_end);
  }
  const bool counts_all = extent == Extent::kParts || counted == header_.words;
  if (!cursor.at_end() || postings_end != header_.postings.size || positions_end != header_.positions.size || !counts_all)
    return bad_index(name, header_.dictionary.offset, "the terms do not cover their sections");
  return Ok{};
}

std::string_view TextIndex::first_term(size_t block) const {
  using namespace text_layout;
  const std::string_view keys = section(header_.keys);
  const auto begin = read_little<uint32_t>(keys, block * kKeyBytes + 4);
  const size_t end = block + 1 < header_.dictionary_blocks ? read_little<uint32_t>(keys, (block + 1) * kKeyBytes + 4) : keys.size();
  return keys.substr(begin, end - begin);
}

size_t TextIndex::block_of(std::string_view term) const {
  size_t low = 0, high = header_.dictionary_blocks;
  while (low + 1 < high) {
    const size_t middle = (low + high) / 2;
    (first_term(middle) <= term ? low : high) = middle;
  }
  return low;
}

std::optional<TextTerm> TextIndex::find(std::string_view term) const {
  TermCursor cursor(*this, block_of(term));
  for (size_t i = 0; i < text_layout::kTermsPerBlock && cursor.next(); ++i) {
    if (cursor.term() == term) return cursor.entry();
    if (cursor.term() > term) break;
  }
  return std::nullopt;
}

bool TextIndex::TermCursor::enter_block() {
  using namespace text_layout;
  const std::string_view keys = index_.section(index_.header_.keys);
  at_ = read_little<uint32_t>(keys, next_block_ * kKeyBytes);
  const size_t blocks = index_.header_.dictionary_blocks;
  block_end_ = next_block_ + 1 < blocks ? read_little<uint32_t>(keys, (next_block_ + 1) * kKeyBytes) : index_.header_.dictionary.size;
  ordinal_ = uint32_t(next_block_ * kTermsPerBlock);
  in_block_ = std::min<size_t>(kTermsPerBlock, index_.header_.terms - ordinal_);
  if (block_end_ < at_ || block_end_ - at_ < 16) return false;
  const std::string_view dictionary = index_.section(index_.header_.dictionary);
  postings_at_ = read_little<uint64_t>(dictionary, at_);
  positions_at_ = read_little<uint64_t>(dictionary, at_ + 8);
  postings_size_ = positions_size_ = 0;
  at_ += 16;
  ++next_block_;
  term_.clear();
  return true;
}

bool TextIndex::TermCursor::next() {
  if (in_block_ == 0) {
    if (next_block_ >= index_.header_.dictionary_blocks || at_ != block_end_ || !enter_block()) return false;
  } else {
    ++ordinal_;
  }
  --in_block_;
  postings_at_ += postings_size_;
  positions_at_ += positions_size_;
  const std::string_view dictionary = index_.section(index_.header_.dictionary).substr(0, block_end_);
  uint64_t shared = 0, fresh = 0, df = 0;
  if (!read_varint(dictionary, at_, shared) || !read_varint(dictionary, at_, fresh) || shared > term_.size() || fresh > kMaxTermBytes ||
      fresh > dictionary.size() - at_)
    return false;
  term_.resize(shared);
  term_ += dictionary.substr(at_, fresh);
  at_ += fresh;
  if (!read_varint(dictionary, at_, df) || !read_varint(dictionary, at_, postings_size_) || !read_varint(dictionary, at_, positions_size_))
    return false;
  df_ = uint32_t(df);
  const auto inside = [](uint64_t at, uint64_t size, const Section& s) { return at <= s.size && size <= s.size - at; };
  return df <= index_.header_.rows && inside(postings_at_, postings_size_, index_.header_.postings) &&
         inside(positions_at_, positions_size_, index_.header_.positions);
}

bool TextIndex::TermCursor::at_end() const {
  return in_block_ == 0 && next_block_ >= index_.header_.dictionary_blocks && at_ == block_end_;
}

TextTerm TextIndex::TermCursor::entry() const {
  return {ordinal_, PostingsReader(df_, index_.section(index_.header_.postings).substr(postings_at_, postings_size_),
                                   index_.section(index_.header_.positions).substr(positions_at_, positions_size_))};
}

}  // namespace quarry::mvs
