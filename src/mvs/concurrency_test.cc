// Many writers, several stores on one log, and stores that fail.
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "base/log.h"
#include "mvs/mvs.h"
#include "mvs/test_hooked_store.h"
#include "mvs/test_table.h"
#include "mvs/warm/delta_log.h"

namespace quarry::mvs {
namespace {

using test::DocumentSource;
using test::read_all;

constexpr const char* kTable = "col_a";
using Contents = std::map<std::string, json::value>;

Document numbered(const std::string& id, int64_t n) {
  Document d;
  d.document_id = id;
  d.payload = {{"pages", n}};
  d.vectors = {{"text", {float(n), 1, 2, 3}}};
  return d;
}

json::value stored(const json::object& payload) { return json::object{{"payload", payload}}; }

constexpr int64_t kHourUs = 3600ll * 1'000'000;

std::unique_ptr<VectorStore> open_store(objects::ObjectStore& objects, Executor* executor = nullptr, int64_t window_us = 0,
                                        int64_t retention_us = 0) {
  return std::move(VectorStore::open({.store = &objects,
                                      .executor = executor,
                                      .commit_window_us = window_us,
                                      .checkpoint_interval = 7,
                                      .target_file_bytes = 100'000,
                                      .file_retention_us = retention_us,
                                      .log_retention_us = retention_us}))
      .value();
}

std::unique_ptr<VectorStore> attached(objects::ObjectStore& objects, Executor* executor = nullptr, int64_t window_us = 0,
                                      int64_t retention_us = 0) {
  auto store = open_store(objects, executor, window_us, retention_us);
  EXPECT_TRUE(store->attach_table(test::full_spec()).ok());
  return store;
}

class ConcurrencyTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_QUARRY_OK(open_store(*objects_)->create_table(test::full_spec())); }

  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
  Executor executor_{"mvs-test", 2, 64};
};

TEST_F(ConcurrencyTest, WritersShareCommitsAndNoneIsLost) {
  constexpr int kThreads = 8, kWrites = 25;
  const auto store = attached(*objects_, &executor_, 2000);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kWrites; ++i) {
        const std::string id = fmt::format("doc_{}_{}", t, i);
        const auto result = store->write(kTable, {.upserts = {numbered(id, i)}});
        EXPECT_TRUE(result.ok());
        // What was acknowledged is visible to a read that starts now.
        const auto got = store->get(kTable, {id}, {});
        EXPECT_TRUE(got.ok() && got->size() == 1) << id;
      }
    });
  for (auto& thread : threads) thread.join();
  const Contents live = read_all(*store, kTable);
  EXPECT_EQ(live.size(), size_t(kThreads * kWrites));
  EXPECT_EQ(live, read_all(*attached(*objects_), kTable));
}

TEST_F(ConcurrencyTest, PatchesOfOneDocumentDoNotLoseEachOther) {
  constexpr int kThreads = 8, kPatches = 10;
  const auto store = attached(*objects_, &executor_, 1000);
  ASSERT_QUARRY_OK(store->write(kTable, {.upserts = {numbered("x", 0)}}));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPatches; ++i) {
        DocumentPatch patch{.document_id = "x", .set = {{fmt::format("meta.t{}.p{}", t, i), i}}};
        EXPECT_TRUE(store->write(kTable, {.patches = {patch}}).ok());
      }
    });
  for (auto& thread : threads) thread.join();
  const auto got = store->get(kTable, {"x"}, {});
  ASSERT_QUARRY_OK(got);
  for (int t = 0; t < kThreads; ++t)
    EXPECT_EQ(got->front().payload.at("meta").at(fmt::format("t{}", t)).as_object().size(), size_t(kPatches));
}

