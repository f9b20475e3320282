// How much of what an exact search finds the indexes find: asked now and then of a live query, after it was answered.
#pragma once

#include <atomic>
#include <memory>

#include "mvs/hot/exact_search.h"

namespace quarry::mvs {

// Thread-safe. A probe compares every row that its query's filter lets through, on one thread of `background` (100,000 x 384 floats: some
// 20 ms), and keeps the query's snapshot for as long. What it found goes to quarry_mvs_recall under /metrics.
class RecallProbe : public std::enable_shared_from_this<RecallProbe> {
 public:
  // At most one probe in `interval_us`, and one at a time; 0, or no executor: none. Both outlive the probes.
  RecallProbe(Executor* background, const Clock& clock, int64_t interval_us);

  // `found` is what an index answered to `request`, which has no group.
  void note(const std::shared_ptr<const Snapshot>& snapshot, const SearchRequest& request, const ExactResult& found);

 private:
  bool take_turn();
  void run(const Snapshot& snapshot, const SearchRequest& request, const std::vector<float>& scores) const;

  Executor* const background_;
  const Clock& clock_;
  const int64_t interval_us_;
  std::atomic<int64_t> next_us_{0};
  std::atomic<bool> running_{false};
};

// Of the scores of an exact search (best first), the share that `found` (best first, of the same query) has as well; 1 if there is nothing
// to find. Rows that tie with the last one count whichever of them was found: the scores are of the same bits.
double recall_of(const std::vector<float>& found, const std::vector<float>& exact);

}  // namespace quarry::mvs
