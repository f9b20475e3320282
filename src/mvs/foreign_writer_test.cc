// Other writers on the same log: how soon they are seen, what happens when one overwrites an entry of ours, and columns of fewer bits.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "mvs/log_follower.h"
#include "mvs/mvs.h"
#include "mvs/test_hooked_store.h"
#include "mvs/test_table.h"
#include "mvs/warm/delta_log.h"

namespace quarry::mvs {
namespace {

using test::number_row;
using Rows = std::map<std::string, json::value>;

constexpr const char* kTable = "col_f";

TableSpec spec() { return {kTable, "t", {{"v", "", 2, Metric::kDot}}, {{"n", FieldType::kInteger}, {"title", FieldType::kString}}}; }

class ForeignWriterTest : public ::testing::Test {
 protected:
  std::unique_ptr<VectorStore> attached(objects::ObjectStore& objects, int64_t follow_interval_us = 0) {
    auto store = *VectorStore::open({.store = &objects, .commit_window_us = 0, .follow_interval_us = follow_interval_us});
    EXPECT_TRUE(store->attach_table(spec()).ok());
    return store;
  }

  void create(std::vector<Document> documents) {
    const auto store = *VectorStore::open({.store = objects_.get(), .commit_window_us = 0});
    ASSERT_QUARRY_OK(store->create_table(spec()));
    ASSERT_QUARRY_OK(store->write(kTable, {.upserts = std::move(documents)}));
  }

  // A second world that starts from what is stored now.
  std::unique_ptr<objects::ObjectStore> copied() {
    auto out = objects::make_memory_store();
    for (const auto& object : *objects_->list("t/", "", 1000)) EXPECT_TRUE(out->put(object.key, *objects_->get(object.key)).ok());
    return out;
  }

  // What a writer without put-if-absent does: its files appear, and its entry lands on the one that is there.
  void overwrite_with(objects::ObjectStore& other, int64_t version) {
    const std::string entry = fmt::format("t/_delta_log/{:020}.json", version);
    for (const auto& object : *other.list("t/", "", 1000))
      if (!objects_->head(object.key).ok()) {
        ASSERT_TRUE(objects_->put(object.key, *other.get(object.key)).ok());
      }
    ASSERT_TRUE(objects_->put(entry, *other.get(entry)).ok());
  }

  static Rows rows(VectorStore& store) {
    return test::read_each(store, kTable, {}, [](const Document& d) { return json::value(d.payload); });
  }

  void commit(const std::vector<Action>& actions) {
    const DeltaLog log(*objects_, "t");
    ASSERT_EQ(*log.put(log.load()->version + 1, encode_commit(actions)), PutOutcome::kCommitted);
  }

  // What Spark's RESTORE to a version before all deletions commits.
  void restore_deleted_rows() {
    std::vector<Action> actions{CommitInfo{{{"operation", "RESTORE"}, {"engineInfo", "Apache-Spark"}}}};
    const LogState state = DeltaLog(*objects_, "t").load().value();
    for (const auto& [path, file] : state.files) {
      if (!file->deletion_vector) continue;
      AddFile whole = *file;
      whole.deletion_vector.reset();
      actions.emplace_back(RemoveFile{path, 1, true, file->size, file->deletion_vector});
      actions.emplace_back(std::move(whole));
    }
    ASSERT_GT(actions.size(), 1u);
    commit(actions);
  }