TEST_F(ConcurrencyTest, ATransactionTakesEffectOnce) {
  const auto store = attached(*objects_, &executor_, 1000);
  WriteBatch batch{.upserts = {numbered("a", 1)}, .txn_app = "task_1", .txn_version = 5};
  std::atomic<int> repeated{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      const auto result = store->write(kTable, batch);
      EXPECT_TRUE(result.ok());
      repeated += result->repeated;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(repeated, 3);
  ASSERT_QUARRY_OK(store->write(kTable, {.deletes = {"a"}}));
  for (int i = 0; i < 20; ++i) ASSERT_QUARRY_OK(store->write(kTable, {.upserts = {numbered("b", i)}}));  // past a checkpoint
  ASSERT_QUARRY_OK(store->maintain(kTable));
  const auto reopened = attached(*objects_);
  const auto again = reopened->write(kTable, batch);
  ASSERT_QUARRY_OK(again);
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(read_all(*reopened, kTable).size(), 1u);
  batch.txn_version = 4;
  EXPECT_TRUE(reopened->write(kTable, batch)->repeated);
  batch.txn_version = 6;
  EXPECT_FALSE(reopened->write(kTable, batch)->repeated);
}

TEST_F(ConcurrencyTest, ADocumentThatMustBeAbsentIsMadeOnce) {
  const auto store = attached(*objects_, &executor_, 2000), other = attached(*objects_);
  EXPECT_TRUE(other->get(kTable, {"x"}, {})->empty());
  std::atomic<int> made{0}, refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      const auto result = store->write(kTable, {.upserts = {numbered("x", t)}, .must_be_absent = {"x"}});
      made += result.ok();
      refused += !result.ok() && result.error().kind == ErrorKind::kAlreadyExists;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(refused, 5);
  EXPECT_EQ(other->write(kTable, {.upserts = {numbered("x", 9)}, .must_be_absent = {"x"}}).error().kind, ErrorKind::kAlreadyExists);
  EXPECT_EQ(read_all(*attached(*objects_), kTable), read_all(*store, kTable));
  ASSERT_QUARRY_OK(store->write(kTable, {.deletes = {"x"}}));
  ASSERT_QUARRY_OK(other->maintain(kTable));
  ASSERT_QUARRY_OK(other->write(kTable, {.upserts = {numbered("x", 9)}, .must_be_absent = {"x"}}));
}

TEST_F(ConcurrencyTest, ABadWriteDoesNotHarmItsGroup) {
  const auto store = attached(*objects_, &executor_, 3000);
  json::value deep = 1;
  for (int i = 0; i < 150; ++i) deep = json::array{deep};
  Document d = numbered("deep", 1);
  d.payload["meta"] = json::object{{"x", deep}};
  ASSERT_QUARRY_OK(store->write(kTable, {.upserts = {d}}));
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      WriteBatch batch{.upserts = {numbered(fmt::format("d{}", t), t)}};
      // Each value is allowed; put where it goes it nests too deep, which shows only when the patch is applied.
      if (t == 3) batch.patches = {{.document_id = "deep", .set = {{"meta.x", deep}, {std::string(120, 'a') + ".b", 1}}}};
      if (t == 3)
        batch.patches.front()
            .set["a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"] = deep;
      const auto result = store->write(kTable, std::move(batch));
      failed += !result.ok();
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 1);
  const Contents live = read_all(*store, kTable);
  EXPECT_EQ(live.size(), 6u);
  EXPECT_FALSE(live.contains("d3"));
  EXPECT_EQ(live, read_all(*attached(*objects_), kTable));
}

TEST_F(ConcurrencyTest, TwoStoresOnOneLogRebaseOnEachOther) {
  const auto a = attached(*objects_), b = attached(*objects_);
  DocumentSource source(17);
  Contents model;
  for (int i = 0; i < 60; ++i) {
    VectorStore& store = source.one_in(2) ? *a : *b;
    WriteBatch batch;
    for (int k = 0; k < 4; ++k) {
      const std::string id = source.id(20);
      batch.upserts.push_back(numbered(id, i * 10 + k));
    }
    batch.deletes = {source.id(20)};
    for (const auto& d : batch.upserts) model[d.document_id] = stored(d.payload);
    for (const auto& id : batch.deletes) model.erase(id);
    ASSERT_QUARRY_OK(store.write(kTable, std::move(batch)));
    ASSERT_EQ(read_all(store, kTable), model) << i;
    ASSERT_TRUE(!source.one_in(10) || store.maintain(kTable).ok());
  }
}

TEST_F(ConcurrencyTest, TwoStoresRacingLoseNothing) {
  const auto a = attached(*objects_, &executor_, 0, kHourUs), b = attached(*objects_, &executor_, 0, kHourUs);
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      VectorStore& store = t % 2 == 0 ? *a : *b;
      for (int i = 0; i < 15; ++i) {
        WriteBatch batch{.upserts = {numbered(fmt::format("t{}", t), i), numbered(fmt::format("t{}_{}", t, i), i)}};
        if (i > 0) batch.deletes = {fmt::format("t{}_{}", t, i - 1)};
        Result<WriteResult> result = store.write(kTable, batch);
        while (!result.ok() && result.error().kind == ErrorKind::kConflict) result = store.write(kTable, batch);
        EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
      }
    });
  for (auto& thread : threads) thread.join();
  Contents expected;
  for (int t = 0; t < 6; ++t) {
    expected[fmt::format("t{}", t)] = stored({{"pages", 14}});
    expected[fmt::format("t{}_14", t)] = stored({{"pages", 14}});
  }
  EXPECT_EQ(read_all(*attached(*objects_), kTable), expected);
}

