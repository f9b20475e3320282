#include "mvs/index/filtered_plan.h"

#include <algorithm>

namespace quarry::mvs {
namespace {

// Nanoseconds: a stored vector and each of its coordinates; what codes cost before the first node; a node of a scan over codes; a hop of a
// walk.
constexpr double kVectorNs = 40, kCoordinateNs = 0.2, kPrepareNs = 12'000, kScanNs = 8.5, kHopNs = 780;

// What passing over neighbours adds to a hop: the fewer nodes are wanted, the more lists it reads.
double pass_ns(double share) { return 500 + 10 / (share * share); }

}  // namespace

FilteredPlan plan_filtered(const FilteredLoad& load) {
  const double matching = double(load.matching), share = std::min(1.0, matching / double(std::max<size_t>(load.nodes, 1)));
  const double scan_ns = kScanNs * matching;
  if (matching * (kVectorNs + kCoordinateNs * double(load.dimension)) < kPrepareNs + scan_ns) return {FilteredPlan::Way::kScore};
  const double effort = double(load.effort), plain_ns = effort / share * kHopNs, passing_ns = effort * (kHopNs + pass_ns(share));
  const double walk_ns = std::min(plain_ns, passing_ns);
  if (scan_ns < walk_ns) return {FilteredPlan::Way::kScan};
  FilteredPlan plan;
  plan.two_hops = passing_ns < plain_ns;
  const double hops = plan.two_hops ? effort : effort / share;
  plan.max_hops = size_t(hops * (1 + scan_ns / walk_ns));
  return plan;
}

}  // namespace quarry::mvs
