// How a search that may return only some of the rows finds them: pure arithmetic over what was measured (docs/decisions/0010).
#pragma once

#include <cstddef>

namespace quarry::mvs {

struct FilteredLoad {
  size_t nodes = 0;     // of the graph
  size_t matching = 0;  // rows that may be results
  size_t dimension = 0;
  size_t effort = 0;
};

struct FilteredPlan {
  enum class Way {
    kScore,  // every matching row by its vector
    kScan,   // every matching row by its codes
    kWalk,   // the graph; beyond max_hops the scan, which then would have been quicker
  } way = Way::kWalk;
  bool two_hops = false;  // of a walk, as in NodeFilter
  size_t max_hops = 0;
};

FilteredPlan plan_filtered(const FilteredLoad& load);

}  // namespace quarry::mvs
