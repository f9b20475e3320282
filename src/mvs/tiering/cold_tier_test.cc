// Cold tables: the same answers, no rows in memory, bounded waits, and what commits meanwhile.
#include <gtest/gtest.h>

#include <bit>
#include <thread>

#include "base/log.h"
#include "mvs/mvs.h"
#include "mvs/test_table.h"
#include "objects/counting_store.h"

namespace quarry::mvs {
namespace {

using test::as_json;
using test::DocumentSource;

TableSpec spec_of(const std::string& id, Tier tier = Tier::kActive) {
  TableSpec spec = test::full_spec();
  spec.table_id = id;
  spec.prefix = "org/ns/" + id;
  spec.tier = tier;
  return spec;
}

class ColdTierTest : public ::testing::Test {
 protected:
  // Without an executor upkeep is done when a write returns.
  std::unique_ptr<VectorStore> open(objects::ObjectStore& objects, uint64_t cache_bytes = 0, Executor* executor = nullptr,
                                    uint64_t sidecar_min_rows = 4096) {
    return VectorStore::open({.store = &objects,
                              .executor = executor,
                              .cold_cache_bytes = cache_bytes,
                              .sidecar_min_rows = sidecar_min_rows,
                              .commit_window_us = 0})
        .value();
  }

  // Several files, some rows deleted.
  void fill(VectorStore& store, const std::string& id, uint64_t seed = 7) {
    ASSERT_QUARRY_OK(store.create_table(spec_of(id)));
    DocumentSource source(seed);
    for (int write = 0; write < 4; ++write) {
      WriteBatch batch;
      for (int i = 0; i < 60; ++i) batch.upserts.push_back(source.document(150));
      batch.deletes = {source.id(150), source.id(150)};
      ASSERT_QUARRY_OK(store.write(id, std::move(batch)));
    }
    ASSERT_QUARRY_OK(store.maintain(id));  // so that no upkeep changes the files while a test compares
  }

  static json::array show(const std::vector<Hit>& hits) {
    json::array out;
    for (const Hit& hit : hits) out.push_back(json::array{std::bit_cast<uint32_t>(hit.score), as_json(hit.document)});
    return out;
  }

  // Every kind of read, scores by their bits.
  static json::value answers(VectorStore& store, const std::string& id) {
    json::object out;
    DocumentSource source(99);
    const Filter filter = parse_filter(json::object{{"field", "pages"}, {"operator", "gte"}, {"value", 2}}).value();
    for (const bool grouped : {false, true}) {
      SearchRequest request{.table_id = id, .vector_name = "text", .query = DenseQuery{source.vector(4)}, .k = 20, .exact = true};
      request.projection.vectors = true;
      if (grouped)
        request.group = GroupSpec{.field = "title", .max_per_group = 2, .limit = 3};
      else
        request.filter = filter;
      const auto found = store.search(request);
      EXPECT_TRUE(found.ok()) << found.error().message;
      out[grouped ? "grouped" : "search"] = show(found->hits);
      out["rows_scored"] = found->rows_scored;
    }
    ScanRequest scan{.table_id = id, .filter = filter, .sort = SortSpec{.field = "price"}, .limit = 30, .with_total = true};
    const auto rows = store.scan(scan).value();
    json::array scanned;
    for (const auto& d : rows.documents) scanned.push_back(as_json(d));
    out["scan"] = std::move(scanned);
    out["total"] = *rows.total;
    json::array got;
    for (const auto& d : store.get(id, {"doc_3", "doc_77", "absent"}, {.payload = true, .vectors = true}).value())
      got.push_back(as_json(d));
    out["get"] = std::move(got);
    out["count"] = store.count(id, filter).value();
    for (const auto& facet : store.facet(id, {}, "title", 10).value())
      out["facet " + json::serialize(facet.value)] = facet.count;
    const TableStats stats = store.stats(id).value();
    out["stats"] = json::array{stats.version, stats.documents,    stats.files,
                               stats.bytes,   stats.deleted_rows, json::value_from(stats.vectors)};
    return out;
  }

  static uint64_t memory_of(VectorStore& store, const std::string& id) {
    for (const auto& usage : store.usage())
      if (usage.table_id == id) return usage.memory_bytes;
    ADD_FAILURE() << id << " is not known";
    return 0;
  }

