#include "retrieval/test_kit.h"

namespace quarry::retrieval {
namespace {

class FeatureSearchTest : public RetrievalTest {
 protected:
  // Three documents on the axes and one between x and y.
  void SetUp() override {
    RetrievalTest::SetUp();
    add_collection("col_a");
    add("col_a", "doc_x", {1, 0, 0}, R"({"lang":"en","year":2001,"video":"v1"})");
    add("col_a", "doc_xy", {1, 1, 0}, R"({"lang":"en","year":2002,"video":"v1"})");
    add("col_a", "doc_y", {0, 1, 0}, R"({"lang":"de","year":2003,"video":"v2"})");
    add("col_a", "doc_z", {0, 0, 1}, R"({"lang":"de","year":2004})");
  }

  Error error_of(const ParsedRetriever& parsed, ExecuteOptions options = {}) {
    Result<ExecutionResult> result = try_run(parsed, std::move(options));
    EXPECT_FALSE(result.ok());
    return result.ok() ? Error{} : result.error();
  }
};

TEST_F(FeatureSearchTest, RanksByTrueScoreWithDocumentsAtTopLevel) {
  ExecutionResult result = run(retriever("[" + search() + "]"));
  EXPECT_EQ(ids(result), (Ids{"doc_x", "doc_xy", "doc_y", "doc_z"}));  // doc_y and doc_z both score 0: by id
  const json::object& first = result.results[0];
  EXPECT_EQ(first.at("score").as_double(), 1.0);
  EXPECT_EQ(first.at("_source_tier"), "active");
  EXPECT_EQ(first.at("collection_id"), "col_a");
  EXPECT_EQ(first.at("lang"), "en");
  EXPECT_EQ(first.at("processing_tier"), 1);
  EXPECT_TRUE(first.contains("created_at"));
  EXPECT_FALSE(first.contains("vectors"));
  EXPECT_EQ(static_cast<float>(result.results[1].at("score").as_double()), static_cast<float>(1 / std::sqrt(2.0)));
  EXPECT_EQ(result.status, "COMPLETED");
  EXPECT_TRUE(result.execution_id.starts_with("exec_"));
  ASSERT_EQ(result.stages.size(), 1u);
  EXPECT_EQ(result.stages[0].input_count, 4u);
  EXPECT_EQ(result.stages[0].output_count, 4u);
  EXPECT_EQ(result.stages[0].metadata.at("source_tiers"), json::parse(R"({"active":4})"));
}

TEST_F(FeatureSearchTest, TakesEveryFormOfQuery) {
  const char* const queries[] = {
      R"("xxy")",
      R"({"input_mode":"text","value":"xxy"})",
      R"({"input_mode":"text","text":"xxy","embedding_task":"retrieval"})",
      R"({"input":{"text":"xxy"}})",
      R"({"input_mode":"vector","value":[2,1,0]})",
      R"([2,1,0])",
      R"({"input_mode":"vector","value":"[2,1,0]"})",
      R"({"input_mode":"content","value":"xxy"})",
      R"({"input_mode":"content","content":{"base64":"eHh5"}})",
      R"({"input_mode":"content","content":{"url":"data:text/plain;base64,eHh5"}})",
      R"({"input_mode":"multi_content","values":["xxy","xxy"]})",
      R"("{{INPUT.q}}")",
      R"({"input_mode":"text","value":"{{INPUT.q}}"})",
      R"({"input_mode":"vector","value":"{{INPUT.v}}"})",
      R"({"value":"{{INPUT.v}}"})",
      R"("{{INPUT.whole}}")",
  };
  ExecuteOptions options;
  options.inputs = json::parse(R"({"q":"xxy","v":[2,1,0],"whole":{"input_mode":"vector","value":[2,1,0]}})").as_object();
  for (const char* query : queries) {
    SCOPED_TRACE(query);
    ExecutionResult result = run(retriever("[" + search("", "", query) + "]"), options);
    ASSERT_EQ(ids(result), (Ids{"doc_xy", "doc_x", "doc_y", "doc_z"}));
    EXPECT_NEAR(result.results[0].at("score").as_double(), 3 / std::sqrt(10.0), 1e-6);
  }
}

TEST_F(FeatureSearchTest, EffortReachesTheStore) {
  ExecuteOptions options;
  options.inputs = {{"effort", 200}};
  run(retriever("[" + search(R"(,"effort":"{{INPUT.effort}}")") + "]"), options);
  EXPECT_EQ(store_.effort, 200u);
  run(retriever("[" + search() + "]"));
  EXPECT_EQ(store_.effort, 0u);
  options.inputs = {{"effort", 10'001}};
  EXPECT_EQ(error_of(retriever("[" + search(R"(,"effort":"{{INPUT.effort}}")") + "]"), options).kind, ErrorKind::kValidation);
}

TEST_F(FeatureSearchTest, SearchesByAStoredDocument) {
  add_collection("col_elsewhere");
  add("col_elsewhere", "doc_ref", {0, 1, 0});
  ExecutionResult result = run(retriever(
      "[" + search("", "", R"({"input_mode":"document","document_ref":{"collection_id":"col_elsewhere_name","document_id":"doc_ref"}})") +
      "]"));
  EXPECT_EQ(ids(result)[0], "doc_y");
  result = run(retriever("[" + search("", "", R"({"document_id":"doc_z"})") + "]"));
  EXPECT_EQ(ids(result)[0], "doc_z");
  EXPECT_EQ(error_of(retriever("[" + search("", "", R"({"document_id":"doc_none"})") + "]")).kind, ErrorKind::kNotFound);
  EXPECT_EQ(error_of(retriever("[" + search("", "", R"({"document_id":"doc_z","collection_id":"col_none"})") + "]")).kind,
            ErrorKind::kNotFound);
}

TEST_F(FeatureSearchTest, RefusesWhatItCannotAnswer) {
  struct Case {
    const char* query;
    ErrorKind kind;
    const char* words;
  };
  const Case cases[] = {
      {R"([1,0])", ErrorKind::kBadRequest, "has 2 dimensions"},
      {R"({"input_mode":"vector","value":"xyz"})", ErrorKind::kValidation, "array of numbers"},
      {R"({"input_mode":"vector","value":[1,"x",0]})", ErrorKind::kValidation, "element 1 is not a finite number"},
      {R"([1e300,0,0])", ErrorKind::kValidation, "element 0 is not a finite number"},
      {R"({"input_mode":"vector","value":[[1,0,0],[0,1,0]]})", ErrorKind::kBadRequest, "is multi_dense"},
      {R"({"input_mode":"content","value":"https://example.org/cat.png"})", ErrorKind::kNotImplemented, "media content"},
      {R"({"input_mode":"content","content":{"url":"https://example.org/cat.txt"}})", ErrorKind::kNotImplemented, "URL"},
      {R"({"input_mode":"content","content":{"base64":"iVBORw0KGgo="}})", ErrorKind::kNotImplemented, "media content"},
      {R"({"input_mode":"content","content":{"base64":"%%%"}})", ErrorKind::kValidation, "base64"},
      {R"("")", ErrorKind::kValidation, "is empty"},
      {R"("  \n ")", ErrorKind::kValidation, "is empty"},
      {R"("{{INPUT.absent}}")", ErrorKind::kValidation, "input 'absent' is not given"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.query);
    Error error = error_of(retriever("[" + search("", "", c.query) + "]"));
    EXPECT_EQ(error.kind, c.kind) << error.message;
    EXPECT_NE(error.message.find(c.words), std::string::npos) << error.message;
  }
}

TEST_F(FeatureSearchTest, HostileParametersAreRefused) {
  std::string many, deep = R"({"text":"x"})";
  for (int i = 0; i < 11; ++i) many += fmt::format(R"({}{{"feature_uri":"{}","query":"x"}})", i == 0 ? "" : ",", kLetters);
  for (int i = 0; i < 18; ++i) deep = R"({"input":)" + deep + "}";
  std::vector<std::string> stages{
      fmt::format(R"([{{"stage_id":"feature_search","parameters":{{"searches":[{}]}}}}])", many),
      fmt::format(R"([{{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{}","query":"x","top_k":5001}}]}}}}])",
                  kLetters),
      fmt::format(R"([{{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{}","query":"x","min_score":-1}}]}}}}])",
                  kLetters),
      fmt::format(R"([{{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{}","query":7}}]}}}}])", kLetters),
      fmt::format(
          R"([{{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{}","query":{{"input_mode":"smell","value":"x"}}}}]}}}}])",
          kLetters),
      R"([{"stage_id":"feature_search","parameters":{"searches":{"feature_uri":"x"}}}])",
      R"([{"stage_id":"feature_search","parameters":{"searches":["x"]}}])",
  };
  for (const std::string& text : stages) {
    SCOPED_TRACE(text.substr(0, 200));
    Result<json::array> normal = normalize_stages(json::parse(text).as_array());
    ASSERT_FALSE(normal.ok());
    EXPECT_EQ(normal.error().kind, ErrorKind::kValidation);
  }
  EXPECT_EQ(ids(run(retriever("[" + search("", "", deep) + "]")))[0], "doc_x");
}

