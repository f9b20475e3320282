// QUARRY_SIM_SEED=n repeats one seed, or begins there; QUARRY_SIM_SEEDS=n runs so many.
#include "mvs/simulation/simulation.h"

#include <gtest/gtest.h>

namespace quarry::mvs::simulation {
namespace {

constexpr int kSteps = 80;
constexpr uint64_t kSeeds = 80, kMaxFailures = 3;

std::string report(uint64_t seed, const Error& error, const std::vector<std::string>& trace) {
  std::string out = fmt::format("seed {}: {}\n", seed, error.message);
  out += fmt::format("again: QUARRY_SIM_SEED={} build/release/bin/mvs_test --gtest_filter=Simulation.*\n", seed);
  for (const auto& line : trace) out += "  " + line + "\n";
  return out;
}

TEST(Simulation, AgreesWithAPlainMapWhateverFails) {
  const bool is_one = std::getenv("QUARRY_SIM_SEED") != nullptr;
  const uint64_t first = test::number_from_environment("QUARRY_SIM_SEED", 1);
  const uint64_t seeds = test::number_from_environment("QUARRY_SIM_SEEDS", is_one ? 1 : kSeeds);
  uint64_t failures = 0;
  for (uint64_t seed = first; seed < first + seeds && failures < kMaxFailures; ++seed) {
    Simulation simulation(seed);
    const Status status = simulation.run(kSteps);
    if (status.ok()) continue;
    ++failures;
    ADD_FAILURE() << report(seed, status.error(), simulation.trace());
  }
}

}  // namespace
}  // namespace quarry::mvs::simulation
