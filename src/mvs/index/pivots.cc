#include "mvs/index/pivots.h"

#include <algorithm>
#include <cfloat>

#include "mvs/index/graph.h"

namespace quarry::mvs {
namespace {

constexpr size_t kProbes = 16;  // groups a query looks at
constexpr size_t kAtOnce = 16;  // blocks

constexpr size_t blocks_for(size_t sketches) { return (sketches + kBlockSketches - 1) / kBlockSketches; }

// The smallest of the keys that it is offered, ascending.
template <size_t kCount>
class Smallest {
 public:
  float bound = FLT_MAX;  // keys from here on change nothing

  void offer(float key, uint32_t node) {
    size_t place = std::min(found_, kCount - 1);
    for (; place > 0 && best_[place - 1].key > key; --place) best_[place] = best_[place - 1];
    best_[place] = {key, node};
    found_ = std::min(found_ + 1, kCount);
    if (found_ == kCount) bound = best_[kCount - 1].key;
  }
  std::span<const Candidate> kept() const { return {best_, found_}; }

 private:
  Candidate best_[kCount];
  size_t found_ = 0;
};

}  // namespace

Pivots::Pivots(const Quantizer& quantizer, const NodeArray& records, std::span<const std::vector<uint32_t>> groups) {
  std::vector<uint32_t> leaders;
  for (const auto& group : groups) {
    begins_.push_back(uint32_t(nodes_.size() / kBlockSketches));
    append(blocks_, quantizer, records, group);
    nodes_.insert(nodes_.end(), group.begin(), group.end());
    nodes_.resize(blocks_for(nodes_.size()) * kBlockSketches);
    size_ += group.size();
    leaders.push_back(group.front());
  }
  begins_.push_back(uint32_t(nodes_.size() / kBlockSketches));
  append(leaders_, quantizer, records, leaders);
}

void Pivots::append(Blocks& blocks, const Quantizer& quantizer, const NodeArray& records, std::span<const uint32_t> nodes) {
  const size_t words = quantizer.words(), block_bytes = sketch_block_bytes(words), before = blocks.size();
  blocks.resize(before + blocks_for(nodes.size()) * block_bytes / sizeof(Line));
  auto* base = reinterpret_cast<uint8_t*>(blocks.data() + before);
  for (size_t i = 0; i < blocks_for(nodes.size()) * kBlockSketches; ++i)
    put_in_block(i < nodes.size() ? records.at(nodes[i]) : nullptr, words, i % kBlockSketches, base + i / kBlockSketches * block_bytes);
}

// Calls visit(place, key) for those of blocks [first, last) with keys below `bound`, which visit may lower.
template <class Visit>
void Pivots::for_each_below(const SketchQuery& query, const Blocks& blocks, size_t first, size_t last, const float& bound,
                            const Visit& visit) {
  uint32_t places[kAtOnce * kBlockSketches];
  float keys[kAtOnce * kBlockSketches];
  const size_t block_bytes = sketch_block_bytes(query.words);
  const auto* base = reinterpret_cast<const uint8_t*>(blocks.data());
  for (size_t at = first; at < last; at += kAtOnce) {
    const size_t n = code_kernels().block_filter(query, base + at * block_bytes, std::min(kAtOnce, last - at), bound, places, keys);
    for (size_t i = 0; i < n; ++i)
      if (keys[i] < bound) visit(at * kBlockSketches + places[i], keys[i]);
  }
}

size_t Pivots::count_below(const Quantizer& quantizer, const QueryCodes& query, float bound) const {
  size_t found = 0;
  for_each_below(quantizer.sketch_query(query, 0), blocks_, 0, begins_.back(), bound, [&](size_t, float) { ++found; });
  return found;
}

size_t Pivots::nearest(const Quantizer& quantizer, const QueryCodes& query, uint32_t* out) const {
  const SketchQuery sketch = quantizer.sketch_query(query, 0);
  Smallest<kProbes> groups;
  for_each_below(sketch, leaders_, 0, blocks_for(begins_.size() - 1), groups.bound,
                 [&](size_t at, float key) { groups.offer(key, uint32_t(at)); });
  Smallest<kNearest> best;
  for (const Candidate& group : groups.kept())
    for_each_below(sketch, blocks_, begins_[group.node], begins_[group.node + 1], best.bound,
                   [&](size_t at, float key) { best.offer(key, nodes_[at]); });
  size_t found = 0;
  for (const Candidate& c : best.kept()) out[found++] = c.node;
  return found;
}

}  // namespace quarry::mvs
