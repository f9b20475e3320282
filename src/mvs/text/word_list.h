// One word of the query in one field of one segment: a cursor over its postings that knows how much each block can score.
#pragma once

#include <vector>

#include "mvs/text/postings.h"

namespace quarry::mvs {

// Not thread-safe. Moves forward only, but for rewind(). The postings and lengths outlive it.
class WordList {
 public:
  WordList(size_t word, size_t field, PostingsReader postings, const uint32_t* lengths, const TermWeight& weight);

  size_t word() const { return word_; }
  size_t field() const { return field_; }
  uint32_t df() const { return postings_.df(); }

  // Makes the rows [begin, end) the window: no window begins before an earlier one's end. False if the list has no row there.
  bool enter(uint32_t begin, uint32_t end);
  // Upper bound of a score in the window, and how many postings its blocks hold.
  float window_bound() const { return window_bound_; }
  size_t window_postings() const { return window_postings_; }

  // Calls visit(rows, scores, count) for each block that overlaps the window and may hold a score of at least `least`: all its rows are
  // given, also those outside the window.
  template <class Visit>
  void for_each_block(float least, Visit&& visit) {
    for (size_t b = window_block_; b < window_end_; ++b) {
      if (bounds_[b] < least) continue;
      score_block(b);
      visit(decoded_.rows, scores_.data(), decoded_.count);
    }
  }

  // Rows in the window, ascending. An upper bound of the row's score; then the score, 0 if the row does not have the word.
  float bound_at(uint32_t row) {
    while (block_ < window_end_ && postings_.last_row(block_) < row) ++block_;
    return block_ < window_end_ ? bounds_[block_] : 0;
  }
  float score_at(uint32_t row);  // after bound_at(row)
  // Back to the window's first row.
  void rewind() { block_ = window_block_; }
  // The word's places in a row that has it; after rewind(), rows ascending.
  void read_positions(uint32_t row, std::vector<uint32_t>& out);

 private:
  void decode(size_t block);
  void score_block(size_t block);
  size_t find(uint32_t row);  // its index in the decoded block; count if absent

  size_t word_, field_;
  PostingsReader postings_;
  const uint32_t* lengths_;
  TermWeight weight_;
  std::vector<float> bounds_;  // by block
  size_t window_block_ = 0, window_end_ = 0, block_ = 0;
  float window_bound_ = 0;
  size_t window_postings_ = 0;
  PostingsBlock decoded_;
  size_t decoded_block_ = SIZE_MAX, scored_block_ = SIZE_MAX;
  std::vector<float> scores_;
};

}  // namespace quarry::mvs
