#include "mvs/table_check.h"

#include <gtest/gtest.h>

#include <random>

#include "base/file.h"
#include "base/temporary_folder.h"
#include "mvs/hot/checked_file.h"
#include "mvs/mvs.h"
#include "mvs/test_table.h"

namespace quarry::mvs {
namespace {

constexpr const char* kPrefix = "org/ns/col_a";
constexpr const char* kEntry = "org/ns/col_a/_delta_log/00000000000000000001.json";
constexpr const char* kNewest = "org/ns/col_a/_delta_log/00000000000000000002.json";

class TableCheckTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = std::move(VectorStore::open({.store = objects_.get(), .commit_window_us = 0})).value();
    ASSERT_QUARRY_OK(store->create_table(test::full_spec()));
    WriteBatch batch;
    for (int i = 0; i < 40; ++i) {
      batch.upserts.push_back(draw_.document(1));
      batch.upserts.back().document_id = "doc_" + std::to_string(i);
    }
    ASSERT_QUARRY_OK(store->write("col_a", std::move(batch)));
    ASSERT_QUARRY_OK(store->write("col_a", {.deletes = {"doc_3", "doc_4"}}));
  }

  TableCheck check() {
    auto checked = check_table(*objects_, kPrefix);
    EXPECT_TRUE(checked.ok()) << (checked.ok() ? "" : checked.error().message);
    return checked.ok() ? *checked : TableCheck{};
  }

  // The only key that begins so.
  std::string key(const std::string& beginning) { return objects_->list(std::string(kPrefix) + "/" + beginning, "", 2).value().at(0).key; }

  // As another program would have written the entry: its checksum does not cover it any more.
  void edit_entry(const std::string& from, const std::string& to) {
    std::string text = objects_->get(kNewest).value();
    text.replace(text.find("quarryCrc32c"), 12, "nothingThere");
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    ASSERT_TRUE(objects_->put(kNewest, text.replace(at, from.size(), to)).ok());
  }

  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
  test::DocumentSource draw_{5};
};

TEST_F(TableCheckTest, ASoundTableHasNoFault) {
  const TableCheck sound = check();
  EXPECT_TRUE(sound.faults.empty()) << sound.faults[0].file << ": " << sound.faults[0].what;
  EXPECT_EQ(sound.documents, 38u);
  EXPECT_EQ(sound.version, 2);
  EXPECT_EQ(sound.files, 1u);
}

TEST_F(TableCheckTest, EveryFlippedByteOfDataAndDeletionsIsNamed) {
  for (const std::string& name : {key("quarry-"), key("deletion_vector_")}) {
    const std::string whole = objects_->get(name).value();
    for (size_t at = 0; at < whole.size(); at += 1 + whole.size() / 200) {
      std::string flipped = whole;
      flipped[at] = char(flipped[at] ^ (1 << (at % 8)));
      ASSERT_TRUE(objects_->put(name, flipped).ok());
      const TableCheck damaged = check();
      ASSERT_FALSE(damaged.faults.empty()) << name << " byte " << at;
      EXPECT_EQ(damaged.faults[0].file, name);
      ASSERT_TRUE(damaged.faults[0].offset.has_value()) << name << " byte " << at << ": " << damaged.faults[0].what;
      EXPECT_LT(*damaged.faults[0].offset, whole.size());
    }
    ASSERT_TRUE(objects_->put(name, whole).ok());
  }
  EXPECT_TRUE(check().faults.empty());
}

TEST_F(TableCheckTest, WhatTheLogSaysWronglyIsNamed) {
  edit_entry(R"(\"numRecords\":40)", R"(\"numRecords\":41)");
  ASSERT_EQ(check().faults.size(), 1u);
  EXPECT_NE(check().faults[0].what.find("has 40 rows, the log says 41"), std::string::npos);
}

TEST_F(TableCheckTest, AStatisticThatIsNotTheFilesIsNamed) {
  edit_entry(R"(\"document_id\":\"doc_0\")", R"(\"document_id\":\"doc_1\")");
  ASSERT_EQ(check().faults.size(), 1u);
  EXPECT_NE(check().faults[0].what.find("minValues of 'document_id'"), std::string::npos) << check().faults[0].what;
}

