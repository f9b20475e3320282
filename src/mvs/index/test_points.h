// Vectors for tests of the index, and what plain arithmetic says of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "mvs/index/graph.h"

namespace quarry::mvs::test {

using Row = std::vector<float>;

// Points around a few hundred centres in a space of low dimension, as embeddings lie.
class Points {
 public:
  Points(size_t dimension, uint64_t seed) : dimension_(dimension), random_(seed), basis_(12 * dimension), centres_(200 * 12) {
    for (auto& v : basis_) v = normal_(random_);
    for (auto& v : centres_) v = normal_(random_);
  }

  Row draw(float scale = 1) {
    const size_t centre = random_() % 200;
    float at[12];
    for (size_t i = 0; i < 12; ++i) at[i] = centres_[centre * 12 + i] + 0.5f * normal_(random_);
    Row out(dimension_);
    for (size_t d = 0; d < dimension_; ++d) {
      for (size_t i = 0; i < 12; ++i) out[d] += at[i] * basis_[i * dimension_ + d];
      out[d] = scale * (out[d] + 0.3f * normal_(random_));
    }
    return out;
  }
  std::vector<Row> draw_many(size_t n, bool lengths_differ = false) {
    std::vector<Row> out;
    for (size_t i = 0; i < n; ++i) out.push_back(draw(lengths_differ ? 0.5f + float(random_() % 1000) / 500 : 1));
    return out;
  }

 private:
  size_t dimension_;
  std::mt19937_64 random_;
  std::normal_distribution<float> normal_;
  Row basis_, centres_;
};

inline double score_of(Metric metric, const Row& a, const Row& b) {
  double dot = 0, aa = 0, bb = 0, dd = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += double(a[i]) * b[i];
    aa += double(a[i]) * a[i];
    bb += double(b[i]) * b[i];
    dd += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  }
  if (metric == Metric::kDot) return dot;
  return metric == Metric::kEuclidean ? -dd : aa > 0 && bb > 0 ? dot / std::sqrt(aa * bb) : 0;
}

inline std::vector<uint32_t> nearest(Metric metric, const Row& query, const std::vector<Row>& rows, size_t k,
                              const std::function<bool(uint32_t)>& accept = {}) {
  std::vector<std::pair<double, uint32_t>> all;
  for (uint32_t i = 0; i < rows.size(); ++i)
    if (!accept || accept(i)) all.emplace_back(-score_of(metric, query, rows[i]), i);
  std::sort(all.begin(), all.end());
  std::vector<uint32_t> out;
  for (size_t i = 0; i < std::min(k, all.size()); ++i) out.push_back(all[i].second);
  return out;
}

inline double overlap(const std::vector<uint32_t>& truth, const std::vector<Candidate>& found) {
  size_t hits = 0;
  for (const uint32_t id : truth) hits += std::any_of(found.begin(), found.end(), [&](const Candidate& c) { return c.node == id; });
  return truth.empty() ? 1 : double(hits) / double(truth.size());
}

inline std::vector<const float*> pointers(const std::vector<Row>& rows) {
  std::vector<const float*> out;
  for (const Row& row : rows) out.push_back(row.data());
  return out;
}

inline std::shared_ptr<const Quantizer> trained(Metric metric, const std::vector<Row>& rows) {
  const auto sample = pointers(rows);
  return std::make_shared<const Quantizer>(metric, rows.front().size(), sample);
}

}  // namespace quarry::mvs::test
