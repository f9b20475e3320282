// The same pipelines over the real store and over the brute-force one answer the same. Vectors are small integers under the dot product, so
// that scores are exact whatever the order of additions.
#include <map>

#include "base/rng.h"
#include "objects/object_store.h"
#include "retrieval/test_kit.h"

namespace quarry::retrieval {
namespace {

class RealStoreTest : public RetrievalTest {
 protected:
  void SetUp() override {
    RetrievalTest::SetUp();
    auto opened = mvs::VectorStore::open({.store = objects_.get(), .executor = &executor_, .commit_window_us = 0});
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    real_ = std::move(opened).value();
    real_env_ = env_;
    real_env_.vectors = real_.get();
    for (const char* id : {"col_a", "col_b", "col_c"}) make_collection(id);
  }

  void TearDown() override {
    real_.reset();
    RetrievalTest::TearDown();
  }

  void make_collection(const std::string& id) {
    std::vector<Vector> vectors{{.metric = "dot"}};
    if (id == "col_c") vectors.push_back({.name = "other", .uri = kOther, .metric = "dot"});
    add_collection(id, vectors);
    mvs::TableSpec spec{id,
                        "org/ns_1/" + id,
                        {{"letters", std::string(kLetters), 3, mvs::Metric::kDot}},
                        {{"kind", FieldType::kString}, {"price", FieldType::kNumber}, {"n", FieldType::kInteger}}};
    if (id == "col_c") spec.vectors.push_back({"other", std::string(kOther), 3, mvs::Metric::kDot});
    Status made = real_->create_table(spec);
    ASSERT_TRUE(made.ok()) << made.error().message;
  }

  Document random_document(Rng& rng, const std::string& collection, int number) {
    Document document;
    document.document_id = fmt::format("doc_{}_{:03}", collection, number);
    document.lineage.root_object_id = fmt::format("obj_{}", rng.below(8));
    auto vector = [&] {
      return std::vector<float>{static_cast<float>(rng.below(4)), static_cast<float>(rng.below(4)), static_cast<float>(rng.below(4))};
    };
    document.vectors.push_back({"letters", vector()});
    if (collection == "col_c" && rng.below(3) > 0) document.vectors.push_back({"other", vector()});
    document.payload["n"] = number;
    if (rng.below(4) > 0) document.payload["kind"] = std::string(1, static_cast<char>('a' + rng.below(4)));
    if (rng.below(4) > 0) document.payload["price"] = static_cast<double>(rng.below(100)) / 4;
    if (rng.below(2) > 0) document.payload["more"] = json::object{{"tags", json::array{fmt::format("t{}", rng.below(3)), "all"}}};
    static constexpr const char* kTimes[] = {"2024-01-02T01:00:00+02:00", "2024-01-02", "2024-01-01T23:30:00Z", "12 o'clock", "never"};
    if (rng.below(4) > 0) document.payload["when"] = kTimes[rng.below(std::size(kTimes))];
    json::array items;
    for (uint64_t i = rng.below(4); i > 0; --i) items.push_back(json::object{{"name", fmt::format("i{}", rng.below(3))}});
    document.payload["items"] = std::move(items);
    return document;
  }

  void fill(uint64_t seed) {
    Rng rng(seed);
    for (const char* id : {"col_a", "col_b", "col_c"}) {
      mvs::WriteBatch batch;
      for (int i = 0; i < 60; ++i) batch.upserts.push_back(random_document(rng, id, i));
      store_.tables[id] = batch.upserts;
      auto written = real_->write(id, std::move(batch));
      ASSERT_TRUE(written.ok()) << written.error().message;
    }
  }

  // Ids, scores and payloads, less the times that the real store gives.
  static json::array comparable(const ExecutionResult& result) {
    json::array out;
    for (json::object document : result.results) {
      document.erase("created_at");
      document.erase("updated_at");
      out.push_back(std::move(document));
    }
    return out;
  }

