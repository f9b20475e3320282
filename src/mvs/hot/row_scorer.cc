#include "mvs/hot/row_scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "mvs/hot/kernels.h"
#include "mvs/hot/paging.h"

namespace quarry::mvs {
namespace {

constexpr size_t kRowsPerTask = 8192;
constexpr size_t kRowsPerCall = 128;
// Below this many entries making a segment's inverted lists costs more than a few searches over its rows do.
constexpr size_t kMinListEntries = 4096;

// Cuts a float64 sum to float32's range. NaN: only a file of another writer holds what leads there.
float finite(double sum) {
  constexpr double kMax = std::numeric_limits<float>::max();
  return std::isnan(sum) ? -float(kMax) : float(std::clamp(sum, -kMax, kMax));
}

class DenseScorer : public RowScorer {
 public:
  DenseScorer(Metric metric, std::vector<float> query) : query_(std::move(query)), scorer_(metric, query_.data(), query_.size()) {}

  size_t ordinals_per_task(const RowBlock&, int) const override { return kRowsPerTask; }

  size_t score(const ScoreTask& task, float min_score, const RowSink& sink) const override {
    std::array<float, kRowsPerCall> scores;
    std::array<ScoredRow, kRowsPerCall> good;
    size_t scored = 0;
    const VectorColumn& v = *task.view->segment->block().vector(task.column);
    const float* norms = task.view->segment->norms(task.column);
    const uint64_t faults = major_faults();
    for (size_t at = task.begin; at < task.end; at += kRowsPerCall) {
      const size_t n = std::min(kRowsPerCall, task.end - at);
      // Where the first rows were on the disk, the others will be.
      if (at == task.begin + kRowsPerCall && task.rows == nullptr && major_faults() != faults)
        read_ahead(v.data + at * v.dimension, (task.end - at) * v.dimension * sizeof(float));
      size_t wanted = n, found = 0;
      if (task.rows != nullptr) {
        wanted = 0;
        for (size_t i = 0; i < n; ++i) wanted += task.rows->test(v.row(at + i));
        if (wanted == 0) continue;
      }
      scored += wanted;
      const bool all = wanted * 2 >= n;  // a run of rows costs less than single ones
      if (all) scorer_.score_rows(v.data + at * v.dimension, norms + at, n, scores.data());
      for (size_t i = 0; i < n; ++i) {
        if (!task.wants(at + i)) continue;
        const float score = all ? scores[i] : scorer_.score(v.data + (at + i) * v.dimension, norms[at + i]);
        if (score >= min_score) good[found++] = {score, task.view, uint32_t(v.row(at + i))};
      }
      sink({good.data(), found});
    }
    return scored;
  }

 private:
  const std::vector<float> query_;
  const Scorer scorer_;
};

class MultiScorer : public RowScorer {
 public:
  MultiScorer(Metric metric, std::vector<float> query, size_t dimension) : query_(std::move(query)) {
    for (size_t at = 0; at < query_.size(); at += dimension) tokens_.emplace_back(metric, query_.data() + at, dimension);
  }

  size_t ordinals_per_task(const RowBlock& block, int column) const override {
    const MultiColumn& v = *block.multi(column);
    const size_t pairs = tokens_.size() * v.tokens() / v.count;
    return std::max<size_t>(kRowsPerTask / std::max<size_t>(pairs, 1), 1);
  }

  size_t score(const ScoreTask& task, float min_score, const RowSink& sink) const override {
    size_t scored = 0;
    std::vector<float> best(tokens_.size());
    for (size_t o = task.begin; o < task.end; ++o) {
      if (!task.wants(o)) continue;
      ++scored;
      const ScoredRow row{score_document(task, o, best), task.view, uint32_t(task.ordinals->row(o))};
      if (row.score >= min_score) sink({&row, 1});
    }
    return scored;
  }