  // The files of the log as every reader takes them: by path and deletion vector.
  std::map<std::string, int> logical_files() {
    std::map<std::string, int> out;
    for (int64_t v = 0;; ++v) {
      const auto text = objects_->get(fmt::format("t/_delta_log/{:020}.json", v));
      if (!text.ok()) return out;
      std::map<std::string, int> added;
      size_t at = 0;
      while (at < text->size()) {
        const size_t end = text->find('\n', at);
        const json::value line = json::parse(text->substr(at, end - at));
        at = end + 1;
        for (const auto& action : line.as_object()) {
          const bool add = action.key() == "add";
          if (!add && action.key() != "remove") continue;
          const auto& file = action.value().as_object();
          const std::string key =
              json::serialize(file.at("path")) + (file.contains("deletionVector") ? json::serialize(file.at("deletionVector")) : "");
          (add ? added : out)[key] += add ? 1 : -1;
        }
      }
      for (const auto& [key, n] : added) out[key] += n;
      std::erase_if(out, [](const auto& f) { return f.second <= 0; });
    }
  }

  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
};

TEST(LookIsDue, ATableInUseIsLookedAtAtEveryInterval) {
  constexpr int64_t kSecond = 1'000'000;
  EXPECT_TRUE(look_is_due({.used_us = 0, .looked_us = 0}, 5, kSecond));
  EXPECT_FALSE(look_is_due({.used_us = 90 * kSecond, .looked_us = 100 * kSecond}, 100 * kSecond + 999'999, kSecond));
  EXPECT_TRUE(look_is_due({.used_us = 90 * kSecond, .looked_us = 100 * kSecond}, 101 * kSecond, kSecond));
  EXPECT_FALSE(look_is_due({.used_us = 1, .looked_us = 1000 * kSecond}, 1059 * kSecond, kSecond));
  EXPECT_TRUE(look_is_due({.used_us = 1, .looked_us = 1000 * kSecond}, 1060 * kSecond, kSecond));
}

TEST_F(ForeignWriterTest, AnotherWritersCommitIsSeenWithoutAWriteOrUpkeep) {
  create({number_row("a", 1)});
  const auto reader = attached(*objects_, 2'000), writer = attached(*objects_);
  ASSERT_EQ(rows(*reader).size(), 1u);
  ASSERT_QUARRY_OK(writer->write(kTable, {.upserts = {number_row("b", 2)}, .deletes = {"a"}}));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (rows(*reader) != rows(*writer) && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(rows(*reader), rows(*writer));
}

TEST_F(ForeignWriterTest, AReplacedEntryIsCommittedAgain) {
  create({number_row("a", 1), number_row("b", 1), number_row("c", 1), number_row("d", 1)});
  const auto other_objects = copied();
  const auto ours = attached(*objects_), other = attached(*other_objects);
  // Both commit version 2, each on its own; the other's entry lands on ours, which two more of ours follow.
  ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {number_row("b", 20), number_row("new", 20)}, .deletes = {"c"}, .txn_app = "task", .txn_version = 7}));
  ASSERT_QUARRY_OK(ours->write(kTable, {.patches = {{.document_id = "d", .set = {{"title", "patched"}}}}}));
  ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {number_row("late", 30)}}));
  ASSERT_QUARRY_OK(other->write(kTable, {.upserts = {number_row("b", 99), number_row("theirs", 99)}, .deletes = {"a"}}));
  overwrite_with(*other_objects, 2);
  ASSERT_QUARRY_OK(ours->maintain(kTable));
  Rows expected;
  for (const auto& [id, n] : {std::pair("b", 20), {"new", 20}, {"late", 30}, {"theirs", 99}}) expected[id] = json::object{{"n", n}};
  expected["d"] = json::object{{"n", 1}, {"title", "patched"}};
  EXPECT_EQ(rows(*ours), expected);
  EXPECT_EQ(rows(*attached(*objects_)), expected);  // whoever reads the log sees the same
  const auto state = *ours->stats(kTable);
  EXPECT_EQ(logical_files().size(), state.files);
  const auto again = ours->write(kTable, {.upserts = {number_row("x", 1)}, .txn_app = "task", .txn_version = 7});
  ASSERT_QUARRY_OK(again);
  EXPECT_TRUE(again->repeated);
  ASSERT_QUARRY_OK(ours->write(kTable, {.deletes = {"theirs"}}));
  expected.erase("theirs");
  EXPECT_EQ(rows(*attached(*objects_)), expected);
}

TEST_F(ForeignWriterTest, ARewriteThatReplacedOurDeleteLeavesItDeleted) {
  create({number_row("a", 1), number_row("b", 1), number_row("c", 1)});
  const auto other_objects = copied();
  const auto ours = attached(*objects_), other = attached(*other_objects);
  ASSERT_QUARRY_OK(ours->write(kTable, {.deletes = {"a"}}));
  // The other rewrites the whole file, as an optimize does: eight files make one.
  for (int i = 0; i < 8; ++i) ASSERT_QUARRY_OK(other->write(kTable, {.upserts = {number_row(fmt::format("t{}", i), i)}}));
  ASSERT_QUARRY_OK(other->maintain(kTable));
  for (int64_t v = 2; v <= other->stats(kTable)->version; ++v) overwrite_with(*other_objects, v);
  ASSERT_QUARRY_OK(ours->maintain(kTable));
  const Rows got = rows(*ours);
  EXPECT_FALSE(got.contains("a"));
  EXPECT_EQ(got.size(), 10u);
  EXPECT_EQ(rows(*attached(*objects_)), got);
  EXPECT_EQ(logical_files().size(), ours->stats(kTable)->files);
}

