#include "mvs/hot/word_index.h"

#include <arrow/api.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "model/text.h"

namespace quarry::mvs {
namespace {

constexpr size_t kMaxWords = size_t{1} << 25;

}  // namespace

class WordIndex::Builder {
 public:
  // False: too many words.
  bool add_row(std::string_view text) {
    for (std::string& word : fold_words(text)) {
      if (sequence_.size() == kMaxWords) return false;
      const auto ordinal = uint32_t(ordinals_.size());
      sequence_.push_back(ordinals_.try_emplace(std::move(word), ordinal).first->second);
    }
    end_row();
    return true;
  }
  void end_row() { row_ends_.push_back(sequence_.size()); }

  void write(WordIndex& out) {
    group_occurrences();
    std::vector<std::pair<std::string_view, uint32_t>> words(ordinals_.begin(), ordinals_.end());
    std::sort(words.begin(), words.end());
    const std::vector<uint32_t> lengths = lengths_of_rows();
    Postings postings;
    for (const auto& [text, ordinal] : words) {
      read_postings(ordinal, postings);
      encode_postings(postings, lengths.data(), out.postings_, out.positions_);
      out.texts_ += text;
      out.words_.push_back({out.texts_.size(), out.postings_.size(), out.positions_.size(), uint32_t(postings.rows.size())});
    }
    out.texts_.shrink_to_fit();
    out.postings_.shrink_to_fit();
    out.positions_.shrink_to_fit();
    out.words_.shrink_to_fit();
  }

 private:
  struct Occurrence {
    uint32_t row, position;
  };

  std::vector<uint32_t> lengths_of_rows() const {
    std::vector<uint32_t> out(row_ends_.size());
    for (size_t row = 0; row < out.size(); ++row) out[row] = uint32_t(row_ends_[row] - (row == 0 ? 0 : row_ends_[row - 1]));
    return out;
  }

  // Occurrences by word, in reading order: a counting sort.
  void group_occurrences() {
    starts_.assign(ordinals_.size() + 1, 0);
    for (const uint32_t ordinal : sequence_) ++starts_[ordinal + 1];
    std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
    occurrences_.resize(sequence_.size());
    std::vector<uint32_t> next(starts_.begin(), starts_.end() - 1);
    size_t at = 0;
    for (uint32_t row = 0; row < row_ends_.size(); ++row)
      for (const size_t begin = at; at < row_ends_[row]; ++at) occurrences_[next[sequence_[at]]++] = {row, uint32_t(at - begin)};
  }

  void read_postings(uint32_t ordinal, Postings& out) const {
    out.clear();
    for (uint32_t i = starts_[ordinal]; i < starts_[ordinal + 1]; ++i) {
      const auto& [row, position] = occurrences_[i];
      if (out.rows.empty() || out.rows.back() != row) {
        out.rows.push_back(row);
        out.tfs.push_back(0);
      }
      ++out.tfs.back();
      out.positions.push_back(position);
    }
  }

  std::unordered_map<std::string, uint32_t> ordinals_;
  std::vector<uint32_t> sequence_;  // ordinals in reading order
  std::vector<size_t> row_ends_;    // in sequence_
  std::vector<uint32_t> starts_;    // by ordinal, in occurrences_
  std::vector<Occurrence> occurrences_;
};

namespace {

void add_rows_of(const PostingsReader& postings, Bitmap& out) {
  PostingsBlock block;
  for (size_t b = 0; b < postings.blocks(); ++b) {
    postings.decode_rows(b, block);
    for (size_t i = 0; i < block.count; ++i) out.set(block.rows[i]);
  }
}

void add_rows_with_all(std::span<const PostingsReader> words, Bitmap& out) {
  Bitmap all(out.size());
  add_rows_of(words[0], all);
  for (const PostingsReader& word : words.subspan(1)) {
    Bitmap some(out.size());
    add_rows_of(word, some);
    all &= some;
  }
  out |= all;
}

struct Place {
  uint32_t row, position;
  bool operator<(const Place& other) const { return row != other.row ? row < other.row : position < other.position; }
};

// Where a text must begin for the word to stand `offset` words behind, ascending.
std::vector<Place> beginnings(const PostingsReader& word, uint32_t offset) {
  Postings all;
  word.decode_all(all, true);
  std::vector<Place> out;
  size_t at = 0;
  for (size_t i = 0; i < all.rows.size(); ++i)
    for (const size_t end = at + all.tfs[i]; at < end; ++at)
      if (all.positions[at] >= offset) out.push_back({all.rows[i], all.positions[at] - offset});
  return out;
}

void add_rows_with_phrase(std::span<const PostingsReader> words, Bitmap& out) {
  std::vector<Place> common = beginnings(words[0], 0), both;
  for (size_t w = 1; w < words.size() && !common.empty(); ++w) {
    const std::vector<Place> others = beginnings(words[w], uint32_t(w));
    both.clear();
    std::set_intersection(common.begin(), common.end(), others.begin(), others.end(), std::back_inserter(both));
    common.swap(both);
  }
  for (const Place& place : common) out.set(place.row);
}

}  // namespace

std::unique_ptr<const WordIndex> WordIndex::make(const RowBlock& block, int column) {
  const auto& texts = static_cast<const arrow::StringArray&>(*block.array(column));
  std::unique_ptr<WordIndex> out(new WordIndex);
  out->valid_ = Bitmap(block.rows());
  Builder builder;
  for (size_t row = 0; row < block.rows(); ++row) {
    if (texts.IsNull(int64_t(row))) {
      builder.end_row();
      continue;
    }
    out->valid_.set(row);
    if (!builder.add_row(texts.GetView(int64_t(row)))) return nullptr;
  }
  builder.write(*out);
  return out;
}

std::string_view WordIndex::text(size_t word) const {
  const size_t begin = word == 0 ? 0 : words_[word - 1].text_end;
  return std::string_view(texts_).substr(begin, words_[word].text_end - begin);
}

std::optional<PostingsReader> WordIndex::find(std::string_view word) const {
  const auto is_before = [&](const Word& w) { return text(size_t(&w - words_.data())) < word; };
  const auto at = std::partition_point(words_.begin(), words_.end(), is_before);
  const auto i = size_t(at - words_.begin());
  if (at == words_.end() || text(i) != word) return std::nullopt;
  const Word before = i == 0 ? Word{} : words_[i - 1];
  const auto part = [](std::string_view bytes, uint64_t begin, uint64_t end) { return bytes.substr(begin, end - begin); };
  return PostingsReader(at->rows, part(postings_, before.postings_end, at->postings_end),
                        part(positions_, before.positions_end, at->positions_end));
}

void WordIndex::add_rows(FilterOp op, std::span<const std::string> words, Bitmap& out) const {
  std::vector<PostingsReader> found;
  for (const std::string& word : words)
    if (const auto postings = find(word))
      found.push_back(*postings);
    else if (op != FilterOp::kWords)
      return;
  if (op == FilterOp::kWords)
    for (const PostingsReader& word : found) add_rows_of(word, out);
  else if (op == FilterOp::kPhrase && found.size() > 1)
    add_rows_with_phrase(found, out);
  else
    add_rows_with_all(found, out);
}

uint64_t WordIndex::memory_bytes() const {
  return valid_.memory_bytes() + texts_.capacity() + postings_.capacity() + positions_.capacity() + words_.capacity() * sizeof(Word);
}

}  // namespace quarry::mvs