TEST_F(FeatureSearchTest, AnAbsentFeatureListsWhatExists) {
  std::string stages =
      R"([{"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://image_extractor@v1/clip","query":"x"}]}}])";
  Error error = error_of(retriever(stages));
  EXPECT_EQ(error.kind, ErrorKind::kBadRequest);
  EXPECT_NE(error.message.find(std::string(kLetters)), std::string::npos) << error.message;

  std::string optional =
      R"([{"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://image_extractor@v1/clip","query":"x","optional":true},)"
      R"({"feature_uri":"mixpeek://text_extractor@v1/embedding","query":"x"}]}}])";
  ExecutionResult result = run(retriever(optional));
  EXPECT_EQ(ids(result)[0], "doc_x");
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_NE(result.warnings[0].find("Skipped optional search 0"), std::string::npos);
}

TEST_F(FeatureSearchTest, EmptyQueriesFollowOnEmpty) {
  auto two = [&](std::string_view on_empty) {
    return retriever(fmt::format(
        R"([{{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{0}","query":"{{{{INPUT.a}}}}"}},{{"feature_uri":"{0}","query":"{{{{INPUT.b}}}}",{1}}}]}}}}])",
        kLetters, on_empty));
  };
  ExecuteOptions options;
  options.inputs = {{"a", "x"}};
  EXPECT_EQ(ids(run(two(R"("on_empty":"skip")"), options))[0], "doc_x");
  EXPECT_EQ(ids(run(two(R"("optional":true)"), options))[0], "doc_x");
  EXPECT_EQ(error_of(two(R"("on_empty":"error")"), options).kind, ErrorKind::kValidation);
  EXPECT_EQ(error_of(two(R"("weight":1)"), options).kind, ErrorKind::kValidation);

  std::string random = search(R"(,"on_empty":"random","top_k":2,"filters":{"lang":"de"})", "", R"("")");
  options.random_seed = 7;
  ExecutionResult first = run(retriever("[" + random + "]"), options);
  Ids drawn = ids(first);
  std::sort(drawn.begin(), drawn.end());
  EXPECT_EQ(drawn, (Ids{"doc_y", "doc_z"}));
  EXPECT_EQ(first.results[0].at("score").as_double(), 0.0);
  EXPECT_TRUE(first.results[0].contains("lang"));
  EXPECT_EQ(ids(run(retriever("[" + random + "]"), options)), ids(first));
}

