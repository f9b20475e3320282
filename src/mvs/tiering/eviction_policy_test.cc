#include "mvs/tiering/eviction_policy.h"

#include <gtest/gtest.h>

namespace quarry::mvs {
namespace {

TEST(EvictionPolicy, Cases) {
  const struct {
    const char* name;
    std::vector<EvictionCandidate> candidates;
    uint64_t excess;
    std::vector<size_t> expected;
  } cases[] = {
      {"nothing to free", {{10, 1}}, 0, {}},
      {"least recently read first", {{10, 3}, {10, 1}, {10, 2}}, 15, {1, 2}},
      {"never read goes before all", {{10, 1}, {10, 0}}, 5, {1}},
      {"of equals the larger", {{10, 1}, {30, 1}, {20, 1}}, 25, {1}},
      {"what is needed stays", {{10, 1, false}, {10, 2}}, 5, {1}},
      {"what holds nothing frees nothing", {{0, 1}, {10, 2}}, 5, {1}},
      {"all, if all are too little", {{10, 1}, {10, 2}}, 100, {0, 1}},
      {"none may go", {{10, 1, false}}, 5, {}},
  };
  for (const auto& c : cases) EXPECT_EQ(pick_evictions(c.candidates, c.excess), c.expected) << c.name;
}

}  // namespace
}  // namespace quarry::mvs
