#include "mvs/text/word_list.h"

#include <algorithm>

namespace quarry::mvs {

WordList::WordList(size_t word, size_t field, PostingsReader postings, const uint32_t* lengths, const TermWeight& weight)
    : word_(word),
      field_(field),
      postings_(postings),
      lengths_(lengths),
      weight_(weight),
      bounds_(postings.blocks() + 16),
      scores_(kPaddedRows) {
  postings_.bounds(weight_, lengths_, bounds_.data());
}

bool WordList::enter(uint32_t begin, uint32_t end) {
  const size_t blocks = postings_.blocks();
  block_ = window_block_;
  while (block_ < blocks && postings_.last_row(block_) < begin) ++block_;
  window_block_ = window_end_ = block_;
  window_bound_ = 0;
  window_postings_ = 0;
  while (window_end_ < blocks && (window_end_ == 0 || postings_.last_row(window_end_ - 1) + 1 < end)) {
    window_bound_ = std::max(window_bound_, bounds_[window_end_]);
    window_postings_ += postings_.count(window_end_);
    ++window_end_;
  }
  if (blocks > 1 || window_end_ == window_block_) return window_end_ > window_block_;
  decode(0);  // a single block may lie anywhere
  const uint32_t* first = std::lower_bound(decoded_.rows, decoded_.rows + decoded_.count, begin);
  return first != decoded_.rows + decoded_.count && *first < end;
}

void WordList::decode(size_t block) {
  if (decoded_block_ == block) return;
  postings_.decode_rows(block, decoded_);
  decoded_block_ = block;
}

void WordList::score_block(size_t block) {
  decode(block);
  if (scored_block_ == block) return;
  postings_.decode_tfs(block, decoded_);
  text_kernels().score(weight_, decoded_.rows, decoded_.tfs, decoded_.count, lengths_, scores_.data());
  scored_block_ = block;
}

// Branch-free: the search's outcome is not predictable.
size_t WordList::find(uint32_t row) {
  size_t low = 0;
  for (size_t step = kBlockRows / 2; step > 0; step /= 2) {
    const size_t next = low + step;
    low = next < decoded_.count && decoded_.rows[next] <= row ? next : low;
  }
  return decoded_.rows[low] == row ? low : decoded_.count;
}

float WordList::score_at(uint32_t row) {
  if (block_ >= window_end_) return 0;
  decode(block_);
  const size_t i = find(row);
  if (i == decoded_.count) return 0;
  postings_.decode_tfs(block_, decoded_);
  return term_score(weight_, float(decoded_.tfs[i]), float(lengths_[row]));
}

void WordList::read_positions(uint32_t row, std::vector<uint32_t>& out) {
  bound_at(row);
  if (block_ >= window_end_) return;
  decode(block_);
  const size_t i = find(row);
  if (i == decoded_.count) return;
  postings_.decode_tfs(block_, decoded_);
  postings_.read_positions(block_, decoded_, i, out);
}

}  // namespace quarry::mvs