TEST_F(FeatureSearchTest, FiltersScoresAndCuts) {
  EXPECT_EQ(
      ids(run(retriever(
          "[" +
          search(R"(,"filters":{"AND":[{"field":"lang","operator":"eq","value":"de"},{"field":"year","operator":"lt","value":2004}]})") +
          "]"))),
      (Ids{"doc_y"}));
  EXPECT_EQ(ids(run(retriever("[" + search(R"(,"min_score":0.5)") + "]"))), (Ids{"doc_x", "doc_xy"}));
  EXPECT_EQ(ids(run(retriever("[" + search(R"(,"top_k":3)") + "]"))), (Ids{"doc_x", "doc_xy", "doc_y"}));
  EXPECT_EQ(ids(run(retriever("[" + search("", R"(,"final_top_k":1)") + "]"))), (Ids{"doc_x"}));
  ExecuteOptions options;
  options.filters = json::parse(R"({"field":"year","operator":"gte","value":"{{INPUT.from}}"})");
  options.inputs = {{"from", 2003}};
  EXPECT_EQ(ids(run(retriever("[" + search() + "]"), options)), (Ids{"doc_y", "doc_z"}));
  options.filters = json::parse(R"({"field":"year","operator":"nope","value":1})");
  EXPECT_EQ(error_of(retriever("[" + search() + "]"), options).kind, ErrorKind::kValidation);
  options.filters = json::parse(R"({"collection_id":"col_b"})");
  EXPECT_TRUE(run(retriever("[" + search() + "]"), options).results.empty());
}