TEST_F(TableCheckTest, EveryFlippedByteOfSidecarsIsNamedAndDerived) {
  auto store = std::move(VectorStore::open({.store = objects_.get(), .sidecar_min_rows = 1, .commit_window_us = 0})).value();
  ASSERT_QUARRY_OK(store->attach_table(test::full_spec()));
  ASSERT_QUARRY_OK(store->set_tier("col_a", Tier::kCold));
  EXPECT_TRUE(check().faults.empty());
  const auto sidecars = objects_->list(std::string(kPrefix) + "/_quarry/cold/", "", 100).value();
  ASSERT_GE(sidecars.size(), 4u);  // an index, rows, columns of vectors, texts
  for (const auto& sidecar : sidecars) {
    const std::string whole = objects_->get(sidecar.key).value();
    for (size_t at = 0; at < whole.size(); at += 1 + whole.size() / 50) {
      std::string flipped = whole;
      flipped[at] = char(flipped[at] ^ (1 << (at % 8)));
      ASSERT_TRUE(objects_->put(sidecar.key, flipped).ok());
      const TableCheck damaged = check();
      ASSERT_FALSE(damaged.faults.empty()) << sidecar.key << " byte " << at;
      EXPECT_EQ(damaged.faults[0].file, sidecar.key);
      EXPECT_TRUE(damaged.faults[0].is_derived && damaged.faults[0].offset.has_value());
    }
    ASSERT_TRUE(objects_->put(sidecar.key, whole).ok());
  }
}

TEST_F(TableCheckTest, MissingFilesAreNamed) {
  const std::string data = key("quarry-"), deletions = key("deletion_vector_");
  ASSERT_TRUE(objects_->remove(deletions).ok());
  EXPECT_EQ(check().faults.at(0).file, deletions);
  ASSERT_TRUE(objects_->remove(data).ok());
  EXPECT_EQ(check().faults.at(0).file, data);
  EXPECT_TRUE(check().faults.at(0).crc.has_value());
  ASSERT_TRUE(objects_->remove(kEntry).ok());
  EXPECT_EQ(check().version, -1);
  EXPECT_NE(check().faults.at(0).what.find("00000000000000000001.json is missing"), std::string::npos);
}

TEST(LocalFiles, DamageLeftoversAndStrangersAreNamed) {
  const TemporaryFolder folder("quarry-local");
  const auto table = folder.path() / local_folder_name("org/ns/col_a");
  const std::string_view data = "a segment's bytes";
  ASSERT_QUARRY_OK(write_checked_file(table / "1.segment", kSegmentFile, 1, {&data, 1}));
  EXPECT_TRUE(check_local_files(folder.path(), {"org/ns/col_a"}).empty());
  EXPECT_EQ(check_local_files(folder.path(), {}).size(), 1u);  // nobody's
  EXPECT_TRUE(check_local_files(folder.path() / "absent", {}).empty());
  const std::string whole = read_file(table / "1.segment").value();
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = char(flipped[at] ^ 4);
    ASSERT_QUARRY_OK(write_file_atomic(table / "1.segment", flipped));
    const auto faults = check_local_files(folder.path(), {"org/ns/col_a"});
    ASSERT_EQ(faults.size(), 1u) << "byte " << at;
    EXPECT_TRUE(faults[0].is_derived && faults[0].offset.has_value());
  }
  ASSERT_QUARRY_OK(write_file_atomic(table / "1.segment", whole));
  ASSERT_QUARRY_OK(write_file_atomic(table / ".tmp-1", "x"));
  ASSERT_QUARRY_OK(write_file_atomic(table / "1.graph", whole));  // a segment is no graph
  EXPECT_EQ(check_local_files(folder.path(), {"org/ns/col_a"}).size(), 2u);
}

}  // namespace
}  // namespace quarry::mvs
