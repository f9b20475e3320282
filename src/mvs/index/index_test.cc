// Codes, graphs and searches through them, against plain arithmetic and exact search.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "base/metrics.h"
#include "base/temporary_folder.h"
#include "mvs/index/code_kernels.h"
#include "mvs/index/graph.h"
#include "mvs/index/query_kernels.h"
#include "mvs/index/recall_probe.h"
#include "mvs/test_table.h"

namespace quarry::mvs {
namespace {

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

double score_of(Metric metric, const Row& a, const Row& b) {
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

std::vector<uint32_t> nearest(Metric metric, const Row& query, const std::vector<Row>& rows, size_t k,
                              const std::function<bool(uint32_t)>& accept = {}) {
  std::vector<std::pair<double, uint32_t>> all;
  for (uint32_t i = 0; i < rows.size(); ++i)
    if (!accept || accept(i)) all.emplace_back(-score_of(metric, query, rows[i]), i);
  std::sort(all.begin(), all.end());
  std::vector<uint32_t> out;
  for (size_t i = 0; i < std::min(k, all.size()); ++i) out.push_back(all[i].second);
  return out;
}

double overlap(const std::vector<uint32_t>& truth, const std::vector<Candidate>& found) {
  size_t hits = 0;
  for (const uint32_t id : truth) hits += std::any_of(found.begin(), found.end(), [&](const Candidate& c) { return c.node == id; });
  return truth.empty() ? 1 : double(hits) / double(truth.size());
}

std::vector<const float*> pointers(const std::vector<Row>& rows) {
  std::vector<const float*> out;
  for (const Row& row : rows) out.push_back(row.data());
  return out;
}

std::shared_ptr<const Quantizer> trained(Metric metric, const std::vector<Row>& rows) {
  const auto sample = pointers(rows);
  return std::make_shared<const Quantizer>(metric, rows.front().size(), sample);
}

TEST(CodeKernelsTest, EveryTargetGivesTheSameSums) {
  std::mt19937_64 random(3);
  for (const size_t words : {1, 2, 6, 8, 9, 16, 24}) {
    const size_t record_bytes = words * 8 + sizeof(SketchTail), width = words * 64, count = 21;
    std::vector<uint64_t> planes(kQueryPlanes * words), storage(count * record_bytes / 8);
    for (auto& p : planes) p = random();
    for (auto& s : storage) s = random();
    auto* base = reinterpret_cast<uint8_t*>(storage.data());
    const size_t blocks = (count + kBlockSketches - 1) / kBlockSketches, block_bytes = sketch_block_bytes(words);
    std::vector<std::array<uint64_t, 8>> memory(blocks * block_bytes / 64 + 1);
    auto* in_blocks = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
    std::vector<uint32_t> ids;
    for (uint32_t i = 0; i < count; ++i) {
      const SketchTail tail{float(random() % 100) / 50, float(random() % (40 * width)) - 20 * float(width), float(random() % 10), float(random() % width)};
      std::memcpy(base + i * record_bytes + words * 8, &tail, sizeof tail);
      ids.push_back((i * 5) % count);
    }
    for (uint32_t i = 0; i < blocks * kBlockSketches; ++i)
      put_in_block(i < count ? base + i * record_bytes : nullptr, words, i % kBlockSketches, in_blocks + i / kBlockSketches * block_bytes);
    std::vector<int8_t> query(width);
    std::vector<std::vector<uint8_t>> codes(count, std::vector<uint8_t>(width));
    std::vector<const uint8_t*> code_pointers;
    for (auto& q : query) q = int8_t(random());
    for (auto& code : codes) {
      for (auto& c : code) c = uint8_t(random());
      code_pointers.push_back(code.data());
    }
    const SketchQuery sketch{planes.data(), words, record_bytes, 0.25f, 0.5f, 3, 1.5f};
    const float bound = -2 * float(width);
    const auto all = all_code_kernels();
    const auto run = [&](const CodeKernels& k) {
      std::vector<uint32_t> kept = ids, places(blocks * kBlockSketches);
      std::vector<float> keys(places.size());
      std::vector<int32_t> dots(count);
      const size_t below = k.block_filter(sketch, in_blocks, blocks, bound, places.data(), keys.data());
      places.resize(below);
      keys.resize(below);
      k.byte_dots(query.data(), width, code_pointers.data(), count, dots.data());
      kept.resize(k.sketch_filter(sketch, base, bound, kept.data(), count));
      std::vector<int8_t> as_query(width);
      const int32_t sum = k.to_query(codes[0].data(), width, as_query.data());
      return std::make_tuple(places, keys, dots, kept, as_query, sum);
    };
    const auto expected = run(all.back().kernels);
    std::vector<uint32_t> kept = std::get<3>(expected);
    ASSERT_GT(kept.size(), 0u);
    ASSERT_LT(kept.size(), count);
    std::sort(kept.begin(), kept.end());
    EXPECT_EQ(std::get<0>(expected), kept) << "blocks hold what the records do";
    for (const auto& named : all) EXPECT_EQ(run(named.kernels), expected) << named.target << " " << words;
  }
}

TEST(QueryKernelsTest, EveryTargetGivesTheSameBits) {
  std::mt19937_64 random(4);
  std::normal_distribution<float> normal;
  const auto all = all_query_kernels();
  for (const size_t width : {64, 128, 384, 1024}) {
    std::vector<float> values(width), signs(width);
    for (float& v : values) v = normal(random);
    for (float& s : signs) s = (random() % 2 == 0 ? 1.0f : -1.0f) / 8;
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const float low = *least, high = *most;
    const auto run = [&](const QueryKernels& k) {
      EXPECT_EQ(k.range(values.data(), width), (ValueRange{low, high}));
      std::vector<float> rotated = values;
      k.flip(rotated.data(), signs.data(), width);
      k.hadamard(rotated.data(), std::bit_floor(width));
      std::vector<uint64_t> planes(kQueryPlanes * width / 64);
      const int64_t levels = k.cut(values.data(), width, low, 15 / (high - low), planes.data());
      std::vector<int8_t> bytes(width);
      const int32_t sum = k.to_bytes(values.data(), width, 127 / std::max(high, -low), bytes.data());
      return std::make_tuple(rotated, planes, levels, bytes, sum);
    };
    const auto expected = run(all.back().kernels);
    for (const auto& named : all) EXPECT_EQ(run(named.kernels), expected) << named.target << " " << width;
    const auto& [rotated, planes, levels, bytes, sum] = expected;
    int64_t from_planes = 0;
    for (size_t p = 0; p < kQueryPlanes; ++p)
      for (size_t w = 0; w < width / 64; ++w) from_planes += int64_t(std::popcount(planes[p * (width / 64) + w])) << p;
    EXPECT_EQ(from_planes, levels);
    EXPECT_EQ(std::accumulate(bytes.begin(), bytes.end(), 0), sum);
  }
}

TEST(RotationTest, KeepsLengthsAndProducts) {
  for (const size_t width : {64, 128, 192, 384, 448, 768}) {
    Points points(width, 5);
    const Rotation rotation(width, 17);
    Row a = points.draw(), b = points.draw();
    const double before = score_of(Metric::kDot, a, b), length = score_of(Metric::kDot, a, a);
    rotation.apply(a.data());
    rotation.apply(b.data());
    EXPECT_NEAR(score_of(Metric::kDot, a, b), before, 1e-4 * length);
    EXPECT_NEAR(score_of(Metric::kDot, a, a), length, 1e-4 * length);
  }
}

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
                                            ::testing::Values(size_t{32}, size_t{100}, size_t{384})));

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

// ---- through the store ------------------------------------------------------------------------------------------------

class IndexedStoreTest : public ::testing::Test {
 protected:
  void open() {
    store_ = std::move(VectorStore::open({.store = objects_.get(),
                                          .executor = executor_,
                                          .commit_window_us = 0,
                                          .target_file_bytes = 100'000,
                                          .local_folder = local_,
                                          .index_min_rows = 1000,
                                          .recall_probe_interval_us = executor_ != nullptr ? 1 : 0}))
                 .value();
  }
  void SetUp() override {
    open();
    ASSERT_TRUE(store_->create_table({"col_a", "org/ns/col_a", {{"v", "uri", 32, Metric::kCosine}}, {{"color", FieldType::kString}}}).ok());
  }
  void upsert(size_t first, size_t count) {
    WriteBatch batch;
    for (size_t i = first; i < first + count; ++i) {
      Document d;
      d.document_id = fmt::format("doc_{:06}", i);
      d.payload = {{"color", i % 2 == 0 ? "red" : i % 100 == 1 ? "gold" : "blue"}};
      d.vectors = {{"v", points_.draw()}};
      batch.upserts.push_back(std::move(d));
    }
    ASSERT_TRUE(store_->write("col_a", std::move(batch)).ok());
  }
  std::vector<std::string> search(const Row& query, bool exact, const Filter& filter = {}) {
    SearchRequest r;
    r.table_id = "col_a";
    r.vector_name = "v";
    r.query = DenseQuery{query};
    r.filter = filter;
    r.exact = exact;
    auto found = store_->search(r);
    EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().message);
    std::vector<std::string> out;
    if (found.ok())
      for (const auto& hit : found->hits) out.push_back(hit.document.document_id + " " + std::to_string(std::bit_cast<uint32_t>(hit.score)));
    return out;
  }
  double recall(const Filter& filter = {}) {
    size_t found = 0, wanted = 0;
    for (int q = 0; q < 25; ++q) {
      const Row query = points_.draw();
      const auto exact = search(query, true, filter), quick = search(query, false, filter);
      EXPECT_EQ(exact.size(), quick.size());
      const std::set<std::string> truth(exact.begin(), exact.end());
      wanted += exact.size();
      for (const auto& hit : quick) found += truth.contains(hit);  // the id and the bits of the score
    }
    return wanted == 0 ? 0 : double(found) / double(wanted);
  }
  static Filter color(const char* name) {
    return *parse_filter(json::object{{"field", "color"}, {"operator", "eq"}, {"value", name}});
  }

