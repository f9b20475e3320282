// Which tables leave memory when the budget is spent. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace quarry::mvs {

struct EvictionCandidate {
  uint64_t bytes = 0;
  TimestampUs last_read_us = 0;  // 0: never
  bool may_go = true;            // false: it is cold, or what asks for room needs it
};

// Positions of the tables to let go of, least recently read first (of equals the larger one), until `excess_bytes` are free; all that may
// go if they do not suffice.
std::vector<size_t> pick_evictions(const std::vector<EvictionCandidate>& candidates, uint64_t excess_bytes);

}  // namespace quarry::mvs
