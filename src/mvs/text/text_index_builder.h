// Builds the inverted index of one field. Cutting texts into terms is most of the work and splits by rows: each thread fills a TermStream.
#pragma once

#include <span>
#include <unordered_map>

#include "mvs/text/analyzer.h"
#include "mvs/text/text_index.h"

namespace quarry::mvs {

// The terms of consecutive rows in reading order. Used by one thread at a time.
class TermStream {
 public:
  explicit TermStream(Analyzer analyzer) : analyzer_(std::move(analyzer)) {}

  void begin_row();
  // A text of the row; a row may have several, which no phrase spans.
  void add(std::string_view text);

 private:
  friend class TextIndexBuilder;
  static constexpr uint32_t kGap = UINT32_MAX;

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const;
  };
  using Ordinals = std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>>;

  uint32_t ordinal_of(std::string_view word);

  Analyzer analyzer_;
  Ordinals word_ordinals_, term_ordinals_;  // a word is stemmed once
  std::vector<uint32_t> sequence_;          // ordinals of terms; kGap parts the texts of a row
  std::vector<size_t> row_ends_;            // in sequence_
  std::vector<uint32_t> lengths_;           // words of each row
};

// The index of the streams' rows one after another; the same bytes however rows are split among streams. Empties the streams.
// kPayloadTooLarge past 2^32 - 1 rows or words.
Result<std::string> build_text_index(std::span<TermStream> streams, const Analyzer& analyzer);

}  // namespace quarry::mvs
