#include "mvs/table_copy.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "mvs/mvs.h"
#include "mvs/test_table.h"

namespace quarry::mvs {
namespace {

using test::DocumentSource;

constexpr const char* kFrom = "org/ns/col_a";
constexpr const char* kTo = "org/ns/snapshots/snap/tables/col_a";
using Contents = std::map<std::string, json::value>;

std::unique_ptr<VectorStore> open_store(objects::ObjectStore& objects) {
  return std::move(VectorStore::open({.store = &objects,
                                      .commit_window_us = 0,
                                      .checkpoint_interval = 5,
                                      .target_file_bytes = 200'000,
                                      .file_retention_us = 0,
                                      .log_retention_us = 0}))
      .value();
}

Contents contents(VectorStore& store, const std::string& table_id) {
  return test::read_each(store, table_id, {.payload = true, .vectors = true}, test::as_json);
}

Contents contents_at(objects::ObjectStore& objects, const std::string& prefix, const std::string& table_id) {
  TableSpec spec = test::full_spec();
  spec.prefix = prefix;
  spec.table_id = table_id;
  auto store = open_store(objects);
  EXPECT_TRUE(store->attach_table(spec).ok());
  return contents(*store, table_id);
}

class TableCopyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = open_store(*objects_);
    ASSERT_QUARRY_OK(store_->create_table(test::full_spec()));
  }

  void write(size_t documents, size_t deletes) {
    WriteBatch batch;
    std::set<std::string> ids;
    for (size_t i = 0; i < documents; ++i) {
      Document d = draw_.document(60);
      d.lineage.lineage_path = "bkt_a/" + d.lineage.root_object_id;
      if (ids.insert(d.document_id).second) batch.upserts.push_back(std::move(d));
    }
    for (size_t i = 0; i < deletes; ++i)
      if (std::string id = draw_.id(60); !ids.contains(id)) batch.deletes.push_back(std::move(id));
    ASSERT_QUARRY_OK(store_->write("col_a", std::move(batch)));
  }

  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
  std::unique_ptr<VectorStore> store_;
  DocumentSource draw_{7};
};

TEST_F(TableCopyTest, HoldsTheSameRowsAndOnlyTheFilesItNames) {
  for (int i = 0; i < 8; ++i) write(20, 10);
  const Contents before = contents(*store_, "col_a");
  const auto copied = copy_table(*objects_, kFrom, kTo, {.table_id = "copy", .rename = {}, .progress = {}});
  ASSERT_QUARRY_OK(copied);
  EXPECT_EQ(copied->documents, before.size());
  EXPECT_EQ(copied->version, store_->stats("col_a")->version);
  std::set<std::string> named;
  for (const CopiedFile& file : copied->files) {
    const auto bytes = objects_->get(std::string(kTo) + "/" + file.path);
    ASSERT_QUARRY_OK(bytes);
    EXPECT_EQ(bytes->size(), file.size);
    EXPECT_EQ(sha256_hex(*bytes), file.sha256);
    named.insert(std::string(kTo) + "/" + file.path);
  }
  EXPECT_TRUE(copied->files.back().path.starts_with("_delta_log/"));
  for (const auto& object : objects_->list(std::string(kTo) + "/", "", 1'000).value())
    EXPECT_TRUE(named.contains(object.key)) << object.key;
  write(20, 10);  // the copy stays as it is
  EXPECT_EQ(contents_at(*objects_, kTo, "copy"), before);
}

TEST_F(TableCopyTest, SurvivesUpkeepThatRemovesFilesUnderIt) {
  std::map<int64_t, Contents> by_version;
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 6; ++i) write(10, 4);
    by_version[store_->stats("col_a")->version] = contents(*store_, "col_a");
    const std::string to = std::string(kTo) + std::to_string(round);
    int files = 0;
    const auto copied = copy_table(*objects_, kFrom, to, {.table_id = "copy", .rename = {}, .progress = [&](uint64_t) -> Status {
                                                            if (++files != 2) return Ok{};
                                                            write(10, 4);
                                                            by_version[store_->stats("col_a")->version] = contents(*store_, "col_a");
                                                            return store_->maintain("col_a");  // merges, and removes at once what it merged
                                                          }});
    ASSERT_QUARRY_OK(copied);
    const auto of = std::prev(by_version.upper_bound(copied->version));
    EXPECT_EQ(contents_at(*objects_, to, "copy"), of->second) << "round " << round;
    EXPECT_EQ(copied->documents, of->second.size());
  }
}

