// Inverted lists of one segment's sparse column: for each index the rows that have it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mvs/warm/row_block.h"

namespace quarry::mvs {

struct Posting {
  uint32_t ordinal = 0;
  float value = 0;
};

// Immutable; keeps nothing of the column it is made from.
class SparseIndex {
 public:
  explicit SparseIndex(const SparseColumn& column);

  // Ascending by ordinal; empty: no row has the index.
  std::span<const Posting> list(uint32_t index) const;
  uint64_t memory_bytes() const;

 private:
  std::vector<uint32_t> indices_;  // ascending
  std::vector<uint32_t> first_;    // of indices_[i]'s postings; one more than there are indices
  std::vector<Posting> postings_;
};

}  // namespace quarry::mvs
