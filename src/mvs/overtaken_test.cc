// Two servers on one table: what the one reads or commits while the other commits, cleans the log or removes files, at a moment that the
// test chooses.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "mvs/mvs.h"
#include "mvs/test_hooked_store.h"
#include "mvs/test_table.h"
#include "mvs/tiering/tier_metrics.h"

namespace quarry::mvs {
namespace {

using test::number_row;
using Rows = std::map<std::string, int64_t>;

constexpr const char* kTable = "col_o";
constexpr int64_t kPastRetentionUs = 1'200ll * 1'000'000;

TableSpec spec(Tier tier) { return test::numbers_spec(kTable, tier); }
std::string entry(int64_t version) { return fmt::format("t/_delta_log/{:020}.json", version); }
bool is_data_file(std::string_view key) { return key.starts_with("t/quarry-"); }

class OvertakenTest : public ::testing::Test {
 protected:
  // Version 1: the documents a and b.
  void SetUp() override {
    const auto store = *VectorStore::open(options(*objects_));
    ASSERT_QUARRY_OK(store->create_table(spec(Tier::kActive)));
    ASSERT_QUARRY_OK(store->write(kTable, {.upserts = {number_row("a", 1), number_row("b", 1)}}));
  }

  StoreOptions options(objects::ObjectStore& objects) {
    return {.store = &objects, .clock = &clock_, .cold_cache_bytes = 0, .commit_window_us = 0, .checkpoint_interval = 2};
  }

  static std::unique_ptr<VectorStore> attached(const StoreOptions& options, Tier tier) {
    auto store = *VectorStore::open(options);
    EXPECT_TRUE(store->attach_table(spec(tier)).ok());
    return store;
  }
  std::unique_ptr<VectorStore> open(objects::ObjectStore& objects, Tier tier = Tier::kActive) { return attached(options(objects), tier); }

  static Rows rows(VectorStore& store) { return test::read_numbers(store, kTable); }

  // As a server sees them that starts now.
  Rows stored() { return rows(*open(*objects_)); }

  static void write_each(VectorStore& store, const std::string& prefix, int count) {
    for (int i = 0; i < count; ++i) ASSERT_QUARRY_OK(store.write(kTable, {.upserts = {number_row(fmt::format("{}{}", prefix, i), i)}}));
  }

  // Leaves of versions 2 to 6, which are old by then, what a checkpoint says: nine documents in all.
  void write_and_clean(VectorStore& store) {
    write_each(store, "old", 5);
    clock_.advance_us(kPastRetentionUs);
    write_each(store, "new", 2);
    ASSERT_QUARRY_OK(store.maintain(kTable));
    ASSERT_EQ(objects_->head(entry(2)).error().kind, ErrorKind::kNotFound);
  }

  ManualClock clock_;
  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store(clock_);
  test::HookedStore hooked_{*objects_};
};

// A write loads the whole table while a read in parts waits for its turn, and the other server commits in between.
TEST_F(OvertakenTest, AColdReadLeavesTheLogWhereTheRowsAre) {
  const auto ours = open(hooked_, Tier::kCold), theirs = open(*objects_);
  const double opened = TierMetrics::cold_views(false).Value();
  std::thread reader;
  hooked_.set_hook([&](std::string_view operation, std::string_view key) -> Status {
    if (operation != "get" || !is_data_file(key)) return Ok{};
    hooked_.set_hook(nullptr);
    reader = std::thread([&] { EXPECT_TRUE(ours->count(kTable, {}).ok()); });
    while (TierMetrics::cold_views(false).Value() == opened) std::this_thread::yield();
    return theirs->write(kTable, {.upserts = {number_row("x", 10)}, .deletes = {"b"}}).ok() ? Status(Ok{}) : storage_error("not written");
  });
  const auto written = ours->write(kTable, {.upserts = {number_row("x", 20), number_row("a", 2)}});
  reader.join();
  ASSERT_QUARRY_OK(written);
  EXPECT_EQ(stored(), (Rows{{"a", 2}, {"x", 20}}));
  EXPECT_EQ(rows(*ours), stored());
}

// Of the entries that are followed the first is read just before the others go: what seems to be the next version lies below a checkpoint.
TEST_F(OvertakenTest, AWriteIsNotPutBelowACheckpoint) {
  const auto ours = open(hooked_), theirs = open(*objects_);
  ASSERT_EQ(rows(*ours).size(), 2u);
  write_each(*theirs, "old", 5);
  clock_.advance_us(kPastRetentionUs);
  hooked_.set_hook([&](std::string_view operation, std::string_view key) -> Status {
    if (operation != "get" || key != entry(3)) return Ok{};
    hooked_.set_hook(nullptr);
    write_each(*theirs, "new", 2);
    return theirs->maintain(kTable);
  });
  ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {number_row("mine", 7)}}));
  EXPECT_EQ(stored().size(), 10u);
  EXPECT_TRUE(stored().contains("mine"));
  EXPECT_EQ(rows(*ours), stored());
}

