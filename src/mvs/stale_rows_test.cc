// Compactions of another program that are committed over one of Quarry's, or over whatever else became of the files that they read.
#include "mvs/stale_rows.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "mvs/mvs.h"
#include "mvs/table_copy.h"
#include "mvs/test_hooked_store.h"
#include "mvs/test_table.h"
#include "mvs/warm/delta_log.h"

namespace quarry::mvs {
namespace {

using Rows = std::map<std::string, int64_t>;

constexpr const char* kTable = "col_s";
constexpr int kFiles = 8;  // of one tier that Quarry makes one of
constexpr uint64_t kNoCompaction = 1;  // bytes of a full file: each is

TableSpec spec(Tier tier = Tier::kActive) { return test::numbers_spec(kTable, tier); }

Document row(std::string id, int64_t n) {
  Document d = test::number_row(std::move(id), n);
  d.created_at = 1'700'000'000'000'000;
  d.updated_at = d.created_at + n;
  return d;
}

// Takes no entry of a log.
Status refuse_entries(std::string_view operation, std::string_view key) {
  const bool is_entry = operation == "put_if_absent" && key.find("/_delta_log/") != key.npos;
  return is_entry ? Error(ErrorKind::kInternal, "stuck") : Status(Ok{});
}

class StaleRowsTest : public ::testing::Test {
 protected:
  // Documents d0..d7 with n = 1, each with a companion e0..e7 in its file.
  void SetUp() override {
    const auto store = open(nullptr, kNoCompaction);
    ASSERT_QUARRY_OK(store->create_table(spec()));
    for (int i = 0; i < kFiles; ++i)
      ASSERT_QUARRY_OK(store->write(kTable, {.upserts = {row(fmt::format("d{}", i), 1), row(fmt::format("e{}", i), 1)}}));
    ASSERT_EQ(log().files.size(), size_t(kFiles));
    for (int i = 0; i < kFiles; ++i) expected_[fmt::format("d{}", i)] = expected_[fmt::format("e{}", i)] = 1;
  }

  std::unique_ptr<VectorStore> open(objects::ObjectStore* objects = nullptr, uint64_t target_file_bytes = 64ull << 20) {
    return *VectorStore::open({.store = objects != nullptr ? objects : objects_.get(),
                               .cold_cache_bytes = 0,
                               .commit_window_us = 0,
                               .target_file_bytes = target_file_bytes,
                               .follow_interval_us = 0});
  }

  std::unique_ptr<VectorStore> attached(objects::ObjectStore* objects = nullptr, Tier tier = Tier::kActive, uint64_t target = 64ull << 20) {
    auto store = open(objects, target);
    EXPECT_TRUE(store->attach_table(spec(tier)).ok());
    return store;
  }

  std::unique_ptr<objects::ObjectStore> copied() {
    auto out = objects::make_memory_store();
    for (const auto& object : *objects_->list("t/", "", 1000)) EXPECT_TRUE(out->put(object.key, *objects_->get(object.key)).ok());
    return out;
  }

  LogState log() { return *DeltaLog(*objects_, "t").load(); }

  // What another program commits that read the table when it was as in `then`, and compacted all files of that.
  void compact_as_of(objects::ObjectStore& then, std::vector<Action> also = {}) {
    ASSERT_QUARRY_OK(attached(&then)->maintain(kTable));
    DeltaLog theirs(then, "t");
    std::vector<Action> actions = *theirs.read(theirs.load()->version);
    std::get<CommitInfo>(actions.front()).fields = {{"operation", "OPTIMIZE"}, {"engineInfo", "delta-rs:py-1.6.6"}};
    int removed = 0;
    for (Action& action : actions) {
      if (std::holds_alternative<RemoveFile>(action)) ++removed;
      auto* add = std::get_if<AddFile>(&action);
      if (add == nullptr) continue;
      add->tags.clear();
      ASSERT_FALSE(add->data_change);
      ASSERT_TRUE(objects_->put("t/" + add->path, *then.get("t/" + add->path)).ok());
    }
    ASSERT_GE(removed, 2);
    actions.insert(actions.end(), also.begin(), also.end());
    ASSERT_EQ(*DeltaLog(*objects_, "t").put(log().version + 1, encode_commit(actions)), PutOutcome::kCommitted);
  }

