// The stages that work on the documents at hand, behind a filter that reads them, and as first stages.
#include "retrieval/test_kit.h"

namespace quarry::retrieval {
namespace {

class RowStagesTest : public RetrievalTest {
 protected:
  void SetUp() override {
    RetrievalTest::SetUp();
    add_collection("col_a");
    add("col_a", "doc_1", {1, 0, 0}, R"({"price":30,"name":"Pear","when":"2024-01-02","kind":"a","url":"u1","nested":{"deep":[1,2]}})");
    add("col_a", "doc_2", {2, 1, 0}, R"({"price":7.5,"name":"apple","when":"2024-01-01T23:00:00Z","kind":"b","url":"u2"})");
    add("col_a", "doc_3", {1, 1, 0}, R"({"price":100,"name":"fig","when":"2023-12-31","kind":"a","url":"u1"})");
    add("col_a", "doc_4", {0, 1, 0}, R"({"name":"kiwi","kind":"a","url":"U1"})");
    add("col_a", "doc_5", {0, 0, 1}, R"({"price":null,"kind":"c"})");
  }

  Ids filtered(std::string_view parameters, std::string_view first = "") {
    std::string stages = fmt::format(R"([{}{{"stage_id":"attribute_filter","parameters":{}}}])", first, parameters);
    return ids(run(retriever(stages)));
  }

