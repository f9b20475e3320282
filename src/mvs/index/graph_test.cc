// Graphs against exact search.
#include <gtest/gtest.h>

#include <thread>

#include "mvs/index/graph.h"
#include "mvs/index/test_points.h"

namespace quarry::mvs {
namespace {

using test::nearest, test::overlap, test::pointers, test::Points, test::Row, test::trained;

class IndexMetricTest : public ::testing::TestWithParam<std::tuple<Metric, size_t>> {};

TEST_P(IndexMetricTest, CodesOrderAsScoresDo) {
  const auto [metric, dimension] = GetParam();
  Points points(dimension, 7);
  const auto rows = points.draw_many(3000, metric == Metric::kDot);
  Graph graph(trained(metric, rows));
  ASSERT_TRUE(graph.append(pointers(rows), nullptr));
  QueryCodes codes;
  double found = 0;
  for (int q = 0; q < 30; ++q) {
    const Row query = points.draw();
    graph.quantizer().prepare(query.data(), codes);
    std::vector<Candidate> out;
    graph.scan(codes, 0, graph.size(), 30, nullptr, out);
    ASSERT_EQ(out.size(), 30u);
    ASSERT_TRUE(std::is_sorted(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.key < b.key; }));
    found += overlap(nearest(metric, query, rows, 10), out);
  }
  EXPECT_GT(found / 30, 0.97);
}

TEST_P(IndexMetricTest, WalksFindTheNearest) {
  const auto [metric, dimension] = GetParam();
  Points points(dimension, 11);
  const auto rows = points.draw_many(6000, metric == Metric::kDot);
  Executor executor("graph-test", 2, 64);
  Graph graph(trained(metric, rows));
  ASSERT_TRUE(graph.append(pointers(rows), &executor));
  graph.link(4000, &executor);
  graph.link(6000, &executor);
  QueryCodes codes;
  double plain = 0, filtered = 0;
  Bitmap thirds(rows.size());
  for (size_t node = 0; node < rows.size(); node += 3) thirds.set(node);
  for (int q = 0; q < 40; ++q) {
    const Row query = points.draw();
    graph.quantizer().prepare(query.data(), codes);
    std::vector<Candidate> out;
    graph.search(codes, 64, nullptr, out);
    plain += overlap(nearest(metric, query, rows, 10), out);
    const auto wanted = nearest(metric, query, rows, 10, [](uint32_t i) { return i % 3 == 0; });
    for (const bool two_hops : {false, true}) {
      const NodeFilter third{thirds, two_hops};
      EXPECT_TRUE(graph.search(codes, 64, &third, out));
      for (const auto& c : out) EXPECT_EQ(c.node % 3, 0u);
      filtered += overlap(wanted, out) / 2;
    }
    const NodeFilter hurried{thirds, true, 3};
    EXPECT_FALSE(graph.search(codes, 64, &hurried, out));
  }
  EXPECT_GT(plain / 40, 0.95);
  EXPECT_GT(filtered / 40, 0.95);
}

INSTANTIATE_TEST_SUITE_P(All, IndexMetricTest,
                         ::testing::Combine(::testing::Values(Metric::kCosine, Metric::kDot, Metric::kEuclidean),
                                            ::testing::Values(size_t{32}, size_t{100}, size_t{160}, size_t{384})));

TEST(GraphTest, SameNodesSameGraphOnAnyNumberOfThreads) {
  Points points(64, 13);
  const auto rows = points.draw_many(3000);
  Executor executor("graph-test", 3, 64);
  std::vector<Candidate> found[2];
  for (int threaded = 0; threaded < 2; ++threaded) {
    Graph graph(trained(Metric::kCosine, rows));
    ASSERT_TRUE(graph.append(pointers(rows), threaded ? &executor : nullptr));
    graph.link(3000, threaded ? &executor : nullptr);
    QueryCodes codes;
    graph.quantizer().prepare(rows[5].data(), codes);
    graph.search(codes, 200, nullptr, found[threaded]);
  }
  ASSERT_EQ(found[0].size(), found[1].size());
  for (size_t i = 0; i < found[0].size(); ++i) EXPECT_EQ(found[0][i].node, found[1][i].node);
}

TEST(GraphTest, EveryNodeCanBeReached) {
  Points points(32, 17);
  auto rows = points.draw_many(2000);
  for (size_t i = 0; i < 500; ++i) rows.push_back(rows[3]);  // as many equal vectors as no node has links for
  for (size_t i = 0; i < 20; ++i) rows.push_back(Row(32, 0));
  Graph graph(trained(Metric::kCosine, rows));
  ASSERT_TRUE(graph.append(pointers(rows), nullptr));
  graph.link(uint32_t(rows.size()), nullptr);
  QueryCodes codes;
  graph.quantizer().prepare(rows[0].data(), codes);
  std::vector<Candidate> out;
  graph.search(codes, rows.size(), nullptr, out);
  EXPECT_GE(out.size(), rows.size() * 99 / 100);
}

TEST(GraphTest, ReadersSearchWhileTheWriterLinks) {
  Points points(64, 19);
  const auto rows = points.draw_many(4000);
  Executor executor("graph-test", 2, 64);
  Graph graph(trained(Metric::kCosine, rows));
  const auto all = pointers(rows);
  ASSERT_TRUE(graph.append(std::span(all).first(1000), &executor));
  graph.link(1000, &executor);
  std::atomic<bool> done{false};
  std::thread reader([&] {
    QueryCodes codes;
    std::vector<Candidate> out;
    for (size_t q = 0; !done; q = (q + 1) % 1000) {
      graph.quantizer().prepare(rows[q].data(), codes);
      graph.search(codes, 32, nullptr, out);
      EXPECT_EQ(out.size(), 32u);
      EXPECT_LT(out.back().node, 4000u);
    }
  });
  for (size_t at = 1000; at < 4000; at += 500) {
    ASSERT_TRUE(graph.append(std::span(all).subspan(at, 500), &executor));
    graph.link(uint32_t(at + 500), &executor);
  }
  done = true;
  reader.join();
}

TEST(GraphTest, RefusesWhatDoesNotFit) {
  Points points(64, 23);
  const auto rows = points.draw_many(101);
  GraphOptions options;
  options.max_nodes = 100;
  Graph graph(trained(Metric::kCosine, rows), options);
  EXPECT_FALSE(graph.append(pointers(rows), nullptr));
  EXPECT_EQ(graph.size(), 0u);
}

}  // namespace
}  // namespace quarry::mvs