  void expect_same(const ParsedRetriever& parsed, const ExecuteOptions& options) {
    Result<ExecutionResult> real = execute(context_, real_env_, parsed, options);
    Result<ExecutionResult> expected = execute(context_, env_, parsed, options);
    ASSERT_EQ(real.ok(), expected.ok()) << (real.ok() ? expected.error().message : real.error().message);
    if (!real.ok()) return;
    EXPECT_EQ(comparable(*real), comparable(*expected)) << json::serialize(comparable(*real)) << "\nexpected\n"
                                                        << json::serialize(comparable(*expected));
    EXPECT_EQ(real->facets, expected->facets);
    EXPECT_EQ(real->total, expected->total);
    EXPECT_EQ(real->warnings, expected->warnings);
    for (size_t i = 0; i < real->stages.size(); ++i) EXPECT_EQ(real->stages[i].output_count, expected->stages[i].output_count) << i;
  }

  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
  std::unique_ptr<mvs::VectorStore> real_;
  Environment real_env_;
};

TEST_F(RealStoreTest, PipelinesAgreeWithTheOracle) {
  const std::string letters(kLetters), other(kOther);
  auto one = [&](std::string_view query, std::string_view more, std::string_view stage_more) {
    return fmt::format(R"({{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{}","query":{}{}}}]{}}}}})", letters,
                       query, more, stage_more);
  };
  auto two = [&](std::string_view stage_more) {
    return fmt::format(
        R"({{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{0}","query":[1,2,0],"top_k":20}},{{"feature_uri":"{1}","query":[0,1,1],"top_k":20,"weight":0.5}}]{2}}}}})",
        letters, other, stage_more);
  };
  const std::vector<std::string> pipelines{
      one("[1,2,0]", "", ""),
      one("[1,0,0]", R"(,"min_score":1,"filters":{"kind":"a"})", R"(,"final_top_k":200)"),
      one("[1,2,1]",
          R"(,"filters":{"OR":[{"field":"price","operator":"gt","value":10},{"field":"more.tags","operator":"eq","value":"t1"}]})",
          R"(,"facets":["kind","n"])"),
      one("[1,2,1]", R"(,"filters":{"NOT":[{"field":"kind","operator":"in","value":["a","b"]}]})", R"(,"facets":["kind"],"final_top_k":7)"),
      one("[2,1,0]", "", R"(,"group_by":{"field":"root_object_id","max_per_group":3,"limit":4})"),
      one("[2,1,3]", "", R"(,"group_by":{"field":"kind","max_per_group":2})"),
      one("[2,1,3]", R"(,"collection_identifiers":["col_b"])", R"(,"group_by":{"field":"more.tags","max_per_group":2,"limit":2})"),
      two(""),
      two(R"(,"fusion":"weighted")"),
      two(R"(,"fusion":"max","final_top_k":5)"),
      two(R"(,"fusion":"dbsf","group_by":"kind")"),
      one("[1,2,0]", "", R"(,"final_top_k":40)") + "," + one("[0,0,1]", "", ""),
      R"({"stage_id":"attribute_filter","parameters":{"field":"price","operator":"gte","value":5}},)" + one("[1,1,1]", "", ""),
      R"({"stage_id":"attribute_filter","parameters":{"field":"kind","operator":"exists","value":false}})",
      R"({"stage_id":"attribute_filter","parameters":{"field":"price","operator":"lt","value":20}},{"stage_id":"sort_attribute","parameters":{"field":"price"}},{"stage_id":"limit","parameters":{"limit":12}})",
      R"({"stage_id":"attribute_filter","parameters":{"field":"document_id","operator":"starts_with","value":"doc_col_b_0"}})",
      R"({"stage_id":"sort_attribute","parameters":{"field":"price","direction":"asc","nulls_last":false}},{"stage_id":"limit","parameters":{"limit":30}})",
      R"({"stage_id":"sort_attribute","parameters":{"field":"when"}},{"stage_id":"limit","parameters":{"limit":50}})",
      R"({"stage_id":"sort_attribute","parameters":{"field":"items.name","direction":"asc"}},{"stage_id":"limit","parameters":{"limit":50}})",
      R"({"stage_id":"sort_attribute","parameters":{"field":"collection_id","direction":"asc"}},{"stage_id":"limit","parameters":{"limit":50}})",
      one("[2,1,3]", "", R"(,"group_by":{"field":"items.name","max_per_group":4,"limit":3},"facets":["items.name"])"),
      R"({"stage_id":"limit","parameters":{"limit":9,"offset":4}})",
      R"({"stage_id":"sample","parameters":{"strategy":"stratified","stratify_by":"kind","count":20,"seed":3}})",
      R"({"stage_id":"deduplicate","parameters":{"strategy":"root_object"}})",
  };
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    fill(seed);
    for (const std::string& pipeline : pipelines) {
      for (size_t limit : {0, 6}) {
        SCOPED_TRACE(fmt::format("seed {} limit {} {}", seed, limit, pipeline));
        ExecuteOptions options;
        options.limit = limit;
        options.random_seed = seed;
        options.return_vectors = seed == 2;
        ParsedRetriever parsed = retriever("[" + pipeline + "]", {"col_a", "col_b", "col_c"});
        expect_same(parsed, options);
        options.filters = json::parse(R"({"field":"n","operator":"lt","value":40})");
        expect_same(parsed, options);
      }
      if (HasFailure()) return;
    }
  }
}