  static Document numbered(const std::string& id, int64_t n) {
    Document d;
    d.document_id = id;
    d.payload = {{"pages", n}};
    d.vectors = {{"text", {float(n), 1, 2, 3}}};
    return d;
  }

  Executor executor_{"mvs-test", 2, 64};
  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
};

class ColdAnswersTest : public ColdTierTest, public ::testing::WithParamInterface<uint64_t> {};

TEST_P(ColdAnswersTest, AreTheActiveTiersAndNothingIsHeld) {
  objects::CountingStore counted(*objects_);
  const auto store = open(counted, 0, nullptr, GetParam());
  fill(*store, "col_a");
  const json::value active = answers(*store, "col_a");
  EXPECT_GT(memory_of(*store, "col_a"), 0u);
  ASSERT_QUARRY_OK(store->set_tier("col_a", Tier::kCold));
  EXPECT_EQ(memory_of(*store, "col_a"), 0u);
  counted.reset();
  EXPECT_EQ(answers(*store, "col_a"), active);
  EXPECT_GT(counted.counts().bytes_read, 0u);
  EXPECT_EQ(memory_of(*store, "col_a"), 0u);
  EXPECT_EQ(store->stats("col_a")->tier, Tier::kCold);
  ASSERT_QUARRY_OK(store->set_tier("col_a", Tier::kActive));
  counted.reset();
  EXPECT_EQ(answers(*store, "col_a"), active);
  EXPECT_EQ(counted.counts().bytes_read, 0u);
}

// Files read in parts, and whole.
INSTANTIATE_TEST_SUITE_P(SidecarMinRows, ColdAnswersTest, ::testing::Values(1, 4096));

TEST_F(ColdTierTest, StartsColdWithoutReading) {
  json::value active;
  {
    const auto store = open(*objects_);
    fill(*store, "col_a");
    active = answers(*store, "col_a");
  }
  objects::CountingStore counted(*objects_);
  const auto store = open(counted);
  ASSERT_QUARRY_OK(store->attach_table(spec_of("col_a", Tier::kCold)));
  EXPECT_EQ(counted.counts().gets + counted.counts().range_gets + counted.counts().lists, 0u);
  EXPECT_EQ(answers(*store, "col_a"), active);
  EXPECT_EQ(memory_of(*store, "col_a"), 0u);
}

TEST_F(ColdTierTest, TheLogTellsTheStatistics) {
  TableStats active;
  {
    const auto store = open(*objects_);
    fill(*store, "col_a");
    active = store->stats("col_a").value();
    ASSERT_GT(active.deleted_rows, 0u);
  }
  objects::CountingStore counted(*objects_);
  const auto store = open(counted);
  ASSERT_QUARRY_OK(store->attach_table(spec_of("col_a", Tier::kCold)));
  const TableStats cold = store->stats("col_a").value();
  EXPECT_EQ(cold.documents, active.documents);
  EXPECT_EQ(cold.vectors, active.vectors);
  EXPECT_EQ(cold.deleted_rows, active.deleted_rows);
  EXPECT_EQ(cold.bytes, active.bytes);
  EXPECT_EQ(cold.files, active.files);
  EXPECT_EQ(cold.data_version, active.data_version);
  EXPECT_LT(counted.counts().bytes_read, active.bytes);
  for (const auto& object : objects_->list("org/ns/col_a/quarry-", "", 100).value()) ASSERT_QUARRY_OK(objects_->remove(object.key));
  ASSERT_QUARRY_OK(store->stats("col_a"));  // no data file is needed
}

TEST_F(ColdTierTest, StatisticsFollowOtherWriters) {
  const auto writer = open(*objects_);
  fill(*writer, "col_a");
  objects::CountingStore counted(*objects_);
  ManualClock clock;
  constexpr int64_t kIntervalUs = 3600ll * 1'000'000;
  const auto cold = *VectorStore::open({.store = &counted, .clock = &clock, .cold_cache_bytes = 0, .follow_interval_us = kIntervalUs});
  ASSERT_QUARRY_OK(cold->attach_table(spec_of("col_a", Tier::kCold)));
  const TableStats before = cold->stats("col_a").value();
  ASSERT_QUARRY_OK(writer->write("col_a", {.upserts = {numbered("of_another", 1)}}));
  counted.reset();
  EXPECT_EQ(cold->stats("col_a")->version, before.version) << "looked at as often as an active table";
  EXPECT_EQ(counted.counts().gets, 0u);
  clock.advance_us(kIntervalUs);
  const TableStats after = cold->stats("col_a").value();
  EXPECT_EQ(after.documents, before.documents + 1);
  EXPECT_GT(after.data_version, before.data_version);
  clock.advance_us(kIntervalUs);
  counted.reset();
  EXPECT_EQ(cold->stats("col_a")->version, after.version);
  EXPECT_EQ(counted.counts().gets, 2u) << "the next entry and the hint, side by side";
}

TEST_F(ColdTierTest, StatisticsOfACommitOfOnesOwnFollowOtherWriters) {
  const auto writer = open(*objects_), cold = open(*objects_);
  fill(*writer, "col_a");
  ASSERT_QUARRY_OK(cold->attach_table(spec_of("col_a", Tier::kCold)));
  ASSERT_QUARRY_OK(cold->write("col_a", {.upserts = {numbered("own", 1)}}));
  const uint64_t documents = cold->stats("col_a")->documents;
  ASSERT_QUARRY_OK(writer->write("col_a", {.upserts = {numbered("of_another", 1)}}));
  EXPECT_EQ(cold->stats("col_a")->documents, documents + 1);
  EXPECT_EQ(cold->count("col_a", {}).value(), documents + 1);
}

TEST_F(ColdTierTest, WritesCommitAndLeaveNothingInMemory) {
  const auto store = open(*objects_);
  ASSERT_QUARRY_OK(store->create_table(spec_of("col_a", Tier::kCold)));
  WriteBatch first{.upserts = {numbered("a", 1), numbered("b", 2)}, .txn_app = "task", .txn_version = 1};
  EXPECT_EQ(store->write("col_a", first)->inserted, 2u);
  EXPECT_TRUE(store->write("col_a", first)->repeated);
  EXPECT_EQ(store->write("col_a", {.upserts = {numbered("a", 5)}})->replaced, 1u);
  EXPECT_EQ(store->write("col_a", {.patches = {{.document_id = "b", .set = {{"pages", 7}}}}})->patched, 1u);
  EXPECT_EQ(store->write("col_a", {.must_be_absent = {"a"}}).error().kind, ErrorKind::kAlreadyExists);
  TableSpec wider = spec_of("col_a", Tier::kCold);
  wider.fields.push_back({"extra", FieldType::kString});
  ASSERT_QUARRY_OK(store->extend_table(wider));
  ASSERT_QUARRY_OK(store->maintain("col_a"));
  EXPECT_EQ(store->delete_where("col_a", parse_filter(json::object{{"pages", 7}}).value()).value(), 1u);
  const auto left = store->scan({.table_id = "col_a"})->documents;
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].document_id, "a");
  EXPECT_EQ(left[0].payload.at("pages"), 5);
  EXPECT_EQ(memory_of(*store, "col_a"), 0u);
  const auto other = open(*objects_);  // what was committed, another process reads
  ASSERT_QUARRY_OK(other->attach_table(spec_of("col_a")));
  EXPECT_EQ(other->count("col_a", {}).value(), 1u);
}