  void attach() {
    store_.reset();
    open();
    ASSERT_TRUE(store_->attach_table({"col_a", "org/ns/col_a", {}, {}}).ok());
  }
  std::vector<std::filesystem::path> local_files(const char* extension) const {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(local_))
      if (entry.path().extension() == extension) out.push_back(entry.path());
    return out;
  }
  // A graph's walk scores few rows; an exact search all of them.
  uint64_t rows_scored() {
    SearchRequest r;
    r.table_id = "col_a";
    r.vector_name = "v";
    r.query = DenseQuery{points_.draw()};
    return store_->search(r)->rows_scored;
  }

  std::filesystem::path local_;   // empty: everything in memory
  Executor* executor_ = nullptr;  // none: upkeep runs within the writes
  Points points_{32, 29};
  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
  std::unique_ptr<VectorStore> store_;
};

TEST_F(IndexedStoreTest, FindsWhatExactSearchFinds) {
  for (size_t at = 0; at < 4000; at += 500) upsert(at, 500);
  EXPECT_GT(recall(), 0.95);
  EXPECT_GT(recall(color("red")), 0.95);
  EXPECT_GT(recall(color("gold")), 0.95);
  EXPECT_TRUE(search(points_.draw(), false, color("green")).empty());
}

TEST_F(IndexedStoreTest, GroupsAreThoseOfAnExactSearch) {
  for (size_t at = 0; at < 3000; at += 500) upsert(at, 500);
  SearchRequest r;
  r.table_id = "col_a";
  r.vector_name = "v";
  r.group = GroupSpec{.field = "color", .max_per_group = 2, .limit = 3};
  size_t same = 0;
  for (int q = 0; q < 20; ++q) {
    r.query = DenseQuery{points_.draw()};
    std::vector<std::string> ids[2];
    for (const bool exact : {false, true}) {
      r.exact = exact;
      const auto found = store_->search(r);
      ASSERT_TRUE(found.ok()) << found.error().message;
      EXPECT_EQ(found->hits.size(), 6u);  // gold is rare: its group takes many rows to fill
      for (const auto& hit : found->hits) ids[exact].push_back(hit.document.document_id);
    }
    same += ids[0] == ids[1];
  }
  EXPECT_GE(same, 17u);
}