TEST_F(RealStoreTest, TheNewestComeFirstHoweverFewAreShown) {
  const Ids newest{"m1", "a1", "z1"};
  for (const char* id : {"z1", "a1", "m1"}) {
    mvs::WriteBatch batch;
    batch.upserts.emplace_back().document_id = id;
    ASSERT_TRUE(real_->write("col_a", std::move(batch)).ok());
  }
  for (int shown : {1, 2, 3}) {
    ParsedRetriever parsed = retriever(
        fmt::format(R"([{{"stage_id":"sort_attribute","parameters":{{}}}},{{"stage_id":"limit","parameters":{{"limit":{}}}}}])", shown));
    Result<ExecutionResult> result = execute(context_, real_env_, parsed, {});
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(ids(*result), Ids(newest.begin(), newest.begin() + shown)) << shown;
  }
}

TEST_F(RealStoreTest, RandomDocumentsForAnEmptyQuery) {
  fill(9);
  ExecuteOptions options;
  options.random_seed = 5;
  std::string stages = fmt::format(
      R"([{{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{}","query":"","on_empty":"random","top_k":10}}]}}}}])",
      kLetters);
  ExecuteOptions other = options;
  expect_same(retriever(stages, {"col_a", "col_b"}), options);
  other.random_seed = 6;
  ParsedRetriever parsed = retriever(stages, {"col_a", "col_b"});
  EXPECT_NE(ids(*execute(context_, real_env_, parsed, options)), ids(*execute(context_, real_env_, parsed, other)));
}

TEST_F(RealStoreTest, ReadersSeeWritesWhileTheySearch) {
  fill(11);
  ParsedRetriever parsed = retriever(
      fmt::format(
          R"([{{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{}","query":[1,1,1],"top_k":200}}],"final_top_k":200}}}}])",
          kLetters),
      {"col_a", "col_b"});  // room for all: a page that is cut may be refilled after rows in it went
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < 60; ++i) {
      mvs::WriteBatch batch;
      batch.deletes = {fmt::format("doc_col_a_{:03}", i)};
      EXPECT_TRUE(real_->write("col_a", std::move(batch)).ok());
    }
    done = true;
  });
  size_t last = 120;
  while (!done) {
    Result<ExecutionResult> result = execute(context_, real_env_, parsed, {});
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_LE(result->results.size(), last);
    last = result->results.size();
  }
  writer.join();
  EXPECT_EQ(execute(context_, real_env_, parsed, {})->results.size(), 60u);
}

}  // namespace
}  // namespace quarry::retrieval
