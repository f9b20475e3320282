#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/metrics.h"
#include "mvs/mvs.h"

namespace quarry::mvs {
namespace {

class VectorStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { reopen(); }

  void reopen() {
    store_.reset();
    store_ = std::move(VectorStore::open({.store = objects_.get(), .executor = &executor_, .commit_window_us = 0})).value();
  }

  TableSpec spec() const {
    return {"col_a",
            "org/ns/col_a",
            {{"text", "mixpeek://text_extractor@v1/m", 4, Metric::kCosine}},
            {{"title", FieldType::kString},
             {"pages", FieldType::kInteger},
             {"price", FieldType::kNumber},
             {"ratio", FieldType::kFloat},
             {"ok", FieldType::kBoolean},
             {"when", FieldType::kDatetime},
             {"day", FieldType::kDate}}};
  }

  Document doc(std::string id, std::vector<float> v, json::object payload = {}) const {
    Document d;
    d.document_id = std::move(id);
    d.payload = std::move(payload);
    if (!v.empty()) d.vectors = {{"text", std::move(v)}};
    return d;
  }

  WriteResult write(WriteBatch batch) {
    auto result = store_->write("col_a", std::move(batch));
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return result.ok() ? *result : WriteResult{};
  }

  std::vector<std::string> ids(std::vector<float> q, size_t k = 10) {
    SearchRequest r;
    r.table_id = "col_a";
    r.vector_name = "text";
    r.query = DenseQuery{std::move(q)};
    r.k = k;
    auto result = store_->search(r);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    std::vector<std::string> out;
    if (result.ok())
      for (const auto& h : result->hits) out.push_back(h.document.document_id);
    return out;
  }

  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
  Executor executor_{"mvs-test", 2, 64};
  std::unique_ptr<VectorStore> store_;
};

TEST_F(VectorStoreTest, TellsWhatItHoldsAndOwes) {
  const auto value = [](const std::string& name) {
    const std::string text = "\n" + metrics::render(), line = "\n" + name + " ";
    const size_t at = text.find(line);
    return at == std::string::npos ? 0.0 : std::stod(text.substr(at + line.size()));
  };
  const char* names[] = {"quarry_mvs_rows",        "quarry_mvs_deleted_rows",     "quarry_mvs_files",
                         "quarry_mvs_file_bytes",  "quarry_mvs_small_files",      "quarry_mvs_small_file_bytes",
                         "quarry_mvs_memory_bytes", "quarry_mvs_index_backlog_rows"};
  std::map<std::string, double> before;
  for (const char* name : names) before[name] = value(name);
  const auto more = [&](const std::string& name) { return value(name) - before[name]; };
  ASSERT_TRUE(store_->create_table(spec()).ok());
  WriteBatch few;
  for (int i = 0; i < 50; ++i) few.upserts.push_back(doc("first " + std::to_string(i), {1, 0, float(i), 0}));
  write(std::move(few));
  write({.upserts = {doc("d", {1, 0, 0, 0})}});
  write({.deletes = {"first 7"}});  // too few dead rows to rewrite a file for
  EXPECT_EQ(more("quarry_mvs_rows"), 50);
  EXPECT_EQ(more("quarry_mvs_deleted_rows"), 1);
  EXPECT_EQ(more("quarry_mvs_files"), 2);
  EXPECT_EQ(more("quarry_mvs_small_files"), 2);
  EXPECT_EQ(more("quarry_mvs_small_file_bytes"), more("quarry_mvs_file_bytes"));
  EXPECT_EQ(more("quarry_mvs_index_backlog_rows"), 0);  // too few rows for an index
  WriteBatch many;
  for (int i = 0; i < 5000; ++i) many.upserts.push_back(doc(std::to_string(i), {float(i % 7), float(i % 11), 1, 0}));
  write(std::move(many));
  ASSERT_TRUE(store_->maintain("col_a").ok());
  EXPECT_EQ(more("quarry_mvs_rows"), 5050);
  EXPECT_LT(more("quarry_mvs_index_backlog_rows"), 1024);  // a tail stays
  ASSERT_TRUE(store_->drop_table("col_a").ok());
  for (const char* name : names) EXPECT_EQ(more(name), 0) << name;
}

TEST_F(VectorStoreTest, WritesSearchesAndReopens) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  EXPECT_EQ(store_->create_table(spec()).error().kind, ErrorKind::kAlreadyExists);
  const auto r = write({.upserts = {doc("a", {1, 0, 0, 0}), doc("b", {0, 1, 0, 0}), doc("c", {1, 1, 0, 0}), doc("d", {})}});
  EXPECT_EQ(r.inserted, 4u);
  EXPECT_EQ(r.version, 1);
  EXPECT_EQ(ids({1, 0, 0, 0}), (std::vector<std::string>{"a", "c", "b"}));
  const auto r2 = write({.upserts = {doc("a", {0, 0, 1, 0})}, .deletes = {"b", "nope"}});
  EXPECT_EQ(r2.replaced, 1u);
  EXPECT_EQ(r2.deleted, 1u);
  EXPECT_EQ(r2.missing, (std::vector<std::string>{"nope"}));
  EXPECT_EQ(ids({1, 0, 0, 0}), (std::vector<std::string>{"c", "a"}));
  reopen();
  ASSERT_TRUE(store_->attach_table(spec()).ok());
  EXPECT_EQ(ids({1, 0, 0, 0}), (std::vector<std::string>{"c", "a"}));
  EXPECT_EQ(*store_->count("col_a", {}), 3u);
}