TEST_F(IndexedStoreTest, FreshChangedAndDeletedRowsCountAtOnce) {
  for (size_t at = 0; at < 3000; at += 300) upsert(at, 300);
  for (int round = 0; round < 30; ++round) {
    WriteBatch batch;
    const size_t gone = size_t(round) * 90;
    Document changed;
    changed.document_id = fmt::format("doc_{:06}", gone + 1);
    changed.vectors = {{"v", points_.draw()}};
    const Row fresh = changed.vectors[0].values;
    batch.upserts.push_back(changed);
    for (size_t i = gone + 2; i < gone + 50; ++i) batch.deletes.push_back(fmt::format("doc_{:06}", i));
    ASSERT_TRUE(store_->write("col_a", std::move(batch)).ok());
    const auto hits = search(fresh, false);
    ASSERT_FALSE(hits.empty());
    EXPECT_EQ(hits[0].substr(0, 10), changed.document_id);
    EXPECT_EQ(hits[0], search(fresh, true)[0]);
  }
  ASSERT_TRUE(store_->maintain("col_a").ok());
  EXPECT_GT(recall(), 0.95);
  ASSERT_TRUE(store_->delete_where("col_a", color("red")).ok());
  ASSERT_TRUE(store_->maintain("col_a").ok());
  EXPECT_GT(recall(), 0.95);
  const uint64_t before = store_->stats("col_a")->memory_bytes;
  open();
  ASSERT_TRUE(store_->attach_table({"col_a", "org/ns/col_a", {}, {}}).ok());
  EXPECT_GT(recall(), 0.95);
  EXPECT_GT(before, 0u);
}