// Tables of older programs do not list the feature that a column without nulls asks for: Spark refuses them until the next commit of ours.
TEST_F(ForeignWriterTest, AnOldTablesProtocolIsAmendedOnce) {
  create({number_row("a", 1)});
  const std::string key = "t/_delta_log/00000000000000000000.json";
  std::string first = *objects_->get(key);
  const std::string features = R"("writerFeatures":["deletionVectors","invariants"])";
  ASSERT_NE(first.find(features), std::string::npos) << first;
  first.replace(first.find("quarryCrc32c"), 12, "notYetThere1");  // nor did their entries bear checksums
  ASSERT_TRUE(objects_->put(key, first.replace(first.find(features), features.size(), R"("writerFeatures":["deletionVectors"])")).ok());
  const auto store = attached(*objects_);
  ASSERT_QUARRY_OK(store->write(kTable, {.upserts = {number_row("b", 2)}}));
  ASSERT_QUARRY_OK(store->write(kTable, {.upserts = {number_row("c", 3)}}));
  EXPECT_NE(objects_->get("t/_delta_log/00000000000000000002.json")->find(features), std::string::npos);
  EXPECT_EQ(objects_->get("t/_delta_log/00000000000000000003.json")->find("protocol"), std::string::npos);
  EXPECT_EQ(rows(*attached(*objects_)).size(), 3u);
}

// A cold table holds nothing of its rows, but what it committed it still knows.
TEST_F(ForeignWriterTest, AReplacedEntryOfAColdTableIsCommittedAgain) {
  create({number_row("a", 1), number_row("b", 1)});
  const auto other_objects = copied();
  const auto ours = *VectorStore::open({.store = objects_.get(), .cold_cache_bytes = 0, .commit_window_us = 0});
  TableSpec cold = spec();
  cold.tier = Tier::kCold;
  ASSERT_QUARRY_OK(ours->attach_table(cold));
  const auto other = attached(*other_objects);
  ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {number_row("ours", 2)}}));
  ASSERT_QUARRY_OK(other->write(kTable, {.upserts = {number_row("theirs", 3)}}));
  ASSERT_QUARRY_OK(other->write(kTable, {.upserts = {number_row("more", 4)}}));
  overwrite_with(*other_objects, 2);
  overwrite_with(*other_objects, 3);
  Rows expected;
  for (const auto& [id, n] : {std::pair("a", 1), {"b", 1}, {"ours", 2}, {"theirs", 3}, {"more", 4}}) expected[id] = json::object{{"n", n}};
  EXPECT_EQ(rows(*ours), expected);
  EXPECT_EQ(rows(*attached(*objects_)), expected);
}

// A column that another program added keeps its type, in the schema and in our files.
TEST_F(ForeignWriterTest, NarrowColumnsStayNarrow) {
  create({number_row("a", 1)});
  const std::string first = *objects_->get("t/_delta_log/00000000000000000000.json");
  json::object metadata;
  for (size_t at = 0; at < first.size(); at = first.find('\n', at) + 1) {
    const json::value line = json::parse(first.substr(at, first.find('\n', at) - at));
    if (line.as_object().contains("metaData")) metadata = line.as_object().at("metaData").as_object();
  }
  json::object schema = json::parse(metadata.at("schemaString").as_string()).as_object();
  for (const char* type : {"byte", "short", "integer", "float"})
    schema.at("fields").as_array().push_back(
        json::object{{"name", std::string("their_") + type}, {"type", type}, {"nullable", true}, {"metadata", json::object()}});
  metadata["schemaString"] = json::serialize(schema);
  ASSERT_TRUE(objects_->put("t/_delta_log/00000000000000000002.json", json::serialize(json::object{{"metaData", metadata}}) + "\n").ok());

  const auto store = attached(*objects_);
  const json::object fits{{"their_byte", -128}, {"their_short", 32767}, {"their_integer", -2147483648ll}, {"their_float", 0.5}};
  const json::object odd{{"their_byte", 128}, {"their_short", -32769}, {"their_integer", 2147483648ll}, {"their_float", 0.1}, {"n", "x"}};
  Document one = number_row("one", 1), two = number_row("two", 2);
  one.payload = fits;
  two.payload = odd;
  ASSERT_QUARRY_OK(store->write(kTable, {.upserts = {one, two}}));
  TableSpec more = spec();
  more.fields.push_back({"later", FieldType::kString});
  ASSERT_QUARRY_OK(store->extend_table(more));  // writes the schema anew
  for (const auto& reader : {attached(*objects_)}) {
    Rows got = rows(*reader);
    EXPECT_TRUE(test::identical(got["one"], fits)) << json::serialize(got["one"]);
    EXPECT_TRUE(test::identical(got["two"], odd)) << json::serialize(got["two"]);
    EXPECT_EQ(*reader->count(kTable, *parse_filter(json::object{{"field", "their_integer"}, {"operator", "gt"}, {"value", 0}})), 1u);
  }
  const std::string written = *objects_->get("t/_delta_log/00000000000000000004.json");
  for (const char* type : {"byte", "short", "integer", "float"})
    EXPECT_NE(written.find(fmt::format(R"(\"their_{}\",\"type\":\"{}\")", type, type)), std::string::npos) << written;
}