  // A store whose compaction another program's has met, d5 having been deleted between the two.
  std::unique_ptr<VectorStore> attached_after_a_race() {
    const auto then = copied();
    auto ours = attached();
    EXPECT_TRUE(ours->maintain(kTable).ok());
    EXPECT_TRUE(ours->write(kTable, {.deletes = {"d5"}}).ok());
    expected_.erase("d5");
    compact_as_of(*then);
    return ours;
  }

  static Rows rows(VectorStore& store) { return test::read_numbers(store, kTable); }

  // As any reader of the format takes the table: each file under each of its deletion vectors.
  Rows rows_of_log() {
    LogState state = log();
    EXPECT_TRUE(state.stale_rewrites.empty());
    EXPECT_TRUE(state.shadowed.empty());
    std::atomic<uint32_t> uid{1};
    const auto snapshot = build_snapshot(TableFiles{*objects_, "t", LocalSegments({})}, state, nullptr, uid, nullptr);
    EXPECT_TRUE(snapshot.ok());
    Rows out;
    for (const SegmentView& view : (*snapshot)->views)
      view.live_rows().for_each([&](size_t r) {
        const RowBlock& block = view.segment->block();
        EXPECT_TRUE(out.emplace(block.document_id(r), block.updated_at(r) - 1'700'000'000'000'000).second) << block.document_id(r);
      });
    return out;
  }

  // After its upkeep the server and every other reader see what is expected.
  void expect_settled(VectorStore& store) {
    ASSERT_QUARRY_OK(store.maintain(kTable));
    EXPECT_EQ(rows(store), expected_);
    EXPECT_EQ(rows_of_log(), expected_);
  }

  // Commits of Quarry that removed doubled rows.
  int removals() {
    int out = 0;
    for (const auto& commit : *DeltaLog(*objects_, "t").read_after(-1))
      for (const Action& action : commit.actions)
        if (const auto* txn = std::get_if<SetTransaction>(&action)) out += txn->app_id == kStaleRowsApp;
    return out;
  }

  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
  Rows expected_;
};

TEST_F(StaleRowsTest, ACompactionOverOneOfOursAddsNoRow) {
  const auto then = copied();
  const auto ours = attached();
  ASSERT_QUARRY_OK(ours->maintain(kTable));
  compact_as_of(*then);
  EXPECT_EQ(log().stale_rewrites.size(), 1u);
  expect_settled(*ours);
  EXPECT_EQ(removals(), 1);
  const int64_t version = ours->stats(kTable)->version;
  ASSERT_QUARRY_OK(ours->maintain(kTable));
  EXPECT_EQ(rows(*attached()), expected_);
  EXPECT_EQ(log().version, version) << "nothing was left to do";
}

TEST_F(StaleRowsTest, ACorrectCompactionIsLeftAlone) {
  const auto then = copied();
  const auto ours = attached();
  EXPECT_EQ(rows(*ours), expected_);
  compact_as_of(*then);
  const int64_t version = log().version;
  EXPECT_TRUE(log().stale_rewrites.empty());
  expect_settled(*ours);
  EXPECT_EQ(log().version, version);
}

// Files 0 to 3 changed since the other program read them, the others are as they were.
TEST_F(StaleRowsTest, WhatBecameOfTheFilesMeanwhileStays) {
  const auto then = copied();
  const auto ours = attached(nullptr, Tier::kActive, kNoCompaction);
  ASSERT_QUARRY_OK(ours->write(kTable, {.deletes = {"d0", "e0"}}));
  ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {row("d1", 20), row("e1", 21)}}));
  ASSERT_QUARRY_OK(ours->write(kTable, {.deletes = {"d2"}}));
  ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {row("d3", 30), row("new", 40)}}));
  for (const char* id : {"d0", "e0", "d2"}) expected_.erase(id);
  for (const auto& [id, n] : Rows{{"d1", 20}, {"e1", 21}, {"d3", 30}, {"new", 40}}) expected_[id] = n;
  compact_as_of(*then);
  EXPECT_EQ(rows(*attached()), expected_) << "as a start of the server sees it";
  expect_settled(*ours);
  EXPECT_EQ(removals(), 1);
}

// Removed and written again with the same content but in another file: the other program's row is of the file that is gone.
TEST_F(StaleRowsTest, ADocumentThatCameBackIsThereOnce) {
  const auto then = copied();
  const auto ours = attached();
  ASSERT_QUARRY_OK(ours->write(kTable, {.deletes = {"d0", "e0"}}));
  ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {row("d0", 1)}}));
  expected_.erase("e0");
  compact_as_of(*then);
  expect_settled(*ours);
}