TEST_F(IndexedStoreTest, DeadNeighboursDoNotHideLiveOnes) {
  for (size_t at = 0; at < 3000; at += 300) upsert(at, 300);
  ASSERT_TRUE(store_->maintain("col_a").ok());
  for (int round = 0; round < 3; ++round) {
    const Row query = points_.draw();
    SearchRequest r;
    r.table_id = "col_a";
    r.vector_name = "v";
    r.k = 300;
    r.query = DenseQuery{query};
    r.exact = true;
    const auto nearest = store_->search(r);
    ASSERT_TRUE(nearest.ok());
    WriteBatch gone;
    for (const Hit& hit : nearest->hits) gone.deletes.push_back(hit.document.document_id);
    ASSERT_TRUE(store_->write("col_a", std::move(gone)).ok());
    const auto exact = search(query, true), quick = search(query, false);
    ASSERT_EQ(quick.size(), exact.size());
    EXPECT_GE(std::count_if(quick.begin(), quick.end(), [&](const auto& hit) { return std::find(exact.begin(), exact.end(), hit) != exact.end(); }), 9);
  }
}

// quarry_mvs_recall: how many probes, and the sum of what they found.
std::pair<double, double> probes_told() {
  std::pair<double, double> out{0, 0};
  std::istringstream lines(metrics::render());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("quarry_mvs_recall_count ")) out.first = std::stod(line.substr(line.find(' ')));
    if (line.starts_with("quarry_mvs_recall_sum ")) out.second = std::stod(line.substr(line.find(' ')));
  }
  return out;
}

TEST(RecallProbeTest, RowsThatTieWithTheLastCount) {
  EXPECT_EQ(recall_of({}, {}), 1);
  EXPECT_EQ(recall_of({}, {0.5f}), 0);
  EXPECT_EQ(recall_of({0.9f, 0.7f, 0.4f}, {0.9f, 0.8f, 0.7f, 0.7f}), 0.5);
  EXPECT_EQ(recall_of({0.9f, 0.7f, 0.7f}, {0.9f, 0.7f, 0.7f}), 1);
}

TEST_F(IndexedStoreTest, ProbesTellWhatTheIndexFinds) {
  for (size_t at = 0; at < 8000; at += 2000) upsert(at, 2000);
  ASSERT_TRUE(store_->maintain("col_a").ok());
  double mean[2] = {};
  for (const size_t effort : {1u, 400u}) {
    Executor executor("probes", 1, 1000);
    executor_ = &executor;
    attach();
    ASSERT_TRUE(store_->maintain("col_a").ok());
    const auto before = probes_told();
    // A search while a probe runs begins none: there are more searches than probes.
    for (int q = 0; q < 100'000 && probes_told().first - before.first < 40; ++q) {
      SearchRequest r;
      r.table_id = "col_a";
      r.vector_name = "v";
      r.query = DenseQuery{points_.draw()};
      r.effort = effort;
      ASSERT_TRUE(store_->search(r).ok());
      while (executor.queued() > 0) std::this_thread::yield();
    }
    executor.stop();
    const auto after = probes_told();
    ASSERT_GT(after.first - before.first, 5);
    mean[effort > 1] = (after.second - before.second) / (after.first - before.first);
    store_.reset();
    executor_ = nullptr;
  }
  EXPECT_LT(mean[0], mean[1]);
  EXPECT_GT(mean[1], 0.99);
}

