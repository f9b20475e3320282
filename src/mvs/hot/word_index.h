// Which rows of a column of texts hold a word, and where: conditions on words cost the postings of theirs, not a look at every text.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/filter.h"
#include "mvs/text/postings.h"
#include "mvs/warm/deletion_vector.h"
#include "mvs/warm/row_block.h"

namespace quarry::mvs {

// Immutable; thread-safe. Its words are those of fold_words(), which say what a filter means; those of text search are stemmed and cut.
class WordIndex {
 public:
  // Of a column of texts that the block has; takes as long as cutting them into words, and 12 bytes a word meanwhile.
  // nullptr: more than 2^25 words, whose conditions look at every text.
  static std::unique_ptr<const WordIndex> make(const RowBlock& block, int column);

  const Bitmap& valid() const { return valid_; }  // rows that are not null
  // Sets the rows whose text matches, in `out`, which has a bit per row. `op` is text, words or phrase; at least one word.
  void add_rows(FilterOp op, std::span<const std::string> words, Bitmap& out) const;
  uint64_t memory_bytes() const;

 private:
  class Builder;
  struct Word {
    uint64_t text_end = 0, postings_end = 0, positions_end = 0;
    uint32_t rows = 0;  // that have it
  };

  WordIndex() = default;
  std::string_view text(size_t word) const;
  std::optional<PostingsReader> find(std::string_view word) const;

  Bitmap valid_;
  std::string texts_, postings_, positions_;  // of the words one after another
  std::vector<Word> words_;                   // ascending by their bytes
};

}  // namespace quarry::mvs