TEST_F(FeatureSearchTest, OneSearchOverSeveralCollectionsMergesByTrueScore) {
  add_collection("col_b");
  add("col_b", "doc_b", {3, 1, 0});
  add("col_b", "doc_a2", {1, 0, 0});
  ExecutionResult result = run(retriever("[" + search("", R"(,"final_top_k":4)") + "]", {"col_a", "col_b_name"}));
  EXPECT_EQ(ids(result), (Ids{"doc_a2", "doc_x", "doc_b", "doc_xy"}));
  EXPECT_EQ(result.results[0].at("collection_id"), "col_b");
  EXPECT_EQ(result.results[1].at("lang"), "en");
  EXPECT_LE(store_.payloads_read, 4u);  // of the survivors only
  EXPECT_EQ(models_.letters->embedded, 1);
}

TEST_F(FeatureSearchTest, ScoresOfDifferentMetricsMeetByRank) {
  add_collection("col_dot", {{.metric = "dot"}});
  add("col_dot", "doc_far", {100, 0, 0});
  add("col_dot", "doc_near", {50, 0, 0});
  ExecutionResult result = run(retriever("[" + search(R"(,"top_k":2)") + "]", {"col_a", "col_dot"}));
  EXPECT_EQ(ids(result), (Ids{"doc_far", "doc_x"}));
  EXPECT_DOUBLE_EQ(result.results[0].at("score").as_double(), 1.0 / 61);
}

std::string two_searches(std::string_view first, std::string_view second, std::string_view more) {
  return fmt::format(
      R"([{{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{0}",{1}}},{{"feature_uri":"{0}",{2}}}]{3}}}}}])",
      kLetters, first, second, more);
}

TEST_F(FeatureSearchTest, FusesSeveralSearches) {
  // "x": doc_x 1, doc_xy .71. "y": doc_y 1, doc_xy .71.
  std::string x = R"("query":"x","top_k":2)", y = R"("query":"y","top_k":2)";
  ExecutionResult rrf = run(retriever(two_searches(x, y, "")));
  EXPECT_EQ(ids(rrf), (Ids{"doc_xy", "doc_x", "doc_y"}));
  EXPECT_DOUBLE_EQ(rrf.results[0].at("score").as_double(), 2.0 / 62);
  EXPECT_DOUBLE_EQ(rrf.results[1].at("score").as_double(), 1.0 / 61);
  EXPECT_EQ(rrf.stages[0].metadata.at("fusion"), "rrf");
  EXPECT_TRUE(rrf.results[0].at("_feature_scores").as_object().contains(kLetters));

  // Under one feature the better of its scores: doc_y is last for "x" and first for "y".
  ExecutionResult whole = run(retriever(two_searches(R"("query":"x")", R"("query":"y")", "")));
  for (const json::object& document : whole.results)
    if (document.at("document_id") == "doc_y") {
      EXPECT_EQ(document.at("_feature_scores").at(kLetters), 1.0);
    }

  ExecutionResult weighted = run(retriever(two_searches(x + R"(,"weight":0.75)", y + R"(,"weight":0.25)", R"(,"fusion":"weighted")")));
  EXPECT_EQ(ids(weighted), (Ids{"doc_x", "doc_y", "doc_xy"}));
  EXPECT_DOUBLE_EQ(weighted.results[0].at("score").as_double(), 0.75);
  ExecutionResult max = run(retriever(two_searches(x, y + R"(,"weight":0.5)", R"(,"fusion":"max")")));
  EXPECT_EQ(ids(max), (Ids{"doc_x", "doc_xy", "doc_y"}));
  ExecutionResult dbsf = run(retriever(two_searches(x, y, R"(,"fusion":"dbsf","final_top_k":2)")));
  EXPECT_EQ(ids(dbsf), (Ids{"doc_xy", "doc_x"}));
}