TEST_F(StaleRowsTest, NobodySeesTheRowsWhileTheyCannotBeRemoved) {
  const auto then = copied();
  test::HookedStore stuck(*objects_);
  const auto before = attached(&stuck);
  ASSERT_QUARRY_OK(before->maintain(kTable));
  compact_as_of(*then);
  stuck.set_hook(refuse_entries);
  EXPECT_FALSE(before->maintain(kTable).ok());
  EXPECT_EQ(rows(*before), expected_) << "a server that was there";
  const auto after = attached(&stuck);
  EXPECT_EQ(rows(*after), expected_) << "one that starts";
  EXPECT_EQ(*after->count(kTable, {}), expected_.size());
  EXPECT_EQ(after->stats(kTable)->documents, expected_.size());
  EXPECT_EQ(removals(), 0);
  stuck.set_hook(nullptr);
  EXPECT_EQ(rows(*attached(&stuck)), expected_) << "one that starts and may write";
  EXPECT_EQ(removals(), 1);
  for (VectorStore* store : {before.get(), after.get()}) {
    ASSERT_QUARRY_OK(store->maintain(kTable));
    EXPECT_EQ(rows(*store), expected_);
  }
  EXPECT_EQ(rows_of_log(), expected_);
  EXPECT_EQ(removals(), 1);
}

TEST_F(StaleRowsTest, TheSecondServerFindsNothingToDo) {
  const auto then = copied();
  const auto one = attached(), two = attached();
  ASSERT_QUARRY_OK(one->maintain(kTable));
  EXPECT_EQ(rows(*two), expected_);
  compact_as_of(*then);
  for (VectorStore* store : {one.get(), two.get(), one.get()}) {
    ASSERT_QUARRY_OK(store->maintain(kTable));
    EXPECT_EQ(rows(*store), expected_);
  }
  EXPECT_EQ(removals(), 1);
  EXPECT_EQ(rows_of_log(), expected_);
}

// The write is worked out on the version before, and its put meets the other program's entry.
TEST_F(StaleRowsTest, AWriteThatMeetsTheEntryCountsOnTopOfIt) {
  const auto then = copied();
  const auto ours = attached();
  ASSERT_QUARRY_OK(ours->maintain(kTable));
  compact_as_of(*then);
  ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {row("d1", 50), row("new", 51)}, .deletes = {"e2"}}));
  expected_["d1"] = 50;
  expected_["new"] = 51;
  expected_.erase("e2");
  EXPECT_EQ(rows(*ours), expected_);
  EXPECT_EQ(rows_of_log(), expected_);
  EXPECT_EQ(removals(), 1);
}

// z_order after compact: what the first added is removed by the second before Quarry sees either.
TEST_F(StaleRowsTest, RowsAreFollowedIntoTheNextCompaction) {
  const auto ours = attached_after_a_race();
  // The same bytes under another name: a rewrite of one file.
  const LogState state = log();
  const auto& added = state.stale_rewrites.at(0).added.at(0);
  AddFile moved = *added;
  moved.path = "again.parquet";
  moved.data_change = false;
  ASSERT_TRUE(objects_->put("t/" + moved.path, *objects_->get("t/" + added->path)).ok());
  const RemoveFile remove{added->path, 1, false, added->size, {}};
  const std::vector<Action> actions{CommitInfo{{{"engineInfo", "delta-rs:py-1.6.6"}}}, moved, remove};
  ASSERT_EQ(*DeltaLog(*objects_, "t").put(state.version + 1, encode_commit(actions)), PutOutcome::kCommitted);
  EXPECT_EQ(log().stale_rewrites.size(), 2u);
  expect_settled(*ours);
}

// Of a file that no entry is known to have removed, rows that are nowhere else stay.
TEST_F(StaleRowsTest, OfAFileThatIsForgottenOnlyRowsThatAreElsewhereGo) {
  const auto then = copied();
  const auto ours = attached(nullptr, Tier::kActive, kNoCompaction);
  ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {row("d1", 20)}}));  // in a file of its own; e1 stays where it was
  ASSERT_QUARRY_OK(ours->write(kTable, {.deletes = {"d0", "e0"}}));
  expected_["d1"] = 20;
  compact_as_of(*then, {RemoveFile{"forgotten.parquet", 1, false, 10, {}}});
  expect_settled(*ours);  // d0 and e0 came back: it is not known that they were deleted
}