// While the first write commits, the second waits for its turn, the third in the queue and the drop for its turn. Each begins when the one
// before waits, and the first goes on when the drop waits; the third's data file, if there is one, comes after the drop.
TEST_F(ConcurrencyTest, AWriteThatWaitsBehindADropLeavesNoFile) {
  test::HookedStore watched(*objects_);
  const auto store = attached(watched);
  ASSERT_QUARRY_OK(store->count(kTable, {}));
  std::promise<void> drop_waits, drop_done;
  std::atomic<int> data_files{0};
  watched.set_hook([&](std::string_view operation, std::string_view key) -> Status {
    if (!operation.starts_with("put")) return Ok{};
    const bool is_first_commit = key.ends_with("/00000000000000000001.json");
    const bool is_third_file = key.find("/quarry-") != key.npos && ++data_files == 3;
    if (!is_first_commit && !is_third_file) return Ok{};
    const Waiting for_the_drop;
    if (is_first_commit) drop_waits.get_future().wait();
    if (is_third_file) drop_done.get_future().wait_for(std::chrono::seconds(10));
    return Ok{};
  });
  {
    Executor one_at_a_time("mvs-drop", 6, 16, 0, 1);
    for (int i = 0; i < 3; ++i)
      one_at_a_time.submit([&, i] { (void)store->write(kTable, {.upserts = {numbered(fmt::format("w{}", i), 1)}}); });
    one_at_a_time.submit([&] {
      EXPECT_TRUE(store->drop_table(kTable).ok());
      drop_done.set_value();
    });
    one_at_a_time.submit([&] { drop_waits.set_value(); });
  }
  const auto left = objects_->list("org/ns/col_a/", "", 10);
  ASSERT_QUARRY_OK(left);
  EXPECT_TRUE(left->empty()) << left->front().key;
}

class FaultTest : public ::testing::TestWithParam<uint64_t> {};

// Acknowledged writes stay; a failed one is there whole or not at all; and memory never runs ahead of the log.
TEST_P(FaultTest, AFailedWriteIsAllOrNothing) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  configure_logging({.level = LogLevel::kError});  // upkeep that fails is expected
  const auto objects = objects::make_memory_store();
  ASSERT_QUARRY_OK(open_store(*objects)->create_table(test::full_spec()));
  const auto faulty = objects::make_faulty_store(*objects, {.seed = GetParam(), .fail_before = 0.06, .fail_after = 0.06});
  auto store = attached(*faulty);
  DocumentSource source(GetParam());
  Contents model;
  int failures = 0;
  for (int i = 0; i < 60; ++i) {
    WriteBatch batch;
    for (uint64_t k = 0; k <= source.below(6); ++k) batch.upserts.push_back(numbered(source.id(25), int64_t(i * 10 + int(k))));
    batch.deletes = {source.id(25), source.id(25)};
    if (source.one_in(2)) batch.patches = {{.document_id = source.id(25), .set = {{"pages", i}}}};
    Contents after = model;
    for (const auto& d : batch.upserts) after[d.document_id] = stored(d.payload);
    for (const auto& p : batch.patches)
      if (after.contains(p.document_id)) after[p.document_id] = stored({{"pages", i}});
    for (const auto& id : batch.deletes) after.erase(id);
    const auto result = store->write(kTable, std::move(batch));
    const Contents durable = read_all(*attached(*objects), kTable);
    if (result.ok()) {
      ASSERT_EQ(durable, after) << i;
      ASSERT_EQ(read_all(*store, kTable), after) << i;
    } else {
      ++failures;
      ASSERT_TRUE(durable == model || durable == after) << i;
    }
    model = durable;
    if (source.one_in(6)) (void)store->maintain(kTable);
    if (source.one_in(12)) store = attached(*faulty);
    while (!store->count(kTable, {}).ok()) store = attached(*faulty);  // opening may fail too, and may be tried again
  }
  EXPECT_GT(failures, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, FaultTest, ::testing::Range<uint64_t>(1, 1 + test::seeds_from_environment(4)));

}  // namespace
}  // namespace quarry::mvs