TEST_F(ColdTierTest, KeepsTheTablesReadLastWithinItsLimit) {
  uint64_t one_table = 0;
  {
    const auto store = open(*objects_);
    for (const char* id : {"col_a", "col_b", "col_c"}) fill(*store, id);
    one_table = memory_of(*store, "col_a");
  }
  objects::CountingStore counted(*objects_);
  const auto store = open(counted, one_table * 5 / 2);
  for (const char* id : {"col_a", "col_b", "col_c"}) ASSERT_QUARRY_OK(store->attach_table(spec_of(id, Tier::kCold)));
  for (const char* id : {"col_a", "col_b", "col_a", "col_c"}) ASSERT_QUARRY_OK(store->count(id, {}));
  EXPECT_EQ(memory_of(*store, "col_b"), 0u);
  EXPECT_GT(memory_of(*store, "col_a"), 0u);
  EXPECT_GT(memory_of(*store, "col_c"), 0u);
  counted.reset();
  ASSERT_QUARRY_OK(store->count("col_a", {}));
  EXPECT_EQ(counted.counts().bytes_read, 0u);
  ASSERT_QUARRY_OK(store->count("col_b", {}));
  EXPECT_GT(counted.counts().bytes_read, 0u);
  EXPECT_EQ(memory_of(*store, "col_c"), 0u);
}

