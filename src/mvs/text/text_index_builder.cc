#include "mvs/text/text_index_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/hash.h"
#include "mvs/text/index_layout.h"
#include "mvs/text/word_breaker.h"

namespace quarry::mvs {

size_t TermStream::Hash::operator()(std::string_view s) const { return size_t(hash64(s)); }

void TermStream::begin_row() {
  row_ends_.push_back(sequence_.size());
  lengths_.push_back(0);
}

uint32_t TermStream::ordinal_of(std::string_view word) {
  if (const auto known = word_ordinals_.find(word); known != word_ordinals_.end()) return known->second;
  const std::string_view term = analyzer_.stem(word);
  auto it = term_ordinals_.find(term);
  if (it == term_ordinals_.end()) it = term_ordinals_.emplace(std::string(term), uint32_t(term_ordinals_.size())).first;
  word_ordinals_.emplace(std::string(word), it->second);
  return it->second;
}

void TermStream::add(std::string_view text) {
  WordBreaker words(text);
  std::string_view word;
  if (lengths_.back() > 0) sequence_.push_back(kGap);
  while (lengths_.back() < kMaxWordsPerText && words.next(word)) {
    sequence_.push_back(ordinal_of(word));
    ++lengths_.back();
  }
  row_ends_.back() = sequence_.size();
}

namespace {

template <class T>
void put_number(std::string& bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

size_t shared_prefix(std::string_view a, std::string_view b) {
  return size_t(std::mismatch(a.begin(), a.begin() + ptrdiff_t(std::min(a.size(), b.size())), b.begin()).first - a.begin());
}

// Terms in ascending order with what their records take.
class DictionaryWriter {
 public:
  explicit DictionaryWriter(uint32_t terms) {
    keys_.resize((terms + text_layout::kTermsPerBlock - 1) / text_layout::kTermsPerBlock * text_layout::kKeyBytes);
  }

  void add(std::string_view term, uint32_t df, uint64_t postings_at, uint64_t postings_size, uint64_t positions_at,
           uint64_t positions_size) {
    if (count_ % text_layout::kTermsPerBlock == 0) {
      const size_t at = count_ / text_layout::kTermsPerBlock * text_layout::kKeyBytes;
      put_number(keys_, at, uint32_t(dictionary_.size()));
      put_number(keys_, at + 4, uint32_t(keys_.size()));
      keys_ += term;
      append_little(dictionary_, postings_at);
      append_little(dictionary_, positions_at);
      before_.clear();
    }
    const size_t shared = shared_prefix(term, before_);
    append_varint(dictionary_, shared);
    append_varint(dictionary_, term.size() - shared);
    dictionary_ += term.substr(shared);
    append_varint(dictionary_, df);
    append_varint(dictionary_, postings_size);
    append_varint(dictionary_, positions_size);
    before_ = term;
    ++count_;
  }

  const std::string& dictionary() const { return dictionary_; }
  const std::string& keys() const { return keys_; }

 private:
  uint32_t count_ = 0;
  std::string dictionary_, keys_, before_;
};

}  // namespace

class TextIndexBuilder {
 public:
  explicit TextIndexBuilder(std::span<TermStream> streams) : streams_(streams) {}

  Result<std::string> build(const Analyzer& analyzer) {
    QUARRY_RETURN_IF_ERROR(join_rows());
    join_terms();
    group_occurrences();
    write_records();
    return finish(analyzer);
  }

 private:
  Status join_rows() {
    uint64_t rows = 0, places = 0;
    for (const auto& s : streams_) rows += s.row_ends_.size(), places += s.sequence_.size();
    if (rows >= UINT32_MAX || places >= UINT32_MAX)
      return Error(ErrorKind::kPayloadTooLarge, fmt::format("a text index of {} rows and {} words is too large", rows, places));
    row_starts_.reserve(rows + 1);
    lengths_.reserve(rows);
    uint32_t base = 0;
    for (const auto& s : streams_) {
      size_t start = 0;
      for (size_t row = 0; row < s.row_ends_.size(); start = s.row_ends_[row++]) row_starts_.push_back(base + uint32_t(start));
      lengths_.insert(lengths_.end(), s.lengths_.begin(), s.lengths_.end());
      base += uint32_t(s.sequence_.size());
    }
    row_starts_.push_back(base);
    return Ok{};
  }

  // All streams' terms in one order; sequences speak of that.
  void join_terms() {
    for (auto& s : streams_)
      for (const auto& [term, ordinal] : s.term_ordinals_) terms_.push_back(term);
    std::sort(terms_.begin(), terms_.end());
    terms_.erase(std::unique(terms_.begin(), terms_.end()), terms_.end());
    for (auto& s : streams_) {
      std::vector<uint32_t> global(s.term_ordinals_.size());
      for (const auto& [term, ordinal] : s.term_ordinals_)
        global[ordinal] = uint32_t(std::lower_bound(terms_.begin(), terms_.end(), term) - terms_.begin());
      for (auto& ordinal : s.sequence_)
        if (ordinal != TermStream::kGap) ordinal = global[ordinal];
      s.word_ordinals_ = {};
    }
  }

