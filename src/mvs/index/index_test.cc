// Searches through an index of a table, against exact search.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "base/metrics.h"
#include "base/temporary_folder.h"
#include "mvs/hot/checked_file.h"
#include "mvs/index/recall_probe.h"
#include "mvs/index/test_points.h"
#include "mvs/test_table.h"

namespace quarry::mvs {
namespace {

using test::Points, test::Row;

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

TEST_F(LocalStoreTest, AGraphOfAnEarlierFormatIsMadeAgainAndNotCalledDamaged) {
  upsert(0, 4500);
  ASSERT_TRUE(store_->maintain("col_a").ok());
  store_.reset();
  const auto path = local_files(".graph").at(0);
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(-2, std::ios::end) << "01";
  EXPECT_EQ(check_checked_file(path, kGraphFile).error().kind, ErrorKind::kNotFound);
  attach();
  ASSERT_TRUE(store_->maintain("col_a").ok());
  EXPECT_LT(rows_scored(), 2000u);
  store_.reset();
  ASSERT_QUARRY_OK(check_checked_file(path, kGraphFile));
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
