// Graphs of rows that came in an order.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/executor.h"
#include "mvs/index/graph.h"
#include "mvs/index/test_points.h"

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
    hits += size_t(std::lround(10 * test::overlap(test::nearest(Metric::kEuclidean, query, rows, 10), found)));
  }
  return hits;
}

TEST(GraphReachTest, RowsOfATopicThatCameTogetherAreFound) {
  std::mt19937_64 random(23);
  const auto rows = clustered(random);
  const auto pointers = test::pointers(rows);
  Executor executor("graph-test", 2, 64);
  Graph graph(std::make_shared<const Quantizer>(Metric::kEuclidean, kDimension, pointers));
  ASSERT_TRUE(graph.append(pointers, &executor));
  for (uint32_t until = kArriving; graph.linked() < rows.size(); until += kArriving) graph.link(until, &executor);

  EXPECT_GE(found_of(graph, rows, 0, random), 950u) << "of 1000";
  EXPECT_GE(found_of(graph, rows, rows.size() - 2 * kClusterSize, random), 950u) << "of 1000 among the newest";
}

}  // namespace
}  // namespace quarry::mvs
