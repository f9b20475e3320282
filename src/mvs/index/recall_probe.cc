#include "mvs/index/recall_probe.h"

#include <algorithm>

#include "base/log.h"
#include "base/metrics.h"

namespace quarry::mvs {
namespace {

std::vector<float> scores_of(const ExactResult& result) {
  std::vector<float> out;
  out.reserve(result.rows.size());
  for (const ScoredRow& row : result.rows) out.push_back(row.score);
  return out;
}

prometheus::Histogram& recall_histogram() {
  static auto& histogram = metrics::share_histogram(
      "quarry_mvs_recall", "Of vector queries that an index answered, asked again exactly now and then: the share that it had found.");
  return histogram;
}

}  // namespace

double recall_of(const std::vector<float>& found, const std::vector<float>& exact) {
  if (exact.empty()) return 1;
  const auto good = std::count_if(found.begin(), found.end(), [&](float score) { return score >= exact.back(); });
  return double(std::min<size_t>(size_t(good), exact.size())) / double(exact.size());
}

RecallProbe::RecallProbe(Executor* background, const Clock& clock, int64_t interval_us)
    : background_(background), clock_(clock), interval_us_(interval_us) {}

void RecallProbe::note(const std::shared_ptr<const Snapshot>& snapshot, const SearchRequest& request, const ExactResult& found) {
  if (!take_turn()) return;
  const bool taken = background_->try_submit([self = shared_from_this(), snapshot, request, scores = scores_of(found)] {
    self->run(*snapshot, request, scores);
    self->running_ = false;
  });
  if (!taken) running_ = false;
}

bool RecallProbe::take_turn() {
  if (background_ == nullptr || interval_us_ <= 0 || running_) return false;
  const int64_t now = clock_.steady_us();
  int64_t next = next_us_.load(std::memory_order_relaxed);
  if (now < next || !next_us_.compare_exchange_strong(next, now + interval_us_)) return false;
  return !running_.exchange(true);
}

void RecallProbe::run(const Snapshot& snapshot, const SearchRequest& request, const std::vector<float>& scores) const {
  SearchRequest exact = request;
  exact.deadline_us = INT64_MAX;  // the query's own is about its caller
  auto scorer = make_row_scorer(*snapshot.schema, exact);
  if (!scorer.ok()) return;
  const auto truth = exact_search(snapshot, exact, **scorer, nullptr, clock_);
  if (!truth.ok()) return log_warn("a recall probe failed", {{"table", request.table_id}, {"error", truth.error().message}});
  recall_histogram().Observe(recall_of(scores, scores_of(*truth)));
}

}  // namespace quarry::mvs