class LocalStoreTest : public IndexedStoreTest {
 protected:
  LocalStoreTest() { local_ = folder_.path(); }
  ~LocalStoreTest() override { store_.reset(); }

  const TemporaryFolder folder_{"quarry-local"};
};

TEST_F(LocalStoreTest, ARestartOpensSegmentsAndIndexes) {
  for (size_t at = 0; at < 6000; at += 1500) upsert(at, 1500);
  ASSERT_TRUE(store_->maintain("col_a").ok());
  EXPECT_FALSE(local_files(".segment").empty());
  EXPECT_EQ(local_files(".graph").size(), 1u);
  const Row query = points_.draw();
  const auto before = search(query, false);
  const uint64_t scored = rows_scored();
  EXPECT_LT(scored, 2000u);
  attach();
  EXPECT_EQ(search(query, false), before);
  EXPECT_LT(rows_scored(), 2000u) << "the index was not opened";
  EXPECT_GT(recall(), 0.95);
  EXPECT_LT(store_->stats("col_a")->memory_bytes, 6000u * 32 * 4 * 8);
  upsert(6000, 1000);
  ASSERT_TRUE(store_->delete_where("col_a", color("blue")).ok());
  attach();
  EXPECT_GT(recall(), 0.95);
}

TEST_F(LocalStoreTest, ARestartLinksWhatWasNotSaved) {
  upsert(0, 6000);
  ASSERT_TRUE(store_->maintain("col_a").ok());
  const TemporaryFolder saved{"quarry-saved"};
  std::filesystem::copy(local_, saved.path(), std::filesystem::copy_options::recursive);
  upsert(6000, 2500);
  store_.reset();
  std::filesystem::remove_all(local_);
  std::filesystem::copy(saved.path(), local_, std::filesystem::copy_options::recursive);
  Executor executor("upkeep", 1, 16);
  executor_ = &executor;
  attach();
  EXPECT_GT(rows_scored(), 2500u);  // one by one, until the upkeep that this search began is done
  executor.stop();
  EXPECT_LT(rows_scored(), 2000u);
  EXPECT_GT(recall(), 0.95);
  store_.reset();
}

TEST_F(LocalStoreTest, WhatComesDueWhileUpkeepRunsIsDoneToo) {
  Executor executor("upkeep", 1, 16);
  executor_ = &executor;
  attach();
  for (size_t at = 0; at < 12'000; at += 1500) upsert(at, 1500);  // most of them find upkeep on its way, which merges what they wrote
  executor.stop();
  const size_t files = store_->stats("col_a")->files;
  EXPECT_EQ(local_files(".segment").size(), files);
  EXPECT_LT(rows_scored(), 2000u);
  EXPECT_LT(store_->stats("col_a")->memory_bytes, 12'000u * 32 * 4 * 3);  // not the vectors, but what finds them
  store_.reset();
}

TEST_F(LocalStoreTest, ACloseSavesWhatTheGraphHasGrownBy) {
  upsert(0, 12'000);
  upsert(12'000, 2500);  // less than a quarter
  attach();
  EXPECT_LT(rows_scored(), 2000u);
  EXPECT_GT(recall(), 0.95);
}

TEST_F(LocalStoreTest, ADamagedFileIsFoundOutAndMadeAgain) {
  for (size_t at = 0; at < 4500; at += 1500) upsert(at, 1500);
  ASSERT_TRUE(store_->maintain("col_a").ok());
  const Row query = points_.draw();
  const auto truth = search(query, true);
  std::mt19937_64 random(31);
  for (const char* extension : {".segment", ".graph", ".rows"})
    for (int round = 0; round < 6; ++round) {
      store_.reset();
      const auto files = local_files(extension);
      ASSERT_FALSE(files.empty()) << extension;
      const auto& path = files[random() % files.size()];
      const auto size = std::filesystem::file_size(path);
      if (round == 0) {
        std::filesystem::resize_file(path, size / 2);
      } else {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        const auto at = std::streamoff(random() % size);
        file.seekg(at);
        const char byte = char(file.get());
        file.seekp(at);
        file.put(char(byte ^ char(1 << (random() % 8))));
      }
      attach();
      EXPECT_EQ(search(query, true), truth) << path << " round " << round;
      EXPECT_GT(recall(), 0.95) << path << " round " << round;
      ASSERT_TRUE(store_->maintain("col_a").ok());
    }
}

}  // namespace
}  // namespace quarry::mvs
