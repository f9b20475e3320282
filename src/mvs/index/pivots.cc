#include "mvs/index/pivots.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "mvs/index/graph.h"

namespace quarry::mvs {
namespace {

constexpr size_t kProbes = 16;  // groups a query looks at
constexpr size_t kAtOnce = 16;  // blocks

}  // namespace

Pivots::Pivots(const Quantizer& quantizer, const NodeArray& records, std::span<const std::vector<uint32_t>> groups) {
  std::vector<uint32_t> leaders;
  for (const auto& group : groups) {
    begins_.push_back(uint32_t(nodes_.size() / kBlockSketches));
    append(blocks_, quantizer, records, group);
    nodes_.insert(nodes_.end(), group.begin(), group.end());
    nodes_.resize((nodes_.size() + kBlockSketches - 1) / kBlockSketches * kBlockSketches);
    size_ += group.size();
    leaders.push_back(group.front());
  }
  begins_.push_back(uint32_t(nodes_.size() / kBlockSketches));
  append(leaders_, quantizer, records, leaders);
}

void Pivots::append(Blocks& blocks, const Quantizer& quantizer, const NodeArray& records, std::span<const uint32_t> nodes) const {
  const size_t words = quantizer.words(), block_bytes = sketch_block_bytes(words), before = blocks.size();
  const size_t places = (nodes.size() + kBlockSketches - 1) / kBlockSketches * kBlockSketches;
  blocks.resize(before + places / kBlockSketches * block_bytes / sizeof(Line));
  auto* base = reinterpret_cast<uint8_t*>(blocks.data() + before);
  for (size_t i = 0; i < places; ++i)
    put_in_block(i < nodes.size() ? records.at(nodes[i]) : nullptr, words, i % kBlockSketches, base + i / kBlockSketches * block_bytes);
}

template <class Visit>
void Pivots::for_each_below(const SketchQuery& query, size_t first, size_t last, const float& bound, const Visit& visit) const {
  uint32_t places[kAtOnce * kBlockSketches];
  float keys[kAtOnce * kBlockSketches];
  const size_t block_bytes = sketch_block_bytes(query.words);
  const auto* base = reinterpret_cast<const uint8_t*>(blocks_.data());
  for (size_t at = first; at < last; at += kAtOnce) {
    const size_t n = code_kernels().block_filter(query, base + at * block_bytes, std::min(kAtOnce, last - at), bound, places, keys);
    for (size_t i = 0; i < n; ++i)
      if (keys[i] < bound) visit(at * kBlockSketches + places[i], keys[i]);
  }
}

size_t Pivots::count_below(const Quantizer& quantizer, const QueryCodes& query, float bound) const {
  size_t found = 0;
  for_each_below(quantizer.sketch_query(query, 0), 0, begins_.back(), bound, [&](size_t, float) { ++found; });
  return found;
}

// Writes the groups whose first nodes have the smallest keys, ascending.
size_t Pivots::nearest_groups(const SketchQuery& query, uint32_t* out) const {
  uint32_t groups[kMostGroups];
  float keys[kMostGroups];
  const size_t blocks = (begins_.size() - 1 + kBlockSketches - 1) / kBlockSketches;
  const size_t n = code_kernels().block_filter(query, reinterpret_cast<const uint8_t*>(leaders_.data()), blocks, INFINITY, groups, keys);
  Candidate best[kMostGroups];
  for (size_t i = 0; i < n; ++i) best[i] = {keys[i], groups[i]};
  const size_t probes = std::min(kProbes, n);
  std::partial_sort(best, best + probes, best + n, [](const Candidate& a, const Candidate& b) { return a.key < b.key; });
  for (size_t i = 0; i < probes; ++i) out[i] = best[i].node;
  return probes;
}

size_t Pivots::nearest(const Quantizer& quantizer, const QueryCodes& query, uint32_t* out) const {
  const SketchQuery sketch = quantizer.sketch_query(query, 0);
  uint32_t groups[kProbes];
  const size_t probes = nearest_groups(sketch, groups);
  Candidate best[kNearest];
  size_t found = 0;
  float bound = FLT_MAX;
  for (size_t g = 0; g < probes; ++g)
    for_each_below(sketch, begins_[groups[g]], begins_[groups[g] + 1], bound, [&](size_t at, float key) {
      size_t place = std::min(found, kNearest - 1);
      for (; place > 0 && best[place - 1].key > key; --place) best[place] = best[place - 1];
      best[place] = {key, nodes_[at]};
      found = std::min(found + 1, kNearest);
      if (found == kNearest) bound = best[kNearest - 1].key;
    });
  for (size_t i = 0; i < found; ++i) out[i] = best[i].node;
  return found;
}

}  // namespace quarry::mvs