TEST_F(FeatureSearchTest, EmbedsADistinctTextOncePerModel) {
  add_collection("col_two", {{}, {.name = "other", .uri = kOther}});
  add("col_two", "doc_t", {1, 0, 0}, "{}", {0, 1, 0});
  std::string stages = fmt::format(
      R"([{{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{0}","query":"xy"}},{{"feature_uri":"{0}","query":"xy","filters":{{"lang":"en"}}}},{{"feature_uri":"{1}","query":"xy"}}]}}}},)"
      R"({{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{0}","query":"xy"}}]}}}}])",
      kLetters, kOther);
  run(retriever(stages, {"col_a", "col_two"}));
  EXPECT_EQ(models_.letters->embedded, 1);
  EXPECT_EQ(models_.other->embedded, 1);
}

TEST_F(FeatureSearchTest, ALaterSearchRanksWhatEarlierStagesLeft) {
  ExecutionResult result = run(retriever("[" + search(R"(,"filters":{"lang":"de"})") + "," + search("", "", R"("z")") + "]"));
  EXPECT_EQ(ids(result), (Ids{"doc_z", "doc_y"}));
  EXPECT_EQ(result.stages[1].input_count, 2u);
  EXPECT_DOUBLE_EQ(result.stages[1].efficiency(), 1.0);
}

TEST_F(FeatureSearchTest, GroupsWithinAndAcrossCollections) {
  ExecutionResult result = run(retriever("[" + search("", R"(,"group_by":{"field":"video","max_per_group":2})") + "]"));
  EXPECT_EQ(ids(result), (Ids{"doc_x", "doc_xy", "doc_y"}));  // doc_z belongs to no group
  EXPECT_EQ(result.stages[0].metadata.at("groups"), 2);
  EXPECT_EQ(ids(run(retriever("[" + search("", R"(,"group_by":"video")") + "]"))), (Ids{"doc_x", "doc_y"}));
  EXPECT_EQ(ids(run(retriever("[" + search("", R"(,"group_by":{"field":"video","max_per_group":2,"limit":1})") + "]"))),
            (Ids{"doc_x", "doc_xy"}));
  EXPECT_EQ(ids(run(retriever("[" + search("", R"(,"group_by":{"field":"video","max_per_group":2,"output_mode":"first"})") + "]"))),
            (Ids{"doc_x", "doc_y"}));

  // Group v2 leads in col_b and is past the only group that col_a lists, yet its member there belongs to the group.
  add_collection("col_b");
  add("col_b", "doc_b", {5, 1, 0}, R"({"video":"v2"})");
  result = run(
      retriever("[" + search("", R"(,"group_by":{"field":"video","max_per_group":2,"limit":1})", R"([5,1,0])") + "]", {"col_a", "col_b"}));
  EXPECT_EQ(ids(result), (Ids{"doc_b", "doc_y"}));
  EXPECT_EQ(result.results[1].at("lang"), "de");
}

