// A byte of any file is flipped, or its end is cut off: the server says which file is broken and where, or answers as if nothing were.
#include <gtest/gtest.h>

#include <fstream>
#include <numeric>
#include <set>

#include "base/file.h"
#include "base/rng.h"
#include "base/temporary_folder.h"
#include "mvs/simulation/draws.h"
#include "objects/object_store.h"

namespace quarry::mvs::simulation {
namespace {

constexpr size_t kRows = 1100;  // enough for segments on the local disk

// What is done to a file. `offset` < its size.
std::string broken(const std::string& whole, size_t offset, uint64_t bit, bool is_cut) {
  std::string out = whole;
  if (is_cut)
    out.resize(offset);
  else
    out[offset] ^= char(1 << bit);
  return out;
}

std::vector<uint64_t> seeds() {
  const uint64_t first = test::number_from_environment("QUARRY_SIM_SEED", 1);
  std::vector<uint64_t> out(test::number_from_environment("QUARRY_SIM_SEEDS", 1));
  std::iota(out.begin(), out.end(), first);
  return out;
}

class CorruptionTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override {
    const auto store = open(objects_.get(), Tier::kActive);
    TableSpec spec = test::full_spec();
    ASSERT_QUARRY_OK(store->drop_table(kTable));
    ASSERT_QUARRY_OK(store->create_table(spec));
    WriteBatch first;
    for (size_t i = 0; i < kRows; ++i) {
      first.upserts.push_back(source_.document(1));
      first.upserts.back().document_id = fmt::format("row_{:04}", i);
    }
    write(*store, std::move(first));
    for (int i = 0; i < 6; ++i) {
      WriteBatch batch = draw_small_batch();
      batch.deletes.push_back(fmt::format("row_{:04}", i * 7));
      write(*store, std::move(batch));
    }
    ASSERT_QUARRY_OK(store->set_tier(kTable, Tier::kCold));  // leaves the sidecars
    ASSERT_QUARRY_OK(store->set_tier(kTable, Tier::kActive));
    for (int i = 0; i < 3; ++i) {
      WriteBatch batch = draw_small_batch();
      batch.deletes.push_back(fmt::format("row_{:04}", 1000 + i));
      write(*store, std::move(batch));
    }
    ASSERT_QUARRY_OK(store->maintain(kTable));  // leaves segments and graphs on the local disk
    questions_.push_back(everything());
    while (questions_.size() < 6) questions_.push_back(draw_question(source_, true));
    for (Question& question : questions_) question.answer = [answer = question.answer(oracle_)](const Oracle&) { return answer; };
  }

  std::unique_ptr<VectorStore> open(objects::ObjectStore* objects, Tier tier) {
    auto store = *VectorStore::open({.store = objects,
                                     .clock = &clock_,
                                     .cold_cache_bytes = 0,
                                     .sidecar_min_rows = 1,
                                     .commit_window_us = 0,
                                     .checkpoint_interval = 4,
                                     .local_folder = local_.path() / "local",
                                     .index_min_rows = 100});
    TableSpec spec = test::full_spec();
    spec.tier = tier;
    EXPECT_TRUE(store->attach_table(spec).ok());
    return store;
  }

  // That leaves most rows: a replacement takes every row of a source.
  WriteBatch draw_small_batch() {
    WriteBatch out = draw_batch(source_);
    out.replace.reset();
    return out;
  }

  void write(VectorStore& store, WriteBatch batch) {
    oracle_.apply(batch, clock_.now_us());
    ASSERT_QUARRY_OK(store.write(kTable, std::move(batch)));
  }

  // Of a server that opens the broken table.
  void expect_no_wrong_answer(Tier tier, const std::string& key, bool is_derived) {
    const auto store = open(objects_.get(), tier);
    for (const Question& question : questions_) {
      const auto got = question.ask(*store);
      if (got.ok()) {
        const auto fault = fault_of(question, *got, oracle_);
        ASSERT_FALSE(fault) << *fault;
        continue;
      }
      ASSERT_FALSE(is_derived) << got.error().message;
      ASSERT_EQ(got.error().kind, ErrorKind::kCorruption) << got.error().message;
      EXPECT_NE(got.error().message.find(key), std::string::npos) << got.error().message;
      EXPECT_NE(got.error().message.find("offset"), std::string::npos) << got.error().message;
    }
  }

  std::vector<std::filesystem::path> local_files() {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(local_.path()))
      if (entry.is_regular_file()) out.push_back(entry.path());
    std::sort(out.begin(), out.end());
    return out;
  }

  ManualClock clock_;
  test::DocumentSource source_{GetParam()};
  Rng rng_{GetParam()};
  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store(clock_);
  TemporaryFolder local_{"quarry-corruption"};
  Oracle oracle_;
  std::vector<Question> questions_;
};

TEST_P(CorruptionTest, OfTheTablesFiles) {
  std::filesystem::remove_all(local_.path() / "local");
  const auto files = objects_->list("org/ns/col_a/", "", 1000).value();
  std::set<std::string> kinds;
  for (const auto& file : files) {
    const std::string whole = objects_->get(file.key).value();
    const bool is_derived = file.key.find("/_quarry/cold/") != std::string::npos || file.key.ends_with("_last_checkpoint");
    kinds.insert(is_derived ? "derived" : file.key.substr(file.key.rfind('.')));
    for (int i = 0; i < 2; ++i) {
      const size_t offset = rng_.below(whole.size());
      const bool is_cut = i == 1;
      SCOPED_TRACE(fmt::format("seed {}: {} {} at offset {}", GetParam(), file.key, is_cut ? "cut" : "flipped", offset));
      ASSERT_QUARRY_OK(objects_->put(file.key, broken(whole, offset, rng_.below(8), is_cut)));
      expect_no_wrong_answer(rng_.below(2) == 0 ? Tier::kActive : Tier::kCold, file.key, is_derived);
      std::filesystem::remove_all(local_.path() / "local");
      if (HasFatalFailure()) return;
    }
    ASSERT_QUARRY_OK(objects_->put(file.key, whole));
  }
  EXPECT_EQ(kinds, (std::set<std::string>{".bin", ".json", ".parquet", "derived"}));
}

TEST_P(CorruptionTest, OfLocalFiles) {
  const auto files = local_files();
  std::set<std::string> kinds;
  for (const auto& path : files) {
    kinds.insert(path.extension());
    const std::string whole = read_file(path).value();
    for (int i = 0; i < 6; ++i) {
      const size_t offset = rng_.below(whole.size());
      SCOPED_TRACE(fmt::format("seed {}: {} at offset {}", GetParam(), path.string(), offset));
      const std::string bytes = broken(whole, offset, rng_.below(8), i == 5);
      std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
      expect_no_wrong_answer(Tier::kActive, path.string(), true);
      if (HasFatalFailure()) return;
    }
    std::ofstream(path, std::ios::binary | std::ios::trunc) << whole;
  }
  EXPECT_EQ(kinds, (std::set<std::string>{".graph", ".rows", ".segment"}));
}

// QUARRY_SIM_SEEDS=100 looks longer; QUARRY_SIM_SEED=n begins there.
INSTANTIATE_TEST_SUITE_P(Seeds, CorruptionTest, ::testing::ValuesIn(seeds()));

}  // namespace
}  // namespace quarry::mvs::simulation