TEST_F(VectorStoreTest, SaysWhatIsWrongWithARequest) {
  EXPECT_EQ(store_->write("nope", {}).error().kind, ErrorKind::kNotFound);
  ASSERT_TRUE(store_->create_table(spec()).ok());
  const auto refused = [&](Document d, std::string_view part) {
    const auto result = store_->write("col_a", {.upserts = {doc("fine", {1, 2, 3, 4}), std::move(d)}});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::kBadRequest);
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  };
  refused(doc("", {1, 2, 3, 4}), "no document_id");
  refused(doc(std::string(600, 'x'), {}), "600 bytes");
  refused(doc("a", {1, 2, 3}), "vector 'text' has 3 values; its dimension is 4");
  refused(doc("a", {1, 2, 3, std::nanf("")}), "not finite");
  refused(doc("a", {1, 2, 3, INFINITY}), "not finite");
  refused(doc("\xff\xfe", {}), "UTF-8");
  refused(doc("a", {}, {{"t", "\xff"}}), "document 'a': t: text is not valid UTF-8");
  Document other = doc("a", {});
  other.vectors = {{"nope", {1}}};
  refused(other, "no vector 'nope'");
  other.vectors = {{"text", {1, 2, 3, 4}}, {"text", {1, 2, 3, 4}}};
  refused(other, "given twice");
  EXPECT_EQ(*store_->count("col_a", {}), 0u);  // nothing half-written
  EXPECT_EQ(store_->stats("col_a")->version, 0);

  SearchRequest r{.table_id = "col_a", .vector_name = "text", .query = DenseQuery{{1, 2, 3}}};
  EXPECT_EQ(store_->search(r).error().kind, ErrorKind::kBadRequest);
  r.query = DenseQuery{{1, 2, 3, std::nanf("")}};
  EXPECT_EQ(store_->search(r).error().kind, ErrorKind::kBadRequest);
  r.vector_name = "nope";
  EXPECT_EQ(store_->search(r).error().kind, ErrorKind::kBadRequest);
  r = {.table_id = "col_a", .vector_name = "text", .query = DenseQuery{{1, 2, 3, 4}}, .deadline_us = 1};
  ASSERT_TRUE(store_->write("col_a", {.upserts = {doc("a", {1, 2, 3, 4})}}).ok());
  EXPECT_EQ(store_->search(r).error().kind, ErrorKind::kTimeout);

  TableSpec twice = spec();
  twice.table_id = "col_b";
  twice.prefix = "org/ns/col_b";
  twice.vectors.push_back(twice.vectors.front());
  EXPECT_EQ(store_->create_table(twice).error().kind, ErrorKind::kBadRequest);
  twice.vectors = {{"v", "u", 0, Metric::kDot}};
  EXPECT_EQ(store_->create_table(twice).error().kind, ErrorKind::kBadRequest);
  twice.prefix = "../x";
  EXPECT_EQ(store_->create_table(twice).error().kind, ErrorKind::kBadRequest);
}