 private:
  float score_document(const ScoreTask& task, size_t ordinal, std::vector<float>& best) const {
    const MultiColumn& v = *task.view->segment->block().multi(task.column);
    const float* norms = task.view->segment->norms(task.column);
    std::array<float, kRowsPerCall> scores;
    std::fill(best.begin(), best.end(), -std::numeric_limits<float>::infinity());
    // A few tokens of the document at a time, so that they stay in the cache while all of the query's pass over them.
    for (size_t at = v.first[ordinal]; at < v.first[ordinal + 1]; at += kRowsPerCall) {
      const size_t n = std::min<size_t>(kRowsPerCall, v.first[ordinal + 1] - at);
      for (size_t q = 0; q < tokens_.size(); ++q) {
        tokens_[q].score_rows(v.data + at * v.dimension, norms + at, n, scores.data());
        best[q] = std::max(best[q], *std::max_element(scores.begin(), scores.begin() + ptrdiff_t(n)));
      }
    }
    float sum = 0;
    for (const float score : best) sum += score;
    if (std::isfinite(sum)) return sum;
    double wide = 0;
    for (const float score : best) wide += score;
    return finite(wide);
  }

  const std::vector<float> query_;
  std::vector<Scorer> tokens_;
};

class SparseScorer : public RowScorer {
 public:
  explicit SparseScorer(SparseQuery query) : query_(std::move(query)) {}

  size_t ordinals_per_task(const RowBlock&, int) const override { return kRowsPerTask; }

  size_t score(const ScoreTask& task, float min_score, const RowSink& sink) const override {
    size_t wanted = task.end - task.begin;
    if (task.rows != nullptr) {
      wanted = 0;
      for (size_t o = task.begin; o < task.end; ++o) wanted += task.wants(o);
    }
    const SparseColumn& v = *task.view->segment->block().sparse(task.column);
    const bool by_lists = v.first.back() >= kMinListEntries && wanted * 16 >= task.end - task.begin;
    return by_lists ? score_lists(task, min_score, sink) : score_rows(task, min_score, sink);
  }

 private:
  // Row by row: both sides ascend.
  size_t score_rows(const ScoreTask& task, float min_score, const RowSink& sink) const {
    const SparseColumn& v = *task.view->segment->block().sparse(task.column);
    size_t scored = 0;
    for (size_t o = task.begin; o < task.end; ++o) {
      if (!task.wants(o)) continue;
      float sum = 0;
      const size_t shared = each_shared(v, o, [&](float q, float x) {
        const float product = q * x;
        sum += product;
      });
      if (shared == 0) continue;
      ++scored;
      offer(task, v, o, sum, min_score, sink);
    }
    return scored;
  }

  // List by list: a row meets the query's indices in the same order.
  size_t score_lists(const ScoreTask& task, float min_score, const RowSink& sink) const {
    const SparseColumn& v = *task.view->segment->block().sparse(task.column);
    const SparseIndex& index = task.view->segment->sparse_index(task.column);
    std::vector<float> sums(task.end - task.begin);
    std::vector<uint8_t> shares(sums.size());
    for (size_t i = 0; i < query_.indices.size(); ++i) {
      const auto list = index.list(query_.indices[i]);
      auto it = std::lower_bound(list.begin(), list.end(), task.begin, [](const Posting& p, size_t o) { return p.ordinal < o; });
      for (; it != list.end() && it->ordinal < task.end; ++it) {
        const float product = query_.values[i] * it->value;
        sums[it->ordinal - task.begin] += product;
        shares[it->ordinal - task.begin] = 1;
      }
    }
    size_t scored = 0;
    for (size_t i = 0; i < sums.size(); ++i) {
      if (shares[i] == 0 || !task.wants(task.begin + i)) continue;
      ++scored;
      offer(task, v, task.begin + i, sums[i], min_score, sink);
    }
    return scored;
  }

  void offer(const ScoreTask& task, const SparseColumn& v, size_t ordinal, float sum, float min_score, const RowSink& sink) const {
    if (!std::isfinite(sum)) {
      double wide = 0;
      each_shared(v, ordinal, [&](float q, float x) { wide += double(q) * double(x); });
      sum = finite(wide);
    }
    const ScoredRow row{sum, task.view, uint32_t(v.row(ordinal))};
    if (sum >= min_score) sink({&row, 1});
  }

