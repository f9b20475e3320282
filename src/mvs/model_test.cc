// A random trace of operations, with upkeep, moves between tiers and restarts in between, mirrored in a plain map; every read is compared
// with the map's answer. The faults of the world are simulation/'s.
#include <gtest/gtest.h>

#include "mvs/mvs.h"
#include "mvs/simulation/draws.h"
#include "mvs/test_table.h"

namespace quarry::mvs {
namespace {

using simulation::kIds;
using simulation::kTable;

class ModelRun {
 public:
  ModelRun(uint64_t seed, Executor* executor)
      : source_(seed),
        executor_(executor),
        cold_cache_bytes_(seed % 3 == 0 ? 1 << 20 : 0),
        sidecar_min_rows_(seed % 4 == 0 ? 4096 : 1) {
    open();
  }

  void run(int steps) {
    ASSERT_QUARRY_OK(store_->create_table(test::full_spec()));
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) step();
    if (!::testing::Test::HasFatalFailure()) compare(simulation::everything());
  }

 private:
  void open() {
    store_.reset();
    store_ = *VectorStore::open({.store = objects_.get(),
                                 .executor = executor_,
                                 .clock = &clock_,
                                 .cold_cache_bytes = cold_cache_bytes_,
                                 .sidecar_min_rows = sidecar_min_rows_,
                                 .commit_window_us = 0,
                                 .checkpoint_interval = 4,
                                 .target_file_bytes = 40'000,
                                 .file_retention_us = 0,
                                 .log_retention_us = 0});
  }

  void reopen() {
    open();
    TableSpec spec = test::full_spec();
    spec.tier = tier_;
    ASSERT_QUARRY_OK(store_->attach_table(spec));
  }

  void move() {
    tier_ = tier_ == Tier::kActive ? Tier::kCold : Tier::kActive;
    ASSERT_QUARRY_OK(store_->set_tier(kTable, tier_));
    if (tier_ == Tier::kActive || executor_ != nullptr) return;  // there upkeep may be running, and holds the rows until it is done
    EXPECT_EQ(store_->usage().front().memory_bytes, 0u);
  }

  void step() {
    clock_.advance_us(1'000);
    switch (source_.below(16)) {
      case 0: return erase_matching();
      case 1: return mixed();
      case 2: {
        ASSERT_QUARRY_OK(store_->maintain(kTable));
        return;
      }
      case 3: return reopen();
      case 4: return move();
      case 5:
      case 6:
      case 7: return compare(simulation::draw_question(source_, false));
      default: return write();
    }
  }

  void write() {
    WriteBatch batch = simulation::draw_batch(source_);
    const WriteResult wanted = oracle_.apply(batch, clock_.now_us());
    const auto got = store_->write(kTable, std::move(batch));
    ASSERT_QUARRY_OK(got);
    expect_same(*got, wanted);
  }

  static void expect_same(const WriteResult& got, const WriteResult& wanted) {
    EXPECT_EQ(got.inserted, wanted.inserted);
    EXPECT_EQ(got.replaced, wanted.replaced);
    EXPECT_EQ(got.patched, wanted.patched);
    EXPECT_EQ(got.deleted, wanted.deleted);
    EXPECT_EQ(got.missing, wanted.missing);
  }

  void erase_matching() {
    const Filter filter = equals("title", json::string(source_.word()));
    const auto result = store_->delete_where(kTable, filter);
    ASSERT_QUARRY_OK(result);
    EXPECT_EQ(*result, oracle_.erase_matching(filter));
  }

  // Everything in one batch, with a transaction that is then repeated.
  void mixed() {
    WriteBatch batch{.upserts = simulation::draw_documents(source_, 5)};
    for (int i = 0; i < 2; ++i) batch.patches.push_back(simulation::draw_patch(source_));
    batch.replace = simulation::draw_replacement(source_);
    batch.deletes = {source_.id(kIds), source_.id(kIds)};
    batch.txn_app = "task_" + std::to_string(source_.below(3));
    batch.txn_version = ++txn_version_;
    const WriteResult wanted = oracle_.apply(batch, clock_.now_us());
    const auto first = store_->write(kTable, batch);
    ASSERT_QUARRY_OK(first);
    EXPECT_FALSE(first->repeated);
    expect_same(*first, wanted);
    if (source_.one_in(2)) reopen();
    const auto second = store_->write(kTable, batch);
    ASSERT_QUARRY_OK(second);
    EXPECT_TRUE(second->repeated);
    EXPECT_GE(second->version, first->version);
  }

  void compare(const simulation::Question& question) {
    const auto got = question.ask(*store_);
    ASSERT_QUARRY_OK(got);
    const auto fault = simulation::fault_of(question, *got, oracle_);
    ASSERT_FALSE(fault) << *fault;
    EXPECT_EQ(store_->stats(kTable)->documents, oracle_.documents().size());
  }

  test::DocumentSource source_;
  ManualClock clock_;
  const std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store(clock_);
  Executor* const executor_;
  const uint64_t cold_cache_bytes_, sidecar_min_rows_;
  std::unique_ptr<VectorStore> store_;
  Tier tier_ = Tier::kActive;
  simulation::Oracle oracle_;
  int64_t txn_version_ = 0;
};

class VectorStoreModel : public ::testing::TestWithParam<uint64_t> {};

TEST_P(VectorStoreModel, AgreesWithAPlainMap) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  Executor executor("mvs-test", 2, 64);
  ModelRun(GetParam(), GetParam() % 2 == 0 ? &executor : nullptr).run(80);
}

// QUARRY_MODEL_SEEDS=1000 looks longer.
INSTANTIATE_TEST_SUITE_P(Seeds, VectorStoreModel, ::testing::Range<uint64_t>(1, 1 + test::seeds_from_environment(8)));

}  // namespace
}  // namespace quarry::mvs
