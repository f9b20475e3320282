// The nodes from which walks over a graph begin. Private to the index.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mvs/index/node_array.h"
#include "mvs/index/quantizer.h"

namespace quarry::mvs {

// Nodes in groups that lie around their first, with copies of their sketches: a walk looks at the first of each group, and at all of the few
// groups that are nearest. Immutable; thread-safe.
class Pivots {
 public:
  static constexpr size_t kNearest = 4;

  // No group is empty; all nodes have records.
  Pivots(const Quantizer& quantizer, const NodeArray& records, std::span<const std::vector<uint32_t>> groups);

  size_t size() const { return size_; }
  // Writes the nodes of the kNearest smallest keys by sketch in the groups that are looked at. Returns how many.
  size_t nearest(const Quantizer& quantizer, const QueryCodes& query, uint32_t* out) const;
  // How many of all have a key below `bound` by sketch.
  size_t count_below(const Quantizer& quantizer, const QueryCodes& query, float bound) const;

 private:
  // Sketches in blocks (code_kernels.h); the last block of a run may have room left.
  struct alignas(64) Line {
    uint8_t bytes[64];
  };
  using Blocks = std::vector<Line>;

  static void append(Blocks& blocks, const Quantizer& quantizer, const NodeArray& records, std::span<const uint32_t> nodes);
  template <class Visit>
  static void for_each_below(const SketchQuery& query, const Blocks& blocks, size_t first, size_t last, const float& bound,
                             const Visit& visit);

  size_t size_ = 0;
  std::vector<uint32_t> nodes_;   // by place: eight a block
  Blocks blocks_, leaders_;       // of all nodes, group by group; of the first of each group
  std::vector<uint32_t> begins_;  // of each group in blocks_, and of what would come after the last
};

}  // namespace quarry::mvs