  // Calls visit(query's value, row's value) for each index that both have, ascending. Returns their number.
  template <class Visit>
  size_t each_shared(const SparseColumn& v, size_t ordinal, Visit&& visit) const {
    size_t shared = 0, q = 0;
    for (size_t e = v.first[ordinal]; e < v.first[ordinal + 1] && q < query_.indices.size(); ++e) {
      const auto index = uint32_t(v.indices[e]);
      while (q < query_.indices.size() && query_.indices[q] < index) ++q;
      if (q == query_.indices.size() || query_.indices[q] != index) continue;
      visit(query_.values[q], v.values[e]);
      ++shared;
    }
    return shared;
  }

  const SparseQuery query_;
};

Status check_finite(const std::vector<float>& values) {
  if (std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) return Ok{};
  return bad_request("the query vector holds a value that is not finite");
}

using Made = Result<std::unique_ptr<RowScorer>>;

Made make_scorer(const VectorSpec& spec, const DenseQuery& query) {
  if (query.values.size() != spec.dimension)
    return bad_request(
        fmt::format("the query has {} values; vector '{}' has dimension {}", query.values.size(), spec.name, spec.dimension));
  QUARRY_RETURN_IF_ERROR(check_finite(query.values));
  return std::unique_ptr<RowScorer>(std::make_unique<DenseScorer>(spec.metric, query.values));
}

Made make_scorer(const VectorSpec& spec, const MultiVectorQuery& query) {
  const size_t tokens = query.values.size() / spec.dimension;
  if (tokens == 0 || query.values.size() % spec.dimension != 0)
    return bad_request(
        fmt::format("the query has {} values; vector '{}' takes tokens of {} values", query.values.size(), spec.name, spec.dimension));
  if (tokens > kMaxQueryTokens) return bad_request(fmt::format("the query has {} tokens; {} are allowed", tokens, kMaxQueryTokens));
  QUARRY_RETURN_IF_ERROR(check_finite(query.values));
  return std::unique_ptr<RowScorer>(std::make_unique<MultiScorer>(spec.metric, query.values, spec.dimension));
}

Made make_scorer(const VectorSpec&, const SparseQuery& query) {
  if (query.indices.size() != query.values.size())
    return bad_request(fmt::format("the query has {} indices and {} values", query.indices.size(), query.values.size()));
  if (query.indices.empty() || query.indices.size() > kMaxSparseEntries)
    return bad_request(fmt::format("the query has {} entries: 1 to {} are allowed", query.indices.size(), kMaxSparseEntries));
  for (size_t i = 1; i < query.indices.size(); ++i)
    if (query.indices[i] <= query.indices[i - 1])
      return bad_request(fmt::format("the query's index {} does not ascend or is there twice", query.indices[i]));
  QUARRY_RETURN_IF_ERROR(check_finite(query.values));
  return std::unique_ptr<RowScorer>(std::make_unique<SparseScorer>(query));
}

Made make_scorer(const VectorSpec&, const TextQuery&) { return bad_request("a text query has no vector"); }

}  // namespace

Made make_row_scorer(const TableSchema& schema, const SearchRequest& request) {
  static constexpr std::array kKinds{VectorKind::kDense, VectorKind::kSparse, VectorKind::kMulti};  // by the query's alternative
  const int column = schema.find_vector(request.vector_name);
  if (column < 0) return bad_request(fmt::format("the collection has no vector '{}'", request.vector_name));
  const VectorSpec& spec = schema.columns()[size_t(column)].vector;
  const size_t kind = request.query.index();
  if (kind < kKinds.size() && kKinds[kind] != spec.kind)
    return bad_request(
        fmt::format("vector '{}' is {}; a {} query can't search it", spec.name, to_string(spec.kind), to_string(kKinds[kind])));
  return std::visit([&](const auto& query) { return make_scorer(spec, query); }, request.query);
}

}  // namespace quarry::mvs