TEST_F(ColdTierTest, ManyReadersShareOneRead) {
  {
    const auto store = open(*objects_);
    fill(*store, "col_a");
  }
  objects::CountingStore counted(*objects_);
  const auto slow = objects::make_faulty_store(counted, {.prefix = "org/", .read_delay_us = 20'000});
  const auto bytes_read_by = [&](int readers) {
    const auto store = open(*slow, 1 << 30);
    EXPECT_TRUE(store->attach_table(spec_of("col_a", Tier::kCold)).ok());
    counted.reset();
    std::vector<std::thread> threads;
    for (int i = 0; i < readers; ++i) threads.emplace_back([&] { EXPECT_TRUE(store->count("col_a", {}).ok()); });
    for (auto& thread : threads) thread.join();
    return counted.counts().bytes_read;
  };
  EXPECT_EQ(bytes_read_by(16), bytes_read_by(1));
}

TEST_F(ColdTierTest, SlowTableCostsACallerItsDeadlineAndOthersNothing) {
  {
    const auto store = open(*objects_);
    fill(*store, "col_a");
    fill(*store, "col_b");
  }
  const auto slow = objects::make_faulty_store(*objects_, {.prefix = "org/ns/col_a/", .read_delay_us = 300'000});
  const auto store = open(*slow, 1 << 30);
  for (const char* id : {"col_a", "col_b"}) ASSERT_QUARRY_OK(store->attach_table(spec_of(id, Tier::kCold)));
  SearchRequest request{.table_id = "col_a", .vector_name = "text", .query = DenseQuery{{1, 0, 0, 0}}};
  const int64_t began_us = system_clock().steady_us();
  request.deadline_us = began_us + 20'000;
  EXPECT_EQ(store->search(request).error().kind, ErrorKind::kTimeout);
  EXPECT_LT(system_clock().steady_us() - began_us, 250'000);
  request.table_id = "col_b";
  request.deadline_us = INT64_MAX;
  ASSERT_QUARRY_OK(store->search(request));
  request.table_id = "col_a";  // the read went on, and is kept
  ASSERT_QUARRY_OK(store->search(request));
}

TEST_F(ColdTierTest, FailingStoreFailsTheCallAndTheTableStaysAsItWas) {
  {
    const auto store = open(*objects_);
    fill(*store, "col_a");
    fill(*store, "col_b");
  }
  const auto broken = objects::make_faulty_store(*objects_, {.seed = 3, .fail_before = 1, .prefix = "org/ns/col_a/"});
  const auto store = open(*broken);
  for (const char* id : {"col_a", "col_b"}) ASSERT_QUARRY_OK(store->attach_table(spec_of(id, Tier::kCold)));
  EXPECT_EQ(store->count("col_a", {}).error().kind, ErrorKind::kStorage);
  EXPECT_EQ(store->set_tier("col_a", Tier::kActive).error().kind, ErrorKind::kStorage);
  EXPECT_EQ(store->usage()[0].tier, Tier::kCold);
  ASSERT_QUARRY_OK(store->count("col_b", {}));
}

TEST_F(ColdTierTest, ReadsAndWritesGoOnWhileTheTierChanges) {
  const auto store = open(*objects_, 0, &executor_);
  ASSERT_QUARRY_OK(store->create_table(spec_of("col_a")));
  constexpr int kWriters = 3, kWrites = 40;
  std::atomic<int> running = kWriters;
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w)
    threads.emplace_back([&, w] {
      for (int i = 0; i < kWrites; ++i) {
        const std::string id = fmt::format("doc_{}_{}", w, i);
        EXPECT_TRUE(store->write("col_a", {.upserts = {numbered(id, i)}}).ok());
        const auto got = store->get("col_a", {id}, {});
        EXPECT_TRUE(got.ok() && got->size() == 1) << id;
      }
      --running;
    });
  threads.emplace_back([&] {
    uint64_t seen = 0;
    while (running > 0) {
      const auto count = store->count("col_a", {});
      EXPECT_TRUE(count.ok() && *count >= seen);
      if (count.ok()) seen = *count;
    }
  });
  for (int i = 0; running > 0; ++i) EXPECT_TRUE(store->set_tier("col_a", i % 2 == 0 ? Tier::kCold : Tier::kActive).ok());
  for (auto& thread : threads) thread.join();
  ASSERT_QUARRY_OK(store->set_tier("col_a", Tier::kCold));
  executor_.stop();  // upkeep that still runs holds the rows
  EXPECT_EQ(memory_of(*store, "col_a"), 0u);
  EXPECT_EQ(store->count("col_a", {}).value(), uint64_t(kWriters * kWrites));
}

class BudgetTest : public ColdTierTest {
 protected:
  std::unique_ptr<VectorStore> open_with(uint64_t budget) {
    return VectorStore::open({.store = objects_.get(),
                              .clock = &clock_,
                              .memory_budget_bytes = budget,
                              .cold_cache_bytes = 1 << 30,
                              .commit_window_us = 0})
        .value();
  }
  static Tier tier_of(VectorStore& store, const std::string& id) { return store.stats(id)->tier; }
  void touch(VectorStore& store, const std::string& id) {
    clock_.advance_us(1000);
    ASSERT_QUARRY_OK(store.count(id, {}));
  }
  ManualClock clock_;
};

TEST_F(BudgetTest, TableReadLongestAgoMakesRoom) {
  uint64_t one_table = 0;
  json::value answer;
  {
    const auto store = open(*objects_);
    for (const char* id : {"col_a", "col_b", "col_c"}) fill(*store, id);
    one_table = memory_of(*store, "col_b");
    answer = answers(*store, "col_b");
  }
  const uint64_t budget = one_table * 5 / 2;
  const auto store = open_with(budget);
  for (const char* id : {"col_a", "col_b", "col_c"}) ASSERT_QUARRY_OK(store->attach_table(spec_of(id)));
  for (const char* id : {"col_b", "col_a", "col_c"}) touch(*store, id);
  EXPECT_EQ(tier_of(*store, "col_b"), Tier::kCold);
  EXPECT_EQ(tier_of(*store, "col_a"), Tier::kActive);
  EXPECT_EQ(tier_of(*store, "col_c"), Tier::kActive);
  EXPECT_EQ(answers(*store, "col_b"), answer);
  EXPECT_EQ(tier_of(*store, "col_b"), Tier::kCold);
  ASSERT_QUARRY_OK(store->drop_table("col_a"));
  touch(*store, "col_b");  // there is room again
  EXPECT_EQ(tier_of(*store, "col_b"), Tier::kActive);
  EXPECT_EQ(answers(*store, "col_b"), answer);
}

TEST_F(BudgetTest, WritersAreHeldBackOnlyWhenNothingCanGo) {
  const auto store = open_with(600'000);
  for (const char* id : {"col_a", "col_b"}) ASSERT_QUARRY_OK(store->create_table(spec_of(id)));
  const auto write = [&](const std::string& id, int n) {
    Document d = numbered(fmt::format("doc_{}", n), n);
    d.payload["text"] = std::string(20'000, 'x');
    clock_.advance_us(1000);
    return store->write(id, {.upserts = {std::move(d)}});
  };
  int in_b = 0;
  for (int n = 0; n < 12; ++n) ASSERT_QUARRY_OK(write("col_a", n));
  while (write("col_b", in_b).ok() && in_b < 100) ++in_b;
  EXPECT_GT(in_b, 15);  // more than fit beside col_a
  EXPECT_LT(in_b, 40);
  EXPECT_EQ(tier_of(*store, "col_a"), Tier::kCold);
  EXPECT_EQ(write("col_b", 1000).error().kind, ErrorKind::kTooManyRequests);
  EXPECT_EQ(store->count("col_a", {}).value(), 12u);
  EXPECT_EQ(store->count("col_b", {}).value(), uint64_t(in_b));
}

TEST_F(ColdTierTest, DroppedTableIsGone) {
  const auto store = open(*objects_, 1 << 30);
  fill(*store, "col_a");
  ASSERT_QUARRY_OK(store->set_tier("col_a", Tier::kCold));
  ASSERT_QUARRY_OK(store->count("col_a", {}));
  ASSERT_QUARRY_OK(store->drop_table("col_a"));
  EXPECT_EQ(store->count("col_a", {}).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(objects_->list("org/ns/col_a/", "", 1)->empty());
}

}  // namespace
}  // namespace quarry::mvs
