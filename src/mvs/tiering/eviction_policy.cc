#include "mvs/tiering/eviction_policy.h"

#include <algorithm>

namespace quarry::mvs {

std::vector<size_t> pick_evictions(const std::vector<EvictionCandidate>& candidates, uint64_t excess_bytes) {
  std::vector<size_t> order;
  for (size_t i = 0; i < candidates.size(); ++i)
    if (candidates[i].may_go && candidates[i].bytes > 0) order.push_back(i);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const EvictionCandidate &x = candidates[a], &y = candidates[b];
    if (x.last_read_us != y.last_read_us) return x.last_read_us < y.last_read_us;
    return x.bytes != y.bytes ? x.bytes > y.bytes : a < b;
  });
  uint64_t freed = 0;
  size_t taken = 0;
  while (taken < order.size() && freed < excess_bytes) freed += candidates[order[taken++]].bytes;
  order.resize(taken);
  return order;
}

}  // namespace quarry::mvs