TEST_F(FeatureSearchTest, GroupsByAPathThroughObjectsAcrossCollections) {
  add_collection("col_b");
  add("col_b", "doc_b1", {9, 1, 0}, R"({"parts":[{"name":"p"},{"name":"q"}]})");
  add("col_a", "doc_p", {9, 2, 0}, R"({"parts":[{"name":"p"}]})");
  add("col_a", "doc_pq", {1, 3, 0}, R"({"parts":[{"name":"p"},{"name":"q"}]})");
  ExecutionResult result = run(retriever(
      "[" + search("", R"(,"group_by":{"field":"parts.name","max_per_group":2,"limit":1})", R"([9,1,0])") + "]", {"col_a", "col_b"}));
  EXPECT_EQ(ids(result), (Ids{"doc_b1", "doc_pq"}));
}

TEST_F(FeatureSearchTest, GroupsByValuesNestedDeepOrMany) {
  json::value deep = 1;
  for (int i = 0; i < 100; ++i) deep = json::array{deep};
  std::vector<std::string> collections;
  for (int c = 0; c < 22; ++c) {
    collections.push_back(fmt::format("col_{:02}", c));
    add_collection(collections.back());
    for (int i = 0; i < 500; ++i)
      add(collections.back(), fmt::format("doc_{}_{}", c, i), {1, 0, 0}, fmt::format(R"({{"one":"{}_{}"}})", c, i));
    store_.tables[collections.back()].back().payload["one"] = json::array{deep, c};
  }
  ExecutionResult result =
      run(retriever("[" + search("", R"(,"group_by":{"field":"one","limit":500},"final_top_k":500)") + "]", collections));
  EXPECT_EQ(result.results.size(), 500u);
}

TEST_F(FeatureSearchTest, GroupsFusedResults) {
  ExecutionResult result = run(retriever(
      two_searches(R"("query":"x","top_k":2)", R"("query":"y","top_k":2)", R"(,"group_by":{"field":"video","max_per_group":1})")));
  EXPECT_EQ(ids(result), (Ids{"doc_xy", "doc_y"}));
  EXPECT_TRUE(result.results[0].contains("lang"));
}

TEST_F(FeatureSearchTest, FacetsCountTheFilteredSet) {
  add_collection("col_b");
  add("col_b", "doc_b", {1, 0, 0}, R"({"lang":"de"})");
  ExecutionResult result = run(retriever(
      "[" + search(R"(,"top_k":1,"filters":{"field":"year","operator":"ne","value":2001})", R"(,"facets":[{"key":"lang"},"video"])") + "]",
      {"col_a", "col_b"}));
  EXPECT_EQ(
      json::value(result.facets),
      json::parse(
          R"([{"key":"lang","values":[{"value":"de","count":3},{"value":"en","count":1}]},{"key":"video","values":[{"value":"v1","count":1},{"value":"v2","count":1}]}])"))
      << json::serialize(result.facets);
}

TEST_F(FeatureSearchTest, NarrowsToCollections) {
  add_collection("col_b");
  add("col_b", "doc_b", {1, 0, 0});
  EXPECT_EQ(ids(run(retriever("[" + search("", R"(,"collection_identifiers":["col_b_name"])") + "]", {"col_a", "col_b"}))), (Ids{"doc_b"}));
  EXPECT_EQ(ids(run(retriever("[" + search(R"(,"collection_identifiers":["col_b"])") + "]", {"col_a", "col_b"}))), (Ids{"doc_b"}));
  Error error = error_of(retriever("[" + search("", R"(,"collection_identifiers":["col_c"])") + "]", {"col_a", "col_b"}));
  EXPECT_EQ(error.kind, ErrorKind::kBadRequest);
  EXPECT_NE(error.message.find("col_a, col_b"), std::string::npos);
  ExecuteOptions options;
  options.target_collection_id = "col_b";
  EXPECT_EQ(ids(run(retriever("[" + search() + "]", {"col_a", "col_b"}), options)), (Ids{"doc_b"}));
  options.target_collection_id = "col_x";
  EXPECT_EQ(error_of(retriever("[" + search() + "]", {"col_a", "col_b"}), options).kind, ErrorKind::kBadRequest);
  EXPECT_EQ(error_of(retriever("[" + search() + "]", {"col_a", "col_gone"})).kind, ErrorKind::kNotFound);
  EXPECT_EQ(error_of(retriever("[" + search() + "]", {})).kind, ErrorKind::kBadRequest);
}