TEST_F(ForeignWriterTest, ARowThatIsRestoredIsFoundAgain) {
  std::vector<Document> first, later;
  for (int i = 0; i < 10; ++i) first.push_back(number_row(fmt::format("t{}", i), i));
  for (int i = 0; i < 9; ++i) later.push_back(number_row(fmt::format("s{}", i), i));
  create(first);
  const auto ours = attached(*objects_);
  ASSERT_QUARRY_OK(ours->write(kTable, {.deletes = {"t3"}}));
  ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = later}));  // large enough that the ids are merged
  restore_deleted_rows();
  ASSERT_QUARRY_OK(ours->maintain(kTable));
  EXPECT_EQ(rows(*ours).size(), 19u);
  EXPECT_EQ(ours->get(kTable, {"t3"}, {})->size(), 1u);
  ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {number_row("t3", 9)}}));
  EXPECT_EQ(rows(*ours).size(), 19u);
  EXPECT_EQ(rows(*attached(*objects_)), rows(*ours));
}

TEST_F(ForeignWriterTest, AnIndexedSearchFindsARowThatIsRestored) {
  std::vector<Document> documents;
  for (int i = 0; i < 2000; ++i) documents.push_back(number_row(fmt::format("d{}", i), i < 1998 ? i : 4000 * (i - 1997)));
  create(std::move(documents));
  const auto ours = *VectorStore::open({.store = objects_.get(), .commit_window_us = 0, .index_min_rows = 100});
  ASSERT_QUARRY_OK(ours->attach_table(spec()));
  ASSERT_QUARRY_OK(ours->write(kTable, {.deletes = {"d1999"}}));
  ASSERT_QUARRY_OK(ours->maintain(kTable));
  const SearchRequest largest{.table_id = kTable, .vector_name = "v", .query = DenseQuery{{1, 0}}, .k = 1};
  const auto before = ours->search(largest);
  ASSERT_QUARRY_OK(before);
  EXPECT_EQ(before->hits.at(0).document.document_id, "d1998");
  EXPECT_LT(before->rows_scored, 1000u) << "an index answers";
  restore_deleted_rows();
  ASSERT_QUARRY_OK(ours->maintain(kTable));
  EXPECT_EQ(ours->search(largest)->hits.at(0).document.document_id, "d1999");
}

// A file of another writer is found by its removal in the log alone, so that is not forgotten before the file is gone.
TEST_F(ForeignWriterTest, AFileThatCouldNotBeRemovedIsRemovedLater) {
  create({number_row("a", 1), number_row("b", 1)});
  ManualClock clock(system_clock().now_us());
  const auto made = DeltaLog(*objects_, "t").load()->files.begin()->second;
  AddFile theirs = *made;
  theirs.path = "part-0.parquet";
  ASSERT_TRUE(objects_->put("t/part-0.parquet", *objects_->get("t/" + made->path)).ok());
  commit({CommitInfo{{{"engineInfo", "delta-rs"}}}, RemoveFile{made->path, clock.now_us() / 1000, true, made->size, {}}, theirs});
  test::HookedStore stuck(*objects_);
  const auto opened = [&] {
    auto store = *VectorStore::open({.store = &stuck, .clock = &clock, .commit_window_us = 0, .checkpoint_interval = 1});
    EXPECT_TRUE(store->attach_table(spec()).ok());
    return store;
  };
  {
    const auto ours = opened();
    ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {number_row("c", 1)}, .deletes = {"a", "b"}}));
    clock.advance_us(3600ll * 1'000'000);
    stuck.set_hook([](std::string_view operation, std::string_view key) {
      return operation == "remove" && key == "t/part-0.parquet" ? Status(storage_error("stuck")) : Status(Ok{});
    });
    EXPECT_FALSE(ours->maintain(kTable).ok());
    EXPECT_FALSE(objects_->head("t/" + made->path).ok()) << "the others go all the same";
    ASSERT_QUARRY_OK(ours->write(kTable, {.upserts = {number_row("d", 1)}}));  // upkeep follows, with a checkpoint
  }
  EXPECT_TRUE(objects_->head("t/part-0.parquet").ok());
  stuck.set_hook(nullptr);
  ASSERT_QUARRY_OK(opened()->maintain(kTable));
  EXPECT_FALSE(objects_->head("t/part-0.parquet").ok());
}

}  // namespace
}  // namespace quarry::mvs