TEST_F(StaleRowsTest, AColdTableShowsNoneEither) {
  const auto then = copied();
  ASSERT_QUARRY_OK(attached()->maintain(kTable));
  compact_as_of(*then);
  const auto cold = attached(nullptr, Tier::kCold);
  EXPECT_EQ(rows(*cold), expected_);
  EXPECT_EQ(cold->stats(kTable)->documents, expected_.size());
  EXPECT_EQ(rows_of_log(), expected_);
}

// Reading another cold table makes room in the cache while the rows are being removed.
TEST_F(StaleRowsTest, ATableThatIsReadWholeStaysUntilTheyAreRemoved) {
  const auto then = copied();
  ASSERT_QUARRY_OK(attached()->maintain(kTable));
  test::HookedStore hooked(*objects_);
  TableSpec other = spec(Tier::kCold);
  other.table_id = other.prefix = "other";
  {
    const auto store = open();
    ASSERT_QUARRY_OK(store->create_table(other));
    ASSERT_QUARRY_OK(store->write("other", {.upserts = {row("o", 1)}}));
  }
  const auto with_cache = [&](uint64_t bytes) {
    auto store = *VectorStore::open({.store = &hooked, .cold_cache_bytes = bytes, .commit_window_us = 0});
    EXPECT_TRUE(store->attach_table(spec(Tier::kCold)).ok() && store->attach_table(other).ok());
    return store;
  };
  uint64_t largest = 0;
  {
    const auto store = with_cache(1 << 30);
    EXPECT_TRUE(store->count(kTable, {}).ok() && store->count("other", {}).ok());
    for (const TableUsage& usage : store->usage()) largest = std::max(largest, usage.memory_bytes);
  }
  const auto ours = with_cache(largest);
  EXPECT_EQ(*ours->count(kTable, {}), expected_.size());
  compact_as_of(*then);
  const std::string next = fmt::format("t/_delta_log/{:020}.json", log().version + 1);
  bool is_read_again = false;
  hooked.set_hook([&](std::string_view operation, std::string_view key) -> Status {
    if (operation != "get" || key != next) return Ok{};
    if (!std::exchange(is_read_again, true)) return Ok{};  // the first look finds the compaction, the second one nothing more
    hooked.set_hook(nullptr);
    QUARRY_RETURN_IF_ERROR(ours->count("other", {}));
    return Ok{};
  });
  EXPECT_EQ(rows(*ours), expected_);
  EXPECT_EQ(rows_of_log(), expected_);
}

TEST_F(StaleRowsTest, ACopyLeavesThemOut) {
  const auto ours = attached_after_a_race();
  const auto copy = copy_table(*objects_, "t", "u", {.table_id = "copy", .rename = {}, .progress = {}});
  ASSERT_QUARRY_OK(copy);
  EXPECT_EQ(copy->documents, expected_.size());
  const auto store = open();
  TableSpec there = spec();
  there.prefix = "u";
  ASSERT_QUARRY_OK(store->attach_table(there));
  EXPECT_EQ(rows(*store), expected_);
  EXPECT_EQ(removals(), 0) << "the source is only read";
}

// An entry may name a file again that is there, as one that brings statistics does: that moves no rows.
TEST_F(StaleRowsTest, AFileThatIsNamedAgainKeepsItsRows) {
  const LogState state = log();
  AddFile again = *state.files.begin()->second;
  again.data_change = false;
  const std::vector<Action> actions{CommitInfo{{{"engineInfo", "another"}}}, RemoveFile{"forgotten.parquet", 1, false, 10, {}}, again};
  ASSERT_EQ(*DeltaLog(*objects_, "t").put(state.version + 1, encode_commit(actions)), PutOutcome::kCommitted);
  EXPECT_TRUE(log().stale_rewrites.empty());
  EXPECT_EQ(rows(*attached()), expected_);
}

// A checkpoint of another program that covers the entry does not hide it.
TEST_F(StaleRowsTest, ACheckpointOfAnotherProgramHidesNothing) {
  const auto then = copied();
  ASSERT_QUARRY_OK(attached()->maintain(kTable));
  compact_as_of(*then);
  ASSERT_QUARRY_OK(DeltaLog(*objects_, "t").write_checkpoint(log()));
  ASSERT_TRUE(objects_->put("t/_delta_log/_last_checkpoint", fmt::format(R"({{"version":{},"size":9}})", log().version)).ok());
  EXPECT_EQ(log().stale_rewrites.size(), 1u);
  EXPECT_EQ(rows(*attached()), expected_);
  EXPECT_EQ(rows_of_log(), expected_);
}

}  // namespace
}  // namespace quarry::mvs