TEST_F(VectorStoreTest, TheLastOfEqualIdsWins) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  const auto r = write({.upserts = {doc("a", {}, {{"n", 1}}), doc("b", {}), doc("a", {}, {{"n", 2}})}});
  EXPECT_EQ(r.inserted, 2u);
  EXPECT_EQ(store_->get("col_a", {"a"}, {})->front().payload.at("n").as_int64(), 2);
  EXPECT_EQ(store_->stats("col_a")->deleted_rows, 0u);
}

TEST_F(VectorStoreTest, AnEmptyWriteCommitsNothing) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  EXPECT_EQ(write({}).version, 0);
  EXPECT_EQ(write({.deletes = {"nope"}}).version, 0);
  EXPECT_EQ(store_->stats("col_a")->version, 0);
}

TEST_F(VectorStoreTest, KeepsCreatedAtAcrossUpserts) {
  ManualClock clock(1'000'000'000);
  store_ = std::move(VectorStore::open({.store = objects_.get(), .clock = &clock, .commit_window_us = 0})).value();
  ASSERT_TRUE(store_->create_table(spec()).ok());
  write({.upserts = {doc("a", {})}});
  clock.advance_us(5'000'000);
  write({.upserts = {doc("a", {}), doc("b", {})}});
  const auto got = *store_->get("col_a", {"a", "b"}, {});
  EXPECT_EQ(got[0].created_at, 1'000'000'000);
  EXPECT_EQ(got[0].updated_at, 1'005'000'000);
  EXPECT_EQ(got[1].created_at, 1'005'000'000);
}

TEST_F(VectorStoreTest, GrowsByColumns) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  write({.upserts = {doc("old", {1, 0, 0, 0}, {{"author", "ann"}, {"Title", "x"}})}});
  TableSpec more = spec();
  more.vectors.push_back({"image", "u", 2, Metric::kDot});
  more.fields.push_back({"author", FieldType::kString});
  more.fields.push_back({"Title", FieldType::kString});  // the case-twin of a column: stays in the JSON column
  ASSERT_TRUE(store_->extend_table(more).ok());
  ASSERT_TRUE(store_->extend_table(more).ok());  // nothing left to add
  EXPECT_EQ(store_->stats("col_a")->version, 2);
  Document d = doc("new", {0, 1, 0, 0}, {{"author", "bob"}, {"Title", "y"}});
  d.vectors.push_back({"image", {1, 1}});
  write({.upserts = {d}});
  write({.patches = {{.document_id = "old", .set = {{"author", "cat"}}, .vectors = {{"image", {2, 2}}}}}});
  for (int round = 0; round < 2; ++round) {
    SearchRequest r{.table_id = "col_a", .vector_name = "image", .query = DenseQuery{{1, 1}}};
    const auto hits = store_->search(r)->hits;
    ASSERT_EQ(hits.size(), 2u);
    EXPECT_EQ(hits[0].document.document_id, "old");
    EXPECT_EQ(hits[0].score, 4.0f);
    EXPECT_EQ(*store_->count("col_a", equals("author", "cat")), 1u);
    EXPECT_EQ(*store_->count("col_a", equals("Title", "y")), 1u);
    reopen();
    ASSERT_TRUE(store_->attach_table(more).ok());
  }
  TableSpec other = spec();
  other.vectors[0].dimension = 5;
  EXPECT_EQ(store_->extend_table(other).error().kind, ErrorKind::kBadRequest);
  other = spec();
  other.fields[1].type = FieldType::kString;
  EXPECT_EQ(store_->extend_table(other).error().kind, ErrorKind::kBadRequest);
}

TEST_F(VectorStoreTest, AnOldFileAnswersForAColumnThatCameLater) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  write({.upserts = {doc("a", {}, {{"author", "ann"}}), doc("b", {}, {{"author", 7}})}});
  TableSpec more = spec();
  more.fields.push_back({"author", FieldType::kString});
  ASSERT_TRUE(store_->extend_table(more).ok());
  write({.upserts = {doc("c", {}, {{"author", "ann"}})}});
  EXPECT_EQ(*store_->count("col_a", equals("author", "ann")), 2u);
  for (int i = 0; i < 10; ++i) write({.upserts = {doc("x" + std::to_string(i), {}, {{"author", "zoe"}})}});
  ASSERT_TRUE(store_->maintain("col_a").ok());  // old and new files become one
  EXPECT_LE(store_->stats("col_a")->files, 8u);
  EXPECT_EQ(*store_->count("col_a", equals("author", "ann")), 2u);
  EXPECT_EQ(store_->get("col_a", {"b"}, {})->front().payload.at("author").as_int64(), 7);
}

TEST_F(VectorStoreTest, APatchThatReachesTooDeepIsRefused) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  write({.upserts = {doc("a", {}, {})}});
  std::string path = "a";
  for (int i = 0; i < 400'000; ++i) path += ".a";
  EXPECT_EQ(store_->write("col_a", {.patches = {{.document_id = "a", .set = {{path, 1}}}}}).error().kind, ErrorKind::kBadRequest);
  EXPECT_EQ(store_->write("col_a", {.patches = {{.document_id = "a", .unset = {path}}}}).error().kind, ErrorKind::kBadRequest);
  EXPECT_TRUE(store_->write("col_a", {.patches = {{.document_id = "a", .set = {{"a.b.c", 1}}}}}).ok());
}

TEST_F(VectorStoreTest, UpkeepMovesTheVersionAndNotTheDataVersion) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  for (int i = 0; i < 12; ++i) write({.upserts = {doc("x" + std::to_string(i), {}, {})}});
  const auto before = *store_->stats("col_a");
  ASSERT_TRUE(store_->maintain("col_a").ok());
  const auto merged = *store_->stats("col_a");
  EXPECT_LT(merged.files, 12u);
  EXPECT_GE(merged.version, before.version);
  EXPECT_EQ(merged.data_version, before.data_version);
  write({.upserts = {doc("y", {}, {})}});
  const auto written = *store_->stats("col_a");
  EXPECT_GT(written.data_version, merged.data_version);
  EXPECT_LE(written.data_version, written.version);
  write({.deletes = {"y"}});
  EXPECT_GT(store_->stats("col_a")->data_version, written.data_version);
}

TEST_F(VectorStoreTest, DropsATable) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  write({.upserts = {doc("a", {1, 0, 0, 0})}});
  ASSERT_TRUE(store_->drop_table("col_a").ok());
  EXPECT_EQ(store_->count("col_a", {}).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(objects_->list("org/", "", 10)->empty());
  ASSERT_TRUE(store_->attach_table(spec()).ok());
  EXPECT_EQ(store_->count("col_a", {}).error().kind, ErrorKind::kNotFound);
}

TEST_F(VectorStoreTest, ABrokenTableLeavesTheOthersAlone) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  write({.upserts = {doc("a", {1, 0, 0, 0})}});
  TableSpec other = spec();
  other.table_id = "col_b";
  other.prefix = "org/ns/col_b";
  ASSERT_TRUE(store_->create_table(other).ok());
  ASSERT_TRUE(store_->write("col_b", {.upserts = {doc("b", {1, 0, 0, 0})}}).ok());
  std::string data_key;
  for (const auto& o : *objects_->list("org/ns/col_a/quarry-", "", 10)) data_key = o.key;
  std::string bytes = *objects_->get(data_key);
  bytes[bytes.size() / 2] = char(bytes[bytes.size() / 2] ^ 1);
  ASSERT_TRUE(objects_->put(data_key, bytes).ok());
  reopen();
  ASSERT_TRUE(store_->attach_table(spec()).ok());
  ASSERT_TRUE(store_->attach_table(other).ok());
  const auto broken = store_->count("col_a", {});
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().kind, ErrorKind::kCorruption);
  EXPECT_NE(broken.error().message.find(data_key), std::string::npos) << broken.error().message;
  EXPECT_EQ(*store_->count("col_b", {}), 1u);
  ASSERT_TRUE(objects_->remove(data_key).ok());
  EXPECT_EQ(store_->count("col_a", {}).error().kind, ErrorKind::kCorruption);
}