// A store that fails while files go is no damage: who hears of damage does not try again.
TEST_F(TableCopyTest, AStoreThatFailsIsNotCalledDamage) {
  const auto same = [](std::string_view text) { return std::string(text); };
  int failed = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    for (int i = 0; i < 4; ++i) write(10, 4);
    const auto faulty = objects::make_faulty_store(*objects_, {.seed = seed, .fail_before = 0.3, .prefix = std::string(kFrom) + "/quarry-"});
    int files = 0;
    const auto upkeep = [&](uint64_t) -> Status {
      if (++files != 1) return Ok{};
      for (int i = 0; i < 6; ++i) write(10, 4);
      return store_->maintain("col_a");
    };
    const auto copied = copy_table(*faulty, kFrom, std::string(kTo) + std::to_string(seed), {.table_id = "copy", .rename = same, .progress = upkeep});
    if (copied.ok()) continue;
    ++failed;
    EXPECT_NE(copied.error().message.find("injected fault"), std::string::npos) << "seed " << seed << ": " << copied.error().message;
  }
  EXPECT_GT(failed, 10);
}

TEST_F(TableCopyTest, RenamesLineageAndLeavesTheRest) {
  for (int i = 0; i < 5; ++i) write(20, 10);
  const auto rename = [](std::string_view text) { return "new/" + std::string(text); };
  const auto copied = copy_table(*objects_, kFrom, kTo, {.table_id = "copy", .rename = rename, .progress = {}});
  ASSERT_QUARRY_OK(copied);
  Contents wanted = contents(*store_, "col_a");
  for (auto& [id, document] : wanted) {
    json::array& lineage = document.as_object()["lineage"].as_array();
    for (size_t i : {0, 1, 3, 4, 6})
      if (!lineage[i].as_string().empty()) lineage[i] = json::string(rename(lineage[i].as_string()));
  }
  EXPECT_EQ(contents_at(*objects_, kTo, "copy"), wanted);
  EXPECT_EQ(copied->documents, wanted.size());
}

TEST_F(TableCopyTest, NamesWhatIsDamagedOrMissing) {
  write(20, 0);
  std::string data;
  for (const auto& object : objects_->list(std::string(kFrom) + "/quarry-", "", 10).value()) data = object.key;
  const std::string bytes = objects_->get(data).value();
  std::string flipped = bytes;
  flipped[flipped.size() / 2] ^= 1;
  ASSERT_QUARRY_OK(objects_->put(data, flipped));
  auto copied = copy_table(*objects_, kFrom, kTo, {.table_id = "copy", .rename = {}, .progress = {}});
  ASSERT_FALSE(copied.ok());
  EXPECT_EQ(copied.error().kind, ErrorKind::kCorruption);
  EXPECT_NE(copied.error().message.find(data), std::string::npos) << copied.error().message;
  ASSERT_QUARRY_OK(objects_->remove(data));
  copied = copy_table(*objects_, kFrom, kTo, {.table_id = "copy", .rename = {}, .progress = {}});
  ASSERT_FALSE(copied.ok());
  EXPECT_EQ(copied.error().kind, ErrorKind::kCorruption);
  EXPECT_NE(copied.error().message.find(data), std::string::npos) << copied.error().message;
  EXPECT_EQ(objects_->head(std::string(kTo) + "/_delta_log/00000000000000000000.json").error().kind, ErrorKind::kNotFound);
  ASSERT_QUARRY_OK(objects_->put(data, bytes));
  ASSERT_QUARRY_OK(copy_table(*objects_, kFrom, kTo, {.table_id = "copy", .rename = {}, .progress = {}}));
  // Where a table is already, no second one is made.
  EXPECT_EQ(copy_table(*objects_, kFrom, kTo, {.table_id = "copy", .rename = {}, .progress = {}}).error().kind, ErrorKind::kAlreadyExists);
}

}  // namespace
}  // namespace quarry::mvs