  // Behind a search that ranks doc_1 .. doc_5.
  Ids after_search(std::string_view id, std::string_view parameters) {
    return ids(run(retriever(fmt::format(R"([{},{{"stage_id":"{}","parameters":{}}}])", search(), id, parameters))));
  }
};

TEST_F(RowStagesTest, AttributeFilterTable) {
  const std::pair<const char*, Ids> cases[] = {
      {R"({"field":"kind","value":"a"})", {"doc_1", "doc_3", "doc_4"}},
      {R"({"field":"kind","operator":"ne","value":"a"})", {"doc_2", "doc_5"}},
      {R"({"field":"price","operator":"gt","value":20})", {"doc_1", "doc_3"}},
      {R"({"field":"price","operator":"exists","value":false})", {"doc_4", "doc_5"}},
      {R"({"field":"price","operator":"is_null"})", {"doc_4", "doc_5"}},
      {R"({"field":"kind","operator":"in","value":["b","c"]})", {"doc_2", "doc_5"}},
      {R"({"field":"name","operator":"contains","value":"P"})", {"doc_1"}},
      {R"({"field":"name","operator":"contains","value":"P","case_insensitive":true})", {"doc_1", "doc_2"}},
      {R"({"field":"name","value":"PEAR","case_insensitive":true})", {"doc_1"}},
      {R"({"field":"name","value":"PEAR"})", {}},
      {R"({"field":"name","operator":"ne","value":"PEAR","case_insensitive":true})", {"doc_2", "doc_3", "doc_4", "doc_5"}},
      {R"({"field":"name","operator":"in","value":["PEAR","FIG"],"case_insensitive":true})", {"doc_1", "doc_3"}},
      {R"({"field":"name","operator":"nin","value":["PEAR","FIG"],"case_insensitive":true})", {"doc_2", "doc_4", "doc_5"}},
      {R"({"field":"nested.deep","value":2})", {"doc_1"}},
      {R"({"field":"document_id","operator":"in","value":["doc_2","doc_9"]})", {"doc_2"}},
      {R"({"field":"collection_id","value":"col_b"})", {}},
      {R"({"field":"collection_id","value":"col_a"})", {"doc_1", "doc_2", "doc_3", "doc_4", "doc_5"}},
      {R"({"conditions":{"OR":[{"field":"kind","operator":"eq","value":"b"},{"field":"price","operator":"gte","value":100}]}})",
       {"doc_2", "doc_3"}},
      {R"({"conditions":{"NOT":[{"field":"kind","operator":"eq","value":"a"}]}})", {"doc_2", "doc_5"}},
      {R"({"conditions":[{"field":"kind","operator":"eq","value":"a"},{"field":"price","operator":"lt","value":50}]})", {"doc_1"}},
      {R"({"conditions":{"kind":"c"}})", {"doc_5"}},
  };
  for (const auto& [parameters, expected] : cases) {
    SCOPED_TRACE(parameters);
    EXPECT_EQ(filtered(parameters), expected) << "as the first stage";
    EXPECT_EQ(filtered(parameters, search() + ","), expected) << "behind a search";
  }
  EXPECT_EQ(filtered(R"({"field":"score","operator":"gte","value":0.8})", search() + ","), (Ids{"doc_1", "doc_2"}));
}

TEST_F(RowStagesTest, AnInputIsAValueAndNeverATemplate) {
  const std::string by_stage = R"([{"stage_id":"attribute_filter","parameters":{"field":"kind","value":"{{INPUT.kind}}"}}])";
  const std::string skipping =
      R"([{"stage_id":"attribute_filter","on_error":"skip","parameters":{"field":"kind","value":"{{INPUT.kind}}"}}])";
  const std::string in_tree =
      R"([{"stage_id":"attribute_filter","parameters":{"conditions":{"kind":{"type":"dynamic","field":"INPUT.kind"}}}}])";
  const std::string in_search = "[" + search(R"(,"filters":{"kind":"{{INPUT.kind}}"})") + "]";
  ExecuteOptions beside;
  beside.filters = json::object{{"kind", "{{INPUT.kind}}"}};
  const std::pair<std::string, ExecuteOptions> cases[] = {
      {by_stage, {}}, {skipping, {}}, {in_tree, {}}, {in_search, {}}, {R"([{"stage_id":"limit","parameters":{"limit":10}}])", beside}};
  for (auto [stages, options] : cases) {
    SCOPED_TRACE(stages);
    ParsedRetriever parsed = retriever(stages);
    options.inputs = {{"kind", "b"}};
    EXPECT_EQ(ids(run(parsed, options)), (Ids{"doc_2"}));
    for (const char* nobody : {"nobody", "{{", "{{INPUT.kind}}"}) {
      options.inputs = {{"kind", nobody}};
      EXPECT_EQ(ids(run(parsed, options)), (Ids{})) << nobody;
    }
    options.inputs = {{"kind", {{"type", "dynamic"}, {"field", "x"}}}};
    Result<ExecutionResult> refused = try_run(parsed, options);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, ErrorKind::kValidation) << refused.error().message;
  }
}

TEST_F(RowStagesTest, AFilterInFrontOfASearchBecomesItsFilter) {
  ExecutionResult result = run(retriever(
      R"([{"stage_id":"attribute_filter","parameters":{"field":"kind","value":"a"}},{"stage_id":"attribute_filter","parameters":{"field":"price","operator":"exists"}},)" +
      search() + "]"));
  EXPECT_EQ(ids(result), (Ids{"doc_1", "doc_3"}));
  EXPECT_EQ(store_.scans, 0);
  EXPECT_EQ(result.stages[0].input_count, 5u);
  EXPECT_EQ(result.stages[0].output_count, 3u);
  EXPECT_EQ(result.stages[1].output_count, 2u);
  EXPECT_TRUE(result.stages[1].metadata.at("pushed_down").as_bool());
  EXPECT_EQ(result.stages[2].output_count, 2u);
}

TEST_F(RowStagesTest, ASearchThatMayBeLeftOutLeavesTheFiltersDocuments) {
  std::string failing =
      R"({"stage_id":"feature_search","on_error":"skip","parameters":{"searches":[{"feature_uri":"mixpeek://image_extractor@v1/clip","query":"x"}]}})";
  ExecutionResult result = run(retriever(R"([{"stage_id":"attribute_filter","parameters":{"field":"kind","value":"b"}},)" + failing + "]"));
  EXPECT_EQ(ids(result), (Ids{"doc_2"}));
  EXPECT_EQ(result.status, "COMPLETED_WITH_ERRORS");
}

TEST_F(RowStagesTest, AFirstFilterReadsNoMoreThanIsShown) {
  for (int i = 0; i < 300; ++i) add("col_a", fmt::format("doc_more_{:03}", i), {1, 0, 0}, fmt::format(R"({{"kind":"m","n":{}}})", i));
  ExecuteOptions options;
  options.limit = 5;
  ExecutionResult result = run(retriever(R"([{"stage_id":"attribute_filter","parameters":{"field":"kind","value":"m"}}])"), options);
  EXPECT_EQ(result.results.size(), 5u);
  EXPECT_TRUE(result.has_more);
  EXPECT_LE(store_.payloads_read, 6u);
  store_.payloads_read = 0;
  result = run(retriever(
      R"([{"stage_id":"attribute_filter","parameters":{"field":"kind","value":"m"}},{"stage_id":"sort_attribute","parameters":{"field":"n"}},{"stage_id":"limit","parameters":{"limit":2,"offset":1}}])"));
  EXPECT_EQ(ids(result), (Ids{"doc_more_298", "doc_more_297"}));
  EXPECT_LE(store_.payloads_read, 3u);
}

TEST_F(RowStagesTest, AScanSaysWhereItStopped) {
  for (int i = 0; i < 10'050; ++i) add("col_a", fmt::format("doc_many_{:05}", i), {1, 0, 0}, R"({"kind":"m"})");
  ExecutionResult result =
      run(retriever(R"([{"stage_id":"attribute_filter","parameters":{"field":"kind","value":"m"}},{"stage_id":"sort_relevance"}])"));
  EXPECT_EQ(result.results.size(), 10'000u);
  ASSERT_EQ(result.limits.size(), 1u);
  EXPECT_EQ(result.limits[0].at("requested"), 10'050);
  EXPECT_EQ(result.limits[0].at("applied"), 10'000);
  EXPECT_EQ(result.warnings.size(), 1u);
}

TEST_F(RowStagesTest, SortAttribute) {
  EXPECT_EQ(after_search("sort_attribute", R"({"field":"price"})"), (Ids{"doc_3", "doc_1", "doc_2", "doc_4", "doc_5"}));
  EXPECT_EQ(after_search("sort_attribute", R"({"field":"price","direction":"asc"})"), (Ids{"doc_2", "doc_1", "doc_3", "doc_4", "doc_5"}));
  EXPECT_EQ(after_search("sort_attribute", R"({"field":"price","nulls_last":false})"), (Ids{"doc_4", "doc_5", "doc_3", "doc_1", "doc_2"}));
  EXPECT_EQ(after_search("sort_attribute", R"({"field":"when","direction":"asc"})"), (Ids{"doc_3", "doc_2", "doc_1", "doc_4", "doc_5"}))
      << "by time, not by text";
  EXPECT_EQ(after_search("sort_attribute", R"({"field":"kind","direction":"asc"})"), (Ids{"doc_1", "doc_3", "doc_4", "doc_2", "doc_5"}))
      << "stable";
  EXPECT_EQ(after_search("sort_attribute", R"({"field":"document_id","direction":"desc"})"),
            (Ids{"doc_5", "doc_4", "doc_3", "doc_2", "doc_1"}));
  store_.tables["col_a"][3].created_at += 10'000'000;
  EXPECT_EQ(after_search("sort_attribute", "{}")[0], "doc_4") << "newest first by default";
  EXPECT_EQ(ids(run(retriever(
                R"([{"stage_id":"sort_attribute","parameters":{"field":"price"}},{"stage_id":"limit","parameters":{"limit":1}}])"))),
            (Ids{"doc_3"}));
}

TEST_F(RowStagesTest, TextsThatAreTimesSortByTimeBeforeOtherTexts) {
  add("col_a", "doc_6", {0, 0, 1}, R"({"when":"1 o'clock"})");
  EXPECT_EQ(after_search("sort_attribute", R"({"field":"when","direction":"asc"})"),
            (Ids{"doc_3", "doc_2", "doc_1", "doc_6", "doc_4", "doc_5"}));
}

TEST_F(RowStagesTest, SortRelevance) {
  EXPECT_EQ(after_search("sort_relevance", R"({"direction":"asc"})"), (Ids{"doc_4", "doc_5", "doc_3", "doc_2", "doc_1"}));
  EXPECT_EQ(after_search("sort_relevance", R"({"score_field":"price"})"), (Ids{"doc_3", "doc_1", "doc_2", "doc_4", "doc_5"}));
  EXPECT_EQ(after_search("sort_relevance", R"({"score_field":"price","missing_score":"top"})"),
            (Ids{"doc_4", "doc_5", "doc_3", "doc_1", "doc_2"}));
  EXPECT_EQ(after_search("sort_relevance", R"({"score_field":"price","missing_score":"zero","direction":"asc"})"),
            (Ids{"doc_4", "doc_5", "doc_2", "doc_1", "doc_3"}));
  EXPECT_EQ(after_search("sort_relevance", fmt::format(R"({{"feature_address":"{}"}})", kLetters)),
            (Ids{"doc_1", "doc_2", "doc_3", "doc_4", "doc_5"}));
  EXPECT_EQ(after_search("sort_relevance", R"({"feature_address":"mixpeek://x@v1/none"})"),
            (Ids{"doc_1", "doc_2", "doc_3", "doc_4", "doc_5"}))
      << "ties by document_id";
}

TEST_F(RowStagesTest, Limit) {
  EXPECT_EQ(after_search("limit", R"({"limit":2})"), (Ids{"doc_1", "doc_2"}));
  EXPECT_EQ(after_search("limit", R"({"limit":2,"offset":3})"), (Ids{"doc_4", "doc_5"}));
  EXPECT_EQ(after_search("limit", R"({"offset":9})"), (Ids{}));
  EXPECT_EQ(ids(run(retriever(R"([{"stage_id":"limit","parameters":{"limit":2,"offset":1}}])"))), (Ids{"doc_2", "doc_3"}));
  EXPECT_LE(store_.payloads_read, 20u);
}

TEST_F(RowStagesTest, Deduplicate) {
  EXPECT_EQ(after_search("deduplicate", R"({"fields":["kind"]})"), (Ids{"doc_1", "doc_2", "doc_5"}));
  EXPECT_EQ(after_search("deduplicate", R"({"fields":["kind"],"keep":"last"})"), (Ids{"doc_2", "doc_4", "doc_5"}));
  EXPECT_EQ(after_search("deduplicate", R"({"fields":["url"]})"), (Ids{"doc_1", "doc_2", "doc_4", "doc_5"}));
  EXPECT_EQ(after_search("deduplicate", R"({"fields":["url"],"case_sensitive":false})"), (Ids{"doc_1", "doc_2", "doc_5"}));
  EXPECT_EQ(after_search("deduplicate", R"({"fields":["price"]})"), (Ids{"doc_1", "doc_2", "doc_3", "doc_4", "doc_5"}));
  EXPECT_EQ(after_search("deduplicate", R"({"fields":["price"],"missing":"collapse"})"), (Ids{"doc_1", "doc_2", "doc_3", "doc_4"}));
  EXPECT_EQ(after_search("deduplicate", R"({"fields":["kind","url"]})"), (Ids{"doc_1", "doc_2", "doc_4", "doc_5"}));
  std::string best =
      "[" + search() +
      R"(,{"stage_id":"sort_attribute","parameters":{"field":"document_id"}},{"stage_id":"deduplicate","parameters":{"fields":["kind"],"keep":"best"}}])";
  EXPECT_EQ(ids(run(retriever(best))), (Ids{"doc_5", "doc_2", "doc_1"}));
  for (Document& document : store_.tables["col_a"]) document.lineage.root_object_id = "obj_1";
  EXPECT_EQ(after_search("deduplicate", R"({"strategy":"root_object"})"), (Ids{"doc_1"}));
  EXPECT_EQ(after_search("deduplicate", R"({"strategy":"document"})").size(), 5u);
}

TEST_F(RowStagesTest, DeduplicateByContent) {
  std::vector<Document>& documents = store_.tables["col_a"];
  documents[0].payload["content"] = "The quick brown fox jumps over the lazy dog near the river bank today";
  documents[1].payload["content"] = "the QUICK brown fox, jumps over the lazy dog near the river bank today!";
  documents[2].payload["content"] = "The quick brown fox jumps over the lazy dog near the river bank yesterday";
  documents[3].payload["content"] = "Something else entirely";
  EXPECT_EQ(after_search("deduplicate", R"({"strategy":"content"})"), (Ids{"doc_1", "doc_3", "doc_4", "doc_5"}));
  EXPECT_EQ(after_search("deduplicate", R"({"strategy":"content","similarity_threshold":0.8})"),
            (Ids{"doc_1", "doc_4", "doc_5"}));  // 11 of 13 sequences shared
  EXPECT_EQ(after_search("deduplicate", R"({"strategy":"content","similarity_threshold":0.8,"keep":"last"})"),
            (Ids{"doc_3", "doc_4", "doc_5"}));
}

TEST_F(RowStagesTest, Sample) {
  Ids first = after_search("sample", R"({"count":3,"seed":11})");
  EXPECT_EQ(first.size(), 3u);
  EXPECT_TRUE(std::is_sorted(first.begin(), first.end())) << "the order stays";
  EXPECT_EQ(after_search("sample", R"({"count":3,"seed":11})"), first);
  bool varies = false;
  for (int seed = 0; seed < 20 && !varies; ++seed)
    varies = after_search("sample", fmt::format(R"({{"count":3,"seed":{}}})", seed)) != first;
  EXPECT_TRUE(varies);
  EXPECT_EQ(after_search("sample", R"({"count":100})").size(), 5u);
  for (int seed = 0; seed < 10; ++seed) {
    Ids kept = after_search("sample", fmt::format(R"({{"count":3,"seed":{},"preserve_top_k":2}})", seed));
    ASSERT_EQ(kept.size(), 3u);
    EXPECT_EQ(kept[0], "doc_1");
    EXPECT_EQ(kept[1], "doc_2");
  }
  EXPECT_EQ(after_search("sample", R"({"count":2,"strategy":"systematic"})"), (Ids{"doc_1", "doc_3"}));
}

TEST_F(RowStagesTest, SampleIsEven) {
  std::map<std::string, int> drawn;
  for (int seed = 0; seed < 2000; ++seed)
    for (const std::string& id : after_search("sample", fmt::format(R"({{"count":2,"seed":{}}})", seed))) ++drawn[id];
  for (const auto& [id, times] : drawn) EXPECT_NEAR(times, 800, 110) << id;  // five standard deviations of a fair draw
}

TEST_F(RowStagesTest, SampleByStrata) {
  store_.tables["col_a"].clear();
  for (int i = 0; i < 60; ++i)
    add("col_a", fmt::format("doc_{:02}", i), {1, 0, 0}, i < 40 ? R"({"kind":"a"})" : i < 58 ? R"({"kind":"b"})" : R"({})");
  auto shares = [&](std::string_view parameters) {
    ExecutionResult result = run(retriever(fmt::format(R"([{{"stage_id":"sample","parameters":{}}}])", parameters)));
    std::map<std::string, int> out;
    for (const json::object& document : result.results)
      ++out[document.contains("kind") ? std::string(document.at("kind").as_string()) : "none"];
    return out;
  };
  using Shares = std::map<std::string, int>;
  EXPECT_EQ(shares(R"({"strategy":"stratified","stratify_by":"kind","count":30})"), (Shares{{"a", 20}, {"b", 9}, {"none", 1}}));
  EXPECT_EQ(shares(R"({"strategy":"stratified","stratify_by":"kind","count":12,"min_per_stratum":4})"),
            (Shares{{"a", 6}, {"b", 4}, {"none", 2}}));
  EXPECT_EQ(shares(R"({"strategy":"stratified","stratify_by":"kind","count":2,"min_per_stratum":1})"), (Shares{{"a", 1}, {"b", 1}}));
  EXPECT_EQ(shares(R"({"strategy":"stratified","stratify_by":"kind","count":100})"), (Shares{{"a", 40}, {"b", 18}, {"none", 2}}));
}

}  // namespace
}  // namespace quarry::retrieval