TEST_F(VectorStoreTest, MemoryAndFilesFallAfterDeletes) {
  constexpr uint64_t kBudget = 400'000;
  store_ = std::move(VectorStore::open({.store = objects_.get(),
                                        .memory_budget_bytes = kBudget,
                                        .commit_window_us = 0,
                                        .checkpoint_interval = 3,
                                        .file_retention_us = 0,
                                        .log_retention_us = 0}))
               .value();
  ASSERT_TRUE(store_->create_table(spec()).ok());
  int written = 0;
  Result<WriteResult> last = WriteResult{};
  for (; last.ok() && written < 100; ++written) {
    WriteBatch batch;
    for (int i = 0; i < 100; ++i)
      batch.upserts.push_back(doc("d" + std::to_string(written * 100 + i), {1, 2, 3, 4}, {{"text", std::string(100, 'x')}}));
    last = store_->write("col_a", std::move(batch));
  }
  ASSERT_FALSE(last.ok());
  EXPECT_EQ(last.error().kind, ErrorKind::kTooManyRequests);
  EXPECT_EQ(last.error().details.at("memory_budget_bytes").to_number<uint64_t>(), kBudget);
  EXPECT_TRUE(last.error().details.at("retryable").as_bool());
  const auto full = *store_->stats("col_a");
  EXPECT_LE(full.memory_bytes, kBudget);
  ASSERT_TRUE(
      store_->delete_where("col_a", *parse_filter(json::object{{"field", "document_id"}, {"operator", "ne"}, {"value", "d1"}})).ok());
  ASSERT_TRUE(store_->maintain("col_a").ok());
  const auto empty = *store_->stats("col_a");
  EXPECT_EQ(empty.documents, 1u);
  EXPECT_LT(empty.memory_bytes, full.memory_bytes / 10);
  EXPECT_LT(empty.bytes, full.bytes / 4);
  EXPECT_TRUE(store_->write("col_a", {.upserts = {doc("again", {1, 2, 3, 4})}}).ok());
  EXPECT_LE(objects_->list("org/ns/col_a/quarry-", "", 100)->size(), 3u);  // what nothing needs is gone from the store too
}

