#include "mvs/hot/exact_search.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include "mvs/hot/column_filter.h"
#include "mvs/hot/kernels.h"

namespace quarry::mvs {
namespace {

constexpr size_t kRowsPerTask = 8192;
constexpr size_t kRowsPerCall = 128;

// A range of ordinals of one segment.
struct Task {
  const SegmentView* view;
  const VectorColumn* vectors;
  const float* norms;
  const Bitmap* rows;  // null: every row
  size_t begin, end;
};

// Calls offer(ScoredRow) for each row of the task that reaches the minimum. Returns how many rows were scored.
template <class Offer>
size_t score_task(const Task& task, const Scorer& scorer, float min_score, Offer&& offer) {
  std::array<float, kRowsPerCall> scores;
  size_t scored = 0;
  const VectorColumn& v = *task.vectors;
  for (size_t at = task.begin; at < task.end; at += kRowsPerCall) {
    const size_t n = std::min(kRowsPerCall, task.end - at);
    size_t wanted = n;
    if (task.rows != nullptr) {
      wanted = 0;
      for (size_t i = 0; i < n; ++i) wanted += task.rows->test(v.row(at + i));
      if (wanted == 0) continue;
    }
    scored += wanted;
    const bool all = wanted * 2 >= n;  // a run of rows costs less than single ones
    if (all) scorer.score_rows(v.data + at * v.dimension, task.norms + at, n, scores.data());
    for (size_t i = 0; i < n; ++i) {
      const size_t row = v.row(at + i);
      if (task.rows != nullptr && !task.rows->test(row)) continue;
      const float score = all ? scores[i] : scorer.score(v.data + (at + i) * v.dimension, task.norms[at + i]);
      if (score >= min_score) offer(ScoredRow{score, task.view, uint32_t(row)});
    }
  }
  return scored;
}

class ExactSearch {
 public:
  ExactSearch(const Snapshot& snapshot, const SearchRequest& request, const DenseQuery& query, Executor* executor, const Clock& clock,
              const std::function<bool(const SegmentView&)>& wanted)
      : wanted_(wanted),
        snapshot_(snapshot),
        request_(request),
        query_(query.values),
        executor_(executor),
        clock_(clock),
        min_score_(request.min_score.value_or(-std::numeric_limits<float>::infinity())) {}

  Result<ExactResult> run() {
    QUARRY_RETURN_IF_ERROR(select_rows());
    plan_tasks();
    return request_.group ? run_grouped() : run_top_k();
  }

 private:
  Metric metric_of_column() const {
    return snapshot_.schema->columns()[size_t(snapshot_.schema->find_vector(request_.vector_name))].vector.metric;
  }

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
      const VectorColumn* vectors = view.segment->block().vector(column);
      if (vectors == nullptr || (rows_[i] != nullptr && rows_[i]->none())) continue;
      for (size_t at = 0; at < vectors->count; at += kRowsPerTask)
        tasks_.push_back({&view, vectors, view.segment->norms(column), rows_[i].get(), at, std::min(at + kRowsPerTask, vectors->count)});
    }
  }

  // Runs `body(first, last)` over ranges of tasks, each of about kRowsPerTask rows, in parallel.
  Status for_each_range(const std::function<void(size_t, size_t)>& body) {
    std::vector<size_t> starts{0};
    size_t rows = 0;
    for (size_t t = 0; t < tasks_.size(); ++t) {
      if (rows >= kRowsPerTask) {
        starts.push_back(t);
        rows = 0;
      }
      rows += tasks_[t].end - tasks_[t].begin;
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
    const Scorer scorer(metric_of_column(), query_.data(), query_.size());
    std::mutex mutex;
    TopRows best(request_.k);
    ExactResult out;
    QUARRY_RETURN_IF_ERROR(for_each_range([&](size_t first, size_t last) {
      TopRows local(request_.k);
      size_t scored = 0;
      for (size_t t = first; t < last; ++t)
        scored += score_task(tasks_[t], scorer, min_score_, [&](const ScoredRow& row) { local.offer(row); });
      std::lock_guard lock(mutex);
      for (const auto& row : local.rows()) best.offer(row);
      out.rows_scored += scored;
    }));
    out.rows = std::move(best.rows());
    std::sort(out.rows.begin(), out.rows.end(), better);
    return out;
  }

  Result<ExactResult> run_grouped() {
    const Scorer scorer(metric_of_column(), query_.data(), query_.size());
    std::mutex mutex;
    std::vector<ScoredRow> all;
    ExactResult out;
    QUARRY_RETURN_IF_ERROR(for_each_range([&](size_t first, size_t last) {
      std::vector<ScoredRow> local;
      size_t scored = 0;
      for (size_t t = first; t < last; ++t)
        scored += score_task(tasks_[t], scorer, min_score_, [&](const ScoredRow& row) { local.push_back(row); });
      std::lock_guard lock(mutex);
      all.insert(all.end(), local.begin(), local.end());
      out.rows_scored += scored;
    }));
    QUARRY_ASSIGN_OR_RETURN(out.rows, take_groups(std::move(all), *request_.group));
    return out;
  }

  const std::function<bool(const SegmentView&)>& wanted_;
  const Snapshot& snapshot_;
  const SearchRequest& request_;
  const std::vector<float>& query_;
  Executor* const executor_;
  const Clock& clock_;
  const float min_score_;
  std::vector<std::unique_ptr<Bitmap>> rows_;  // by view
  std::vector<Task> tasks_;
};

}  // namespace

Result<ExactResult> exact_search(const Snapshot& snapshot, const SearchRequest& request, const DenseQuery& query, Executor* executor,
                                 const Clock& clock, const std::function<bool(const SegmentView&)>& wanted) {
  return ExactSearch(snapshot, request, query, executor, clock, wanted).run();
}

}  // namespace quarry::mvs
