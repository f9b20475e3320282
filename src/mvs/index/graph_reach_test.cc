// Graphs of rows that came in an order.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/executor.h"
#include "mvs/index/graph.h"

namespace quarry::mvs {
namespace {

constexpr size_t kDimension = 32;
constexpr size_t kClusters = 200, kClusterSize = 150;
constexpr uint32_t kArriving = 8192;  // rows at a time

// One cluster after another, as documents come that are read topic by topic; they lie far apart for their width.
std::vector<std::vector<float>> clustered(std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> out(kClusters * kClusterSize, std::vector<float>(kDimension));
  for (size_t c = 0; c < kClusters; ++c) {
    float centre[kDimension];
    for (float& v : centre) v = normal(random);
    for (size_t i = 0; i < kClusterSize; ++i)
      for (size_t d = 0; d < kDimension; ++d) out[c * kClusterSize + i][d] = centre[d] + 0.15f * normal(random);
  }
  return out;
}

std::vector<uint32_t> nearest_to(const std::vector<float>& query, const std::vector<std::vector<float>>& rows, size_t count) {
  std::vector<std::pair<float, uint32_t>> all;
  for (uint32_t i = 0; i < rows.size(); ++i) {
    float sum = 0;
    for (size_t d = 0; d < kDimension; ++d) sum += (rows[i][d] - query[d]) * (rows[i][d] - query[d]);
    all.emplace_back(sum, i);
  }
  std::partial_sort(all.begin(), all.begin() + std::ptrdiff_t(count), all.end());
  std::vector<uint32_t> out;
  for (size_t i = 0; i < count; ++i) out.push_back(all[i].second);
  return out;
}

// Of the ten nearest rows to each of 100 places beside rows from `first` on, how many a search finds.
size_t found_of(const Graph& graph, const std::vector<std::vector<float>>& rows, size_t first, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  QueryCodes codes;
  std::vector<Candidate> found;
  size_t hits = 0;
  for (int q = 0; q < 100; ++q) {
    std::vector<float> query = rows[first + random() % (rows.size() - first)];
    for (float& v : query) v += 0.05f * normal(random);
    graph.quantizer().prepare(query.data(), codes);
    graph.search(codes, 64, nullptr, found);
    for (const uint32_t wanted : nearest_to(query, rows, 10))
      hits += std::any_of(found.begin(), found.end(), [&](const Candidate& c) { return c.node == wanted; });
  }
  return hits;
}

TEST(GraphReachTest, RowsOfATopicThatCameTogetherAreFound) {
  std::mt19937_64 random(23);
  const auto rows = clustered(random);
  std::vector<const float*> pointers;
  for (const auto& row : rows) pointers.push_back(row.data());
  Executor executor("graph-test", 2, 64);
  Graph graph(std::make_shared<const Quantizer>(Metric::kEuclidean, kDimension, pointers));
  ASSERT_TRUE(graph.append(pointers, &executor));
  for (uint32_t until = kArriving; graph.linked() < rows.size(); until += kArriving) graph.link(until, &executor);

  EXPECT_GE(found_of(graph, rows, 0, random), 950u) << "of 1000";
  EXPECT_GE(found_of(graph, rows, rows.size() - 2 * kClusterSize, random), 950u) << "of 1000 among the newest";
}

}  // namespace
}  // namespace quarry::mvs