TEST_F(VectorStoreTest, GivesBackEveryPayloadAsItWas) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  const std::vector<std::string> payloads{
      R"({"title":"x","pages":3,"price":1.5,"ratio":2.0,"ok":true,"when":"2026-01-31T12:00:00.000000Z","day":"2026-01-31"})",
      R"({"title":7,"pages":3.0,"price":3,"ratio":2,"ok":"yes","when":"2026-01-31T12:00:00+02:00","day":"2026-01-31T00:00:00Z"})",
      R"({"title":null,"pages":null,"price":3.0,"ratio":null,"ok":null,"when":null,"day":null})",
      R"({"price":-0.0,"ratio":-0.0,"pages":18446744073709551615,"other":{"a":[1,2.0,{"b":null}],"a.b":1},"document_id":"mine","created_at":5})",
      R"({"Title":"twin","vector_text":1,"payload_json":"p","":1,"a\"b":2,"pages":9223372036854775807,"price":9007199254740993,"ratio":1e308})",
      R"({"price":0.1,"ratio":5e-324,"x":0.30000000000000004,"y":1.7976931348623157e308,"z":2.2250738585072014e-308})",
      R"({})"};
  WriteBatch batch;
  for (size_t i = 0; i < payloads.size(); ++i)
    batch.upserts.push_back(doc("d" + std::to_string(i), {1, 2, 3, 4}, json::parse(payloads[i]).as_object()));
  const auto expected = batch.upserts;
  write(std::move(batch));
  for (int round = 0; round < 2; ++round) {
    for (const auto& d : expected) {
      const auto got = store_->get("col_a", {d.document_id}, {});
      ASSERT_TRUE(got.ok());
      ASSERT_EQ(got->size(), 1u);
      EXPECT_EQ(json::serialize(json::value(got->front().payload)).size(), json::serialize(json::value(d.payload)).size())
          << json::serialize(json::value(got->front().payload)) << " vs " << json::serialize(json::value(d.payload));
      EXPECT_EQ(json::value(got->front().payload), json::value(d.payload)) << json::serialize(json::value(got->front().payload));
    }
    reopen();
    ASSERT_TRUE(store_->attach_table(spec()).ok());
  }
}

