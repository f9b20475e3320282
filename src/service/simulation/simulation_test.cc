// QUARRY_SNAPSHOT_SEED=n repeats one seed, or begins there; QUARRY_SNAPSHOT_SEEDS=n runs so many.
#include "service/simulation/simulation.h"

namespace quarry::service::simulation {
namespace {

constexpr int kSteps = 60;
constexpr uint64_t kSeeds = 12;

class SnapshotSimulation : public NamespaceSimulation, public testing::WithParamInterface<uint64_t> {
 protected:
  SnapshotSimulation() : NamespaceSimulation(GetParam()) {}
};

TEST_P(SnapshotSimulation, AgreesWithAPlainMapWhateverFails) {
  for (int i = 0; i < kSteps && !HasFailure(); ++i) step();
  if (!HasFailure()) clean_up();
  for (NamespaceModel& ns : namespaces_)
    if (ns.is_there && !HasFailure()) check(ns);
  if (!HasFailure()) check_snapshots();
  if (!HasFailure()) return;
  std::string told = fmt::format("again: QUARRY_SNAPSHOT_SEED={} build/release/bin/service_test --gtest_filter='*SnapshotSimulation*'\n",
                                 GetParam());
  for (const std::string& line : trace_) told += "  " + line + "\n";
  ADD_FAILURE() << told;
}

const SeedRange kRange = seeds_from_environment("QUARRY_SNAPSHOT", kSeeds);
INSTANTIATE_TEST_SUITE_P(Seeds, SnapshotSimulation, testing::Range(kRange.first, kRange.first + kRange.count),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace quarry::service::simulation