  // Sorts the places of all words by term, and within one by place, by counting.
  void group_occurrences() {
    term_starts_.assign(terms_.size() + 1, 0);
    for (const auto& s : streams_)
      for (const uint32_t ordinal : s.sequence_)
        if (ordinal != TermStream::kGap) ++term_starts_[ordinal + 1];
    for (size_t t = 0; t < terms_.size(); ++t) term_starts_[t + 1] += term_starts_[t];
    occurrences_.resize(term_starts_.back());
    std::vector<size_t> next(term_starts_.begin(), term_starts_.end() - 1);
    uint32_t place = 0;
    for (auto& s : streams_) {
      for (const uint32_t ordinal : s.sequence_) {
        if (ordinal != TermStream::kGap) occurrences_[next[ordinal]++] = place;
        ++place;
      }
      s.sequence_ = {};
    }
  }

  // The row of a place, `row` or a later one.
  uint32_t row_of(uint32_t place, uint32_t row) const {
    if (place < row_starts_[row + 1]) return row;
    size_t step = 1, low = row + 1;
    while (low + step < row_starts_.size() && row_starts_[low + step] <= place) low += step, step *= 2;
    const auto end = row_starts_.begin() + ptrdiff_t(std::min(low + step, row_starts_.size()));
    return uint32_t(std::upper_bound(row_starts_.begin() + ptrdiff_t(low), end, place) - row_starts_.begin() - 1);
  }

  void postings_of(size_t term, Postings& out) const {
    out.clear();
    uint32_t row = 0;
    for (size_t i = term_starts_[term]; i < term_starts_[term + 1]; ++i) {
      row = row_of(occurrences_[i], row);
      if (out.rows.empty() || out.rows.back() != row) {
        out.rows.push_back(row);
        out.tfs.push_back(0);
      }
      ++out.tfs.back();
      out.positions.push_back(occurrences_[i] - row_starts_[row]);
    }
  }

  void write_records() {
    dictionary_.emplace(uint32_t(terms_.size()));
    Postings postings;
    for (size_t t = 0; t < terms_.size(); ++t) {
      postings_of(t, postings);
      const size_t postings_at = postings_.size(), positions_at = positions_.size();
      encode_postings(postings, lengths_.data(), postings_, positions_);
      dictionary_->add(terms_[t], uint32_t(postings.rows.size()), postings_at, postings_.size() - postings_at, positions_at,
                       positions_.size() - positions_at);
    }
  }

  std::string finish(const Analyzer& analyzer) const {
    using namespace text_layout;
    std::string out(kHeaderBytes, '\0');
    put_number(out, 0, kMagic);
    put_number(out, kFormatAt, kFormatVersion);
    put_number(out, kAnalysisAt, kAnalysisVersion);
    put_number(out, kRowsAt, uint32_t(lengths_.size()));
    put_number(out, kDocumentsAt, uint32_t(std::count_if(lengths_.begin(), lengths_.end(), [](uint32_t n) { return n > 0; })));
    put_number(out, kWordsAt, uint64_t(occurrences_.size()));
    put_number(out, kTermsAt, uint32_t(terms_.size()));
    put_number(out, kBlocksAt, uint32_t((terms_.size() + kTermsPerBlock - 1) / kTermsPerBlock));
    std::memcpy(out.data() + kLanguageAt, analyzer.language().data(), std::min(analyzer.language().size(), kLanguageBytes));
    const std::string_view lengths(reinterpret_cast<const char*>(lengths_.data()), lengths_.size() * sizeof(uint32_t));
    out.reserve(kHeaderBytes + lengths.size() + postings_.size() + positions_.size() + dictionary_->dictionary().size() +
                dictionary_->keys().size() + (postings_.size() + positions_.size()) / 1000);
    size_t at = kSectionsAt;
    const auto note_section = [&](size_t size) {
      put_number(out, at, uint64_t(out.size()));
      put_number(out, at + 8, uint64_t(size));
      at += 16;
    };
    for (const std::string_view section : {lengths, std::string_view(postings_), std::string_view(positions_),
                                           std::string_view(dictionary_->dictionary()), std::string_view(dictionary_->keys())}) {
      note_section(section.size());
      out += section;
    }
    const size_t covered = out.size(), pages = (covered + kPageBytes - 1) / kPageBytes;
    note_section((pages + 1) * sizeof(uint32_t));
    put_number(out, kHeaderCrcAt, crc32c(std::string_view(out).substr(0, kHeaderCrcAt)));
    for (size_t p = 0; p < pages; ++p)
      append_little(out, crc32c(std::string_view(out).substr(p * kPageBytes, std::min(kPageBytes, covered - p * kPageBytes))));
    append_little(out, crc32c(std::string_view(out).substr(covered)));
    return out;
  }

  const std::span<TermStream> streams_;
  std::vector<uint32_t> row_starts_;  // places count from 0 over all streams; one more than rows
  std::vector<uint32_t> lengths_;
  std::vector<std::string_view> terms_;
  std::vector<size_t> term_starts_;  // in occurrences_
  std::vector<uint32_t> occurrences_;
  std::string postings_, positions_;
  std::optional<DictionaryWriter> dictionary_;
};

Result<std::string> build_text_index(std::span<TermStream> streams, const Analyzer& analyzer) {
  return TextIndexBuilder(streams).build(analyzer);
}

}  // namespace quarry::mvs
