#include "mvs/hot/exact_search.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>

#include "mvs/hot/column_filter.h"

namespace quarry::mvs {
namespace {

struct SizedTask : ScoreTask {
  size_t full = 1;  // ordinals of a task of full size
};

class ExactSearch {
 public:
  ExactSearch(const Snapshot& snapshot, const SearchRequest& request, const RowScorer& scorer, Executor* executor, const Clock& clock,
              const ViewFilter& wanted)
      : wanted_(wanted),
        snapshot_(snapshot),
        request_(request),
        scorer_(scorer),
        executor_(executor),
        clock_(clock),
        min_score_(request.min_score.value_or(-std::numeric_limits<float>::infinity())) {}

  Result<ExactResult> run() {
    QUARRY_RETURN_IF_ERROR(select_rows());
    plan_tasks();
    return request_.group ? run_grouped() : run_top_k();
  }

 private:
  Status timeout() const { return Error(ErrorKind::kTimeout, "the search ran past its deadline"); }
  bool expired() const { return request_.deadline_us != INT64_MAX && clock_.steady_us() >= request_.deadline_us; }

  // Live and matching rows of every view; null where that is all of them.
  Status select_rows() {
    const size_t n = snapshot_.views.size();
    rows_.resize(n);
    std::mutex mutex;
    Status status = Ok{};
    parallel_for(executor_, n, [&](size_t i) {
      const SegmentView& view = snapshot_.views[i];
      if (wanted_ && !wanted_(view)) return;
      if (request_.filter.matches_all() && view.deleted == nullptr) return;
      Result<Bitmap> rows = expired() ? Result<Bitmap>(timeout().error()) : filter_rows(request_.filter, *view.segment, view.live_rows());
      if (rows.ok()) {
        rows_[i] = std::make_unique<Bitmap>(std::move(rows).value());
      } else {
        std::lock_guard lock(mutex);
        status = std::move(rows).error();
      }
    });
    return status;
  }

  void plan_tasks() {
    for (size_t i = 0; i < snapshot_.views.size(); ++i) {
      const SegmentView& view = snapshot_.views[i];
      if (wanted_ && !wanted_(view)) continue;
      const int column = view.segment->block().schema().find_vector(request_.vector_name);
      const RowOrdinals* ordinals = view.segment->block().ordinals(column);
      if (ordinals == nullptr || (rows_[i] != nullptr && rows_[i]->none())) continue;
      const size_t step = scorer_.ordinals_per_task(view.segment->block(), column);
      for (size_t at = 0; at < ordinals->count; at += step)
        tasks_.push_back({{&view, column, ordinals, rows_[i].get(), at, std::min(at + step, ordinals->count)}, step});
    }
  }

  // Runs `body(first, last)` over ranges of tasks, each about the work of one full task, in parallel.
  Status for_each_range(const std::function<void(size_t, size_t)>& body) {
    std::vector<size_t> starts{0};
    double work = 0;  // in full tasks
    for (size_t t = 0; t < tasks_.size(); ++t) {
      if (work >= 1) {
        starts.push_back(t);
        work = 0;
      }
      work += double(tasks_[t].end - tasks_[t].begin) / double(tasks_[t].full);
    }
    starts.push_back(tasks_.size());
    std::atomic<bool> late{false};
    parallel_for(executor_, starts.size() - 1, [&](size_t i) {
      if (late || expired())
        late = true;
      else
        body(starts[i], starts[i + 1]);
    });
    return late ? timeout() : Status(Ok{});
  }

  Result<ExactResult> run_top_k() {
    std::mutex mutex;
    TopRows best(request_.k);
    ExactResult out;
    QUARRY_RETURN_IF_ERROR(for_each_range([&](size_t first, size_t last) {
      TopRows local(request_.k);
      size_t scored = 0;
      for (size_t t = first; t < last; ++t)
        scored += scorer_.score(tasks_[t], min_score_, [&](std::span<const ScoredRow> rows) {
          for (const ScoredRow& row : rows) local.offer(row);
        });
      std::lock_guard lock(mutex);
      for (const auto& row : local.rows()) best.offer(row);
      out.rows_scored += scored;
    }));
    out.rows = std::move(best.rows());
    std::sort(out.rows.begin(), out.rows.end(), better);
    return out;
  }

  Result<ExactResult> run_grouped() {
    std::mutex mutex;
    std::vector<ScoredRow> all;
    ExactResult out;
    QUARRY_RETURN_IF_ERROR(for_each_range([&](size_t first, size_t last) {
      std::vector<ScoredRow> local;
      size_t scored = 0;
      for (size_t t = first; t < last; ++t)
        scored += scorer_.score(tasks_[t], min_score_,
                                [&](std::span<const ScoredRow> rows) { local.insert(local.end(), rows.begin(), rows.end()); });
      std::lock_guard lock(mutex);
      all.insert(all.end(), local.begin(), local.end());
      out.rows_scored += scored;
    }));
    QUARRY_ASSIGN_OR_RETURN(out.rows, take_groups(std::move(all), *request_.group));
    return out;
  }

  const ViewFilter& wanted_;
  const Snapshot& snapshot_;
  const SearchRequest& request_;
  const RowScorer& scorer_;
  Executor* const executor_;
  const Clock& clock_;
  const float min_score_;
  std::vector<std::unique_ptr<Bitmap>> rows_;  // by view
  std::vector<SizedTask> tasks_;
};

}  // namespace

Result<ExactResult> exact_search(const Snapshot& snapshot, const SearchRequest& request, const RowScorer& scorer, Executor* executor,
                                 const Clock& clock, const ViewFilter& wanted) {
  return ExactSearch(snapshot, request, scorer, executor, clock, wanted).run();
}

Result<std::optional<ExactResult>> groups_of_best(const SearchRequest& request, size_t most_rows, const BestRows& best_rows) {
  constexpr size_t kFirst = 64;
  const GroupSpec& group = *request.group;
  const size_t wanted = group.limit * group.max_per_group;
  SearchRequest rows = request;
  rows.group.reset();
  for (rows.k = std::max(kFirst, 2 * wanted); rows.k <= most_rows; rows.k *= 4) {
    QUARRY_ASSIGN_OR_RETURN(ExactResult found, best_rows(rows));
    const bool all = found.rows.size() < rows.k;
    QUARRY_ASSIGN_OR_RETURN(found.rows, take_groups(std::move(found.rows), group));
    if (all || found.rows.size() == wanted) return std::optional<ExactResult>(std::move(found));
  }
  return std::optional<ExactResult>();
}

}  // namespace quarry::mvs
