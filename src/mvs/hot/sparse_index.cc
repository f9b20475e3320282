#include "mvs/hot/sparse_index.h"

#include <algorithm>

namespace quarry::mvs {

SparseIndex::SparseIndex(const SparseColumn& column) {
  // Entries lie in the order of ordinals, so sorting by (index, position) sorts each list by ordinal.
  std::vector<uint64_t> order(column.first.back());
  for (size_t e = 0; e < order.size(); ++e) order[e] = uint64_t(column.indices[e]) << 32 | e;
  std::sort(order.begin(), order.end());
  std::vector<uint32_t> ordinals(order.size());
  for (size_t o = 0; o < column.count; ++o)
    std::fill(ordinals.begin() + column.first[o], ordinals.begin() + column.first[o + 1], uint32_t(o));
  postings_.reserve(order.size());
  for (const uint64_t key : order) {
    const auto index = uint32_t(key >> 32), entry = uint32_t(key);
    if (indices_.empty() || indices_.back() != index) {
      indices_.push_back(index);
      first_.push_back(uint32_t(postings_.size()));
    }
    postings_.push_back({ordinals[entry], column.values[entry]});
  }
  first_.push_back(uint32_t(postings_.size()));
}

std::span<const Posting> SparseIndex::list(uint32_t index) const {
  const auto it = std::lower_bound(indices_.begin(), indices_.end(), index);
  if (it == indices_.end() || *it != index) return {};
  const size_t at = size_t(it - indices_.begin());
  return {postings_.data() + first_[at], postings_.data() + first_[at + 1]};
}

uint64_t SparseIndex::memory_bytes() const {
  return (indices_.capacity() + first_.capacity()) * sizeof(uint32_t) + postings_.capacity() * sizeof(Posting);
}

}  // namespace quarry::mvs