TEST_F(FeatureSearchTest, FederatesTiersAsTheContractSays) {
  add_collection("col_cold", {{}}, "cold");
  add("col_cold", "doc_c", {1, 0, 0});
  add_collection("col_old", {{}}, "archived");
  add_collection("col_older", {{}}, "archived");
  ExecutionResult result = run(retriever("[" + search("", R"(,"final_top_k":3)") + "]", {"col_a", "col_cold", "col_old"}));
  EXPECT_EQ(ids(result), (Ids{"doc_c", "doc_x", "doc_xy"}));
  EXPECT_EQ(result.results[0].at("_source_tier"), "cold");
  EXPECT_EQ(result.results[0].at("score"), result.results[1].at("score"));
  EXPECT_EQ(result.stages[0].metadata.at("source_tiers"), json::parse(R"({"active":2,"cold":1})"));
  EXPECT_EQ(result.stages[0].metadata.at("warnings"), json::parse(R"(["Skipped archived collections: col_old"])"));
  EXPECT_EQ(result.status, "COMPLETED");

  Error error = error_of(retriever("[" + search() + "]", {"col_old", "col_older"}));
  EXPECT_EQ(error.kind, ErrorKind::kBadRequest);
  EXPECT_NE(error.message.find("Cannot search archived collections"), std::string::npos);
  EXPECT_EQ(error.details.at("archived_collection_ids"), json::parse(R"(["col_old","col_older"])"));
}

TEST_F(FeatureSearchTest, AFailingCollectionIsLeftOutWithAWarning) {
  add_collection("col_cold", {{}}, "cold");
  add("col_cold", "doc_c", {1, 0, 0});
  store_.failures["col_cold"] = Error{ErrorKind::kTimeout, "slow disk"};
  ExecutionResult result = run(retriever("[" + search() + "]", {"col_a", "col_cold"}));
  EXPECT_EQ(ids(result)[0], "doc_x");
  EXPECT_EQ(result.stages[0].metadata.at("warnings"), json::parse(R"(["Cold search failed for collection col_cold: timeout"])"));
  EXPECT_EQ(result.status, "COMPLETED_WITH_ERRORS");
  ASSERT_EQ(result.degraded.size(), 1u);
  EXPECT_EQ(result.degraded[0].at("id"), "col_cold");

  store_.failures["col_a"] = storage_error("disk on fire");
  EXPECT_EQ(error_of(retriever("[" + search() + "]", {"col_a", "col_cold"})).kind, ErrorKind::kStorage);
  store_.failures["col_a"] = bad_request("broken query");
  store_.failures.erase("col_cold");
  EXPECT_EQ(error_of(retriever("[" + search() + "]", {"col_a", "col_cold"})).kind, ErrorKind::kBadRequest);
}

TEST_F(FeatureSearchTest, AMissingModelIsNotRetryable) {
  add_collection("col_m", {{.name = "letters", .uri = "mixpeek://text_extractor@v1/absent_model"}});
  std::string stages =
      R"([{"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://text_extractor@v1/absent_model","query":"x"}]}}])";
  Error error = error_of(retriever(stages, {"col_m"}));
  EXPECT_EQ(error.kind, ErrorKind::kInferenceUnavailable);
  EXPECT_FALSE(error.details.at("retryable").as_bool());
  std::string by_vector =
      R"([{"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://text_extractor@v1/absent_model","query":[1,0,0]}]}}])";
  EXPECT_TRUE(try_run(retriever(by_vector, {"col_m"})).ok());
}

TEST_F(FeatureSearchTest, ALongQuerySaysThatItWasCut) {
  ExecutionResult result = run(retriever("[" + search("", "", json::serialize(json::string(std::string(200, 'x')))) + "]"));
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_NE(result.warnings[0].find("longer than"), std::string::npos);
}

}  // namespace
}  // namespace quarry::retrieval