// No write comes: it is the look at the log that has to find out.
TEST_F(OvertakenTest, ALogThatWasCleanedIsFollowed) {
  std::promise<void> cleaned;
  const auto theirs = open(*objects_);
  StoreOptions following = options(hooked_);
  following.follow_interval_us = 1'000;
  const auto ours = attached(following, Tier::kActive);
  ASSERT_EQ(rows(*ours).size(), 2u);
  hooked_.set_hook([&, gate = cleaned.get_future().share()](std::string_view operation, std::string_view) -> Status {
    if (operation == "head") gate.wait();
    return Ok{};
  });
  write_and_clean(*theirs);
  cleaned.set_value();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (rows(*ours).size() != 9 && std::chrono::steady_clock::now() < deadline) {
    clock_.advance_us(60'000'000);
    std::this_thread::yield();
  }
  EXPECT_EQ(rows(*ours), stored());
}

class OvertakenLoadTest : public OvertakenTest, public ::testing::WithParamInterface<uint64_t> {};

// A read in parts has shown the other server's commit; then the whole table is to be read and that entry cannot be.
TEST_P(OvertakenLoadTest, WhatFailsServesNothingOld) {
  StoreOptions caching = options(hooked_);
  caching.cold_cache_bytes = GetParam();
  const auto ours = attached(caching, Tier::kCold), theirs = open(*objects_);
  write_each(*ours, "mine", 1);
  write_each(*theirs, "theirs", 1);
  const auto read_whole = [&]() -> Status { return ours->for_each(kTable, {}, {}, [](const Document&) { return true; }); };
  const auto write = [&]() -> Status {
    QUARRY_RETURN_IF_ERROR(ours->write(kTable, {.upserts = {number_row("later", 1)}}));
    return Ok{};
  };
  for (const auto& load : std::initializer_list<std::function<Status()>>{read_whole, write}) {
    ASSERT_QUARRY_OK(ours->set_tier(kTable, Tier::kCold));  // lets go of what the cache keeps
    ASSERT_EQ(*ours->count(kTable, {}), 4u);
    hooked_.set_hook([](std::string_view operation, std::string_view key) -> Status {
      return operation == "get" && key == entry(3) ? storage_error("a moment without network") : Status(Ok{});
    });
    EXPECT_EQ(load().error().kind, ErrorKind::kStorage);
    hooked_.set_hook(nullptr);
    EXPECT_EQ(*ours->count(kTable, {}), 4u);
  }
  EXPECT_EQ(rows(*ours), stored());
}

// Without a cold cache, and with one that keeps what was read.
INSTANTIATE_TEST_SUITE_P(CacheBytes, OvertakenLoadTest, ::testing::Values(0, 64 << 20));

class OvertakenOpeningTest : public OvertakenTest, public ::testing::WithParamInterface<bool> {};

// A fault, and then a file that upkeep removed: neither is damage.
TEST_P(OvertakenOpeningTest, AFaultBeforeAFileGoesIsNotCalledDamage) {
  const bool in_parts = GetParam();
  const auto ours = open(hooked_, Tier::kCold), theirs = open(*objects_);
  int reads = 0;
  hooked_.set_hook([&](std::string_view operation, std::string_view key) -> Status {
    if (operation != "get" || !is_data_file(key)) return Ok{};
    if (++reads == 1) return storage_error("a moment without network");
    hooked_.set_hook(nullptr);
    if (auto replaced = theirs->write(kTable, {.upserts = {number_row("a", 5), number_row("b", 5)}}); !replaced.ok()) return replaced.error();
    return objects_->remove(key);
  });
  const auto read = [&]() -> Status {
    if (!in_parts) return ours->for_each(kTable, {}, {}, [](const Document&) { return true; });
    QUARRY_RETURN_IF_ERROR(ours->count(kTable, {}));
    return Ok{};
  };
  const Status first = read();
  EXPECT_TRUE(first.ok() || first.error().kind == ErrorKind::kStorage) << first.error().message;
  ASSERT_QUARRY_OK(read());
  EXPECT_EQ(rows(*ours), (Rows{{"a", 5}, {"b", 5}}));
}

INSTANTIATE_TEST_SUITE_P(InParts, OvertakenOpeningTest, ::testing::Bool());

}  // namespace
}  // namespace quarry::mvs