TEST_F(VectorStoreTest, FacetsCountDocumentsAndReadThroughArraysOfObjects) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  write({.upserts = {doc("a", {}, json::parse(R"({"tags":["x","x","y"],"items":[{"name":"p"},{"name":"p"},{"name":"q"}]})").as_object()),
                     doc("b", {}, json::parse(R"({"tags":"x","items":[{"name":"q"},{"n":1}]})").as_object())}});
  auto counts = [&](const char* field) {
    std::map<std::string, uint64_t> out;
    auto values = store_->facet("col_a", {}, field, 10);
    EXPECT_TRUE(values.ok());
    for (const FacetValue& v : *values) out[std::string(v.value.as_string())] = v.count;
    return out;
  };
  EXPECT_EQ(counts("tags"), (std::map<std::string, uint64_t>{{"x", 2}, {"y", 1}}));
  EXPECT_EQ(counts("items.name"), (std::map<std::string, uint64_t>{{"p", 1}, {"q", 2}}));
}

TEST_F(VectorStoreTest, SortsByTimeAndByAFallbackFieldWhenAsked) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  const std::pair<const char*, const char*> rows[] = {{"z", R"({"at":"2024-01-02T01:00:00+02:00"})"},
                                                      {"y", R"({"at":"2024-01-01T23:30:00Z"})"},
                                                      {"x", R"({"at":"10 o'clock"})"},
                                                      {"w", R"({"title":"2024-01-01"})"},
                                                      {"v", R"({"at":null,"title":"2025-01-01"})"},
                                                      {"u", "{}"}};
  for (const auto& [id, payload] : rows) write({.upserts = {doc(id, {}, json::parse(payload).as_object())}});
  ScanRequest request;
  request.table_id = "col_a";
  request.sort = SortSpec{.field = "at", .fallback_field = "title", .by_time = true};
  auto order = [&] {
    std::string out;
    const auto found = store_->scan(request);
    EXPECT_TRUE(found.ok());
    for (const Document& d : found->documents) out += d.document_id;
    return out;
  };
  EXPECT_EQ(order(), "wzyvxu");
  request.limit = 2;
  request.sort->descending = true;
  EXPECT_EQ(order(), "xv");
}

}  // namespace
}  // namespace quarry::mvs
