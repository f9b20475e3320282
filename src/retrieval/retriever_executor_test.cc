#include "retrieval/test_kit.h"

namespace quarry::retrieval {
namespace {

class ExecutorTest : public RetrievalTest {
 protected:
  void SetUp() override {
    RetrievalTest::SetUp();
    add_collection("col_a");
    for (int i = 0; i < 8; ++i)
      add("col_a", fmt::format("doc_{}", i), {1, static_cast<float>(i), 0}, fmt::format(R"({{"n":{},"even":{}}})", i, i % 2 == 0));
  }
};

TEST_F(ExecutorTest, InputsAreCheckedAndFilled) {
  std::string more =
      R"({"input_schema":{"properties":{"q":{"type":"text","required":true},"n":{"type":"integer","default":2},"mode":{"type":"string","enum":["a","b"]}}}})";
  ParsedRetriever parsed = retriever("[" + search("", R"(,"final_top_k":"{{INPUT.n}}")", R"("{{INPUT.q}}")") + "]", {"col_a"}, more);
  ExecuteOptions options;
  options.inputs = {{"q", "x"}};
  EXPECT_EQ(ids(run(parsed, options)), (Ids{"doc_0", "doc_1"}));
  options.inputs = {{"q", "x"}, {"n", 3}, {"unknown", "is kept"}};
  EXPECT_EQ(run(parsed, options).results.size(), 3u);

  const std::pair<const char*, const char*> refused[] = {{R"({})", R"(["inputs","q"])"},
                                                         {R"({"q":null})", R"(["inputs","q"])"},
                                                         {R"({"q":5})", R"(["inputs","q"])"},
                                                         {R"({"q":"x","n":"3"})", R"(["inputs","n"])"},
                                                         {R"({"q":"x","mode":"c"})", R"(["inputs","mode"])"}};
  for (const auto& [inputs, location] : refused) {
    SCOPED_TRACE(inputs);
    options.inputs = json::parse(inputs).as_object();
    Result<ExecutionResult> result = try_run(parsed, options);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::kValidation);
    EXPECT_EQ(json::serialize(result.error().details.at("validation_errors").at(0).at("location")), location);
  }
  options.inputs = {{"q", "x"}, {"n", 6000}};  // past the schema's bound once bound
  EXPECT_EQ(try_run(parsed, options).error().kind, ErrorKind::kValidation);
}

TEST_F(ExecutorTest, PagesTheFinalList) {
  ParsedRetriever parsed = retriever("[" + search() + "]");
  ExecuteOptions options;
  options.limit = 3;
  ExecutionResult first = run(parsed, options);
  EXPECT_EQ(ids(first), (Ids{"doc_0", "doc_1", "doc_2"}));
  EXPECT_TRUE(first.has_more);
  EXPECT_EQ(first.total, 8u);
  options.offset = 6;
  ExecutionResult last = run(parsed, options);
  EXPECT_EQ(ids(last), (Ids{"doc_6", "doc_7"}));
  EXPECT_FALSE(last.has_more);
  options.offset = 100;
  EXPECT_TRUE(run(parsed, options).results.empty());
}

TEST_F(ExecutorTest, AnOpenSearchFitsThePageButAWrittenSizeHolds) {
  for (int i = 0; i < 150; ++i) add("col_a", fmt::format("doc_more_{:03}", i), {1, 0, 0});
  ExecuteOptions options;
  options.limit = 100;
  options.offset = 40;
  ExecutionResult open = run(retriever("[" + search() + "]"), options);
  EXPECT_EQ(open.results.size(), 100u);
  EXPECT_TRUE(open.has_more);
  EXPECT_EQ(run(retriever("[" + search("", R"(,"final_top_k":50)") + "]"), options).results.size(), 10u);
  EXPECT_EQ(run(retriever("[" + search(R"(,"top_k":60)") + "]"), options).results.size(), 20u);
  EXPECT_EQ(run(retriever("[" + search() + "]")).results.size(), 25u);
}

TEST_F(ExecutorTest, APageAfterAResultReachesWhatOffsetsReach) {
  for (int i = 0; i < 100; ++i) add("col_a", fmt::format("doc_more_{:03}", i), {1, 0, 0});
  ParsedRetriever parsed = retriever("[" + search() + "]");
  ExecuteOptions options;
  options.limit = 10;
  options.offset = 70;
  const Ids expected = ids(run(parsed, options));
  options.offset = 69;
  options.after_document_id = ids(run(parsed, options)).front();
  options.offset = 0;
  ExecutionResult page = run(parsed, options);
  EXPECT_EQ(ids(page), expected);
  EXPECT_EQ(page.offset, 70u);
  EXPECT_TRUE(page.has_more);
  options.after_document_id = "doc_absent";
  page = run(parsed, options);
  EXPECT_TRUE(page.results.empty());
  EXPECT_FALSE(page.has_more);
}

TEST_F(ExecutorTest, PagesOfAFusionAreOfOneRanking) {
  for (int i = 0; i < 200; ++i)
    add("col_a", fmt::format("doc_more_{:03}", i), {static_cast<float>(i), static_cast<float>((i * 37) % 101), 1});
  ParsedRetriever parsed = retriever(fmt::format(
      R"([{{"stage_id":"feature_search","parameters":{{"fusion":"dbsf","searches":[{{"feature_uri":"{0}","query":[1,0,0]}},{{"feature_uri":"{0}","query":[0,1,0]}}]}}}}])",
      kLetters));
  ExecuteOptions options;
  options.limit = 500;
  const Ids whole = ids(run(parsed, options));
  Ids pages;
  options.limit = 60;
  for (bool more = true; more; options.offset += 60) {
    ExecutionResult page = run(parsed, options);
    for (std::string& id : ids(page)) pages.push_back(std::move(id));
    more = page.has_more;
  }
  EXPECT_GT(whole.size(), 100u);
  EXPECT_EQ(pages, whole);
}

TEST_F(ExecutorTest, VectorsAndPresignedUrlsWhenAsked) {
  store_.tables["col_a"][0].payload = json::parse(R"({"text":"t","_internal":{"x":1},"source_blobs":[
    {"property":"content","key":"int_1/ns_1/blobs/1","url":"s3://b/cat.png","content_type":"image/png","filename":"cat.png"},{"property":"note","key":"int_1/ns_1/blobs/2"},
    {"property":"stolen","key":"int_2/ns_2/blobs/3"},{"property":"stolen","key":"int_1/ns_1/../../int_2/ns_2/blobs/3"}]})")
                                          .as_object();
  ParsedRetriever parsed = retriever("[" + search("", R"(,"final_top_k":1)") + "]");
  json::object plain = run(parsed).results.at(0);
  EXPECT_FALSE(plain.contains("source_blobs"));
  EXPECT_FALSE(plain.contains("_internal"));
  EXPECT_FALSE(plain.contains("vectors"));
  EXPECT_EQ(json::serialize(plain).find("i/ns/blobs"), std::string::npos) << "storage keys stay inside";
  EXPECT_EQ(
      plain.at("document_blobs").at(0),
      json::parse(
          R"({"field":"content","role":"source","type":"image","url":"s3://b/cat.png","filename":"cat.png","content_type":"image/png"})"));
  ExecuteOptions options;
  options.return_vectors = options.return_presigned_urls = true;
  json::object full = run(parsed, options).results.at(0);
  EXPECT_EQ(full.at("document_blobs").at(0).at("presigned_url"), "http://host/int_1/ns_1/blobs/1?signed");
  EXPECT_EQ(full.at("document_blobs").at(1).at("url"), "http://host/int_1/ns_1/blobs/2?signed");
  EXPECT_FALSE(full.at("document_blobs").at(2).as_object().contains("presigned_url")) << "of another tenant";
  EXPECT_FALSE(full.at("document_blobs").at(3).as_object().contains("presigned_url"));
  EXPECT_EQ(json::value(full.at("vectors").at("letters")), json::parse("[1.0,0.0,0.0]"));
}

TEST_F(ExecutorTest, ResultsLinkToTheirObject) {
  env_.object_url = [](const Lineage& lineage) { return "http://host/" + lineage.root_bucket_id + "/" + lineage.root_object_id; };
  Document& stored = store_.tables["col_a"][0];
  stored.lineage.root_bucket_id = "bkt_1";
  stored.lineage.root_object_id = "obj_1";
  stored.payload = {{"source", json::object{{"filename", "a.txt"}}}, {"source_blobs", json::array{json::object{{"property", "text"}}}}};
  json::object first = run(retriever("[" + search("", R"(,"final_top_k":1)") + "]")).results.at(0);
  EXPECT_EQ(first.at("source"), (json::object{{"filename", "a.txt"}, {"url", "http://host/bkt_1/obj_1"}}));
  EXPECT_EQ(first.at("document_blobs").at(0).at("url"), "http://host/bkt_1/obj_1");
}

TEST_F(ExecutorTest, PayloadMembersDoNotHideTheResults) {
  store_.tables["col_a"][0].payload = json::parse(R"({"score":99,"document_id":"fake","title":"kept"})").as_object();
  json::object first = run(retriever("[" + search("", R"(,"final_top_k":1)") + "]")).results.at(0);
  EXPECT_EQ(first.at("document_id"), "doc_0");
  EXPECT_EQ(first.at("score").as_double(), 1.0);
  EXPECT_EQ(first.at("title"), "kept");
}

TEST_F(ExecutorTest, TheBudgetStopsReadingAndSaysSo) {
  // The search takes 300 ms of 200: what it found is late, so nothing is found; the second search never starts.
  std::string stages = "[" + search() + "," + search("", "", R"("y")") + R"(,{"stage_id":"limit","parameters":{"limit":2}}])";
  store_.slow_us["col_a"] = 300'000;
  ParsedRetriever parsed = retriever(stages, {"col_a"}, R"({"budget_limits":{"max_time_ms":200}})");
  ExecutionResult result = run(parsed);
  EXPECT_TRUE(result.results.empty());
  EXPECT_EQ(result.status, "COMPLETED_WITH_ERRORS");
  EXPECT_TRUE(result.budget.at("exceeded").as_bool());
  EXPECT_EQ(result.budget.at("max_time_ms"), 200);
  EXPECT_GE(result.budget.at("time_used_ms").as_double(), 300);
  EXPECT_EQ(store_.searches, 1);
  EXPECT_NE(result.stages[1].error.find("time budget"), std::string::npos);
}

TEST_F(ExecutorTest, WhatWasFoundWithinTheBudgetIsShown) {
  add_collection("col_slow", {{}}, "cold");
  add("col_slow", "doc_slow", {1, 0, 0});
  env_.executor = nullptr;  // one after the other: col_a answers before col_slow
  store_.slow_us["col_slow"] = 300'000;
  std::string stages =
      "[" + search() +
      R"(,{"stage_id":"attribute_filter","parameters":{"field":"even","value":true}},{"stage_id":"limit","parameters":{"limit":2}}])";
  ExecutionResult result = run(retriever(stages, {"col_a", "col_slow"}, R"({"budget_limits":{"max_time_ms":200}})"));
  EXPECT_EQ(ids(result), (Ids{"doc_0", "doc_2"})) << "filters and cuts still hold";
  EXPECT_TRUE(result.budget.at("exceeded").as_bool());
  EXPECT_EQ(result.status, "COMPLETED_WITH_ERRORS");
  EXPECT_EQ(result.stages[0].metadata.at("warnings"), json::parse(R"(["Cold search failed for collection col_slow: timeout"])"));

  ExecutionResult enough = run(retriever(stages, {"col_a", "col_slow"}, R"({"budget_limits":{"max_time_ms":5000}})"));
  EXPECT_FALSE(enough.budget.at("exceeded").as_bool());
  EXPECT_EQ(enough.status, "COMPLETED");
}

TEST_F(ExecutorTest, TheLastStageMayUseUpTheBudget) {
  store_.slow_us["col_a"] = 300'000;
  ExecutionResult result = run(retriever("[" + search() + "]", {"col_a"}, R"({"budget_limits":{"max_time_ms":200}})"));
  EXPECT_TRUE(result.results.empty());
  EXPECT_TRUE(result.budget.at("exceeded").as_bool());
  EXPECT_EQ(result.status, "COMPLETED_WITH_ERRORS");
}

TEST_F(ExecutorTest, AStageMayBoundItsOwnTime) {
  add_collection("col_slow");
  add("col_slow", "doc_slow", {1, 0, 0});
  env_.executor = nullptr;
  store_.slow_us["col_slow"] = 300'000;
  ExecutionResult result = run(retriever("[" + search("", R"(,"hard_timeout_ms":100,"final_top_k":1)") + "]", {"col_a", "col_slow"}));
  EXPECT_EQ(ids(result), (Ids{"doc_0"}));
  EXPECT_FALSE(result.budget.at("exceeded").as_bool());
  EXPECT_EQ(result.warnings, (std::vector<std::string>{"Search failed for collection col_slow: timeout"}));
}

TEST_F(ExecutorTest, TheRequestsDeadlineIsAnError) {
  store_.slow_us["col_a"] = 300'000;
  context_.deadline_us = clock_.steady_us() + 200'000;
  Result<ExecutionResult> result = try_run(retriever("[" + search() + R"(,{"stage_id":"limit"}])"));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kTimeout);
}

TEST_F(ExecutorTest, OnErrorSkipLeavesTheStageOut) {
  std::string bad =
      R"({"stage_id":"feature_search","stage_name":"second","parameters":{"searches":[{"feature_uri":"mixpeek://image_extractor@v1/clip","query":"x"}]})";
  ExecutionResult result = run(retriever("[" + search("", R"(,"final_top_k":2)") + "," + bad + R"(,"on_error":"skip"}])"));
  EXPECT_EQ(ids(result), (Ids{"doc_0", "doc_1"}));
  EXPECT_EQ(result.status, "COMPLETED_WITH_ERRORS");
  EXPECT_NE(result.stages[1].error.find("clip"), std::string::npos);
  EXPECT_EQ(result.stages[1].output_count, 2u);
  Result<ExecutionResult> failed = try_run(retriever("[" + search() + "," + bad + "}]"));
  ASSERT_FALSE(failed.ok());
  EXPECT_TRUE(failed.error().message.starts_with("stage 'second': ")) << failed.error().message;
}

TEST_F(ExecutorTest, TheReplyHasBothShapes) {
  std::string stages = "[" + search() + R"(,{"stage_id":"limit","parameters":{"limit":4}},{"stage_id":"limit","parameters":{"limit":3}}])";
  ExecuteOptions options;
  options.limit = 2;
  options.explain = true;
  json::object list = to_json(run(retriever(stages), options), "ret_1", false);
  EXPECT_EQ(list.at("retriever_id"), "ret_1");
  EXPECT_EQ(list.at("results").as_array().size(), 2u);
  EXPECT_EQ(list.at("pagination"), json::parse(R"({"offset":0,"returned":2,"total":3,"has_more":true,"limit":2,"next_offset":2})"));
  const json::array& stages_list = list.at("stage_statistics").at("stages").as_array();
  EXPECT_EQ(stages_list[0].at("name"), "feature_search");
  EXPECT_EQ(stages_list[1].at("input_count"), 8);
  EXPECT_EQ(stages_list[1].at("output_count"), 4);
  EXPECT_DOUBLE_EQ(stages_list[1].at("efficiency").as_double(), 0.5);
  EXPECT_EQ(list.at("explain_plan").at("total_estimated_stages"), 3);
  json::object map = to_json(run(retriever(stages)), "ret_1", true);
  const json::object& by_name = map.at("stage_statistics").at("stages").as_object();
  EXPECT_TRUE(by_name.contains("feature_search"));
  EXPECT_EQ(by_name.at("limit").at("output_count"), 4);
  EXPECT_EQ(by_name.at("limit_2").at("output_count"), 3);
}

TEST_F(ExecutorTest, ExplainRunsNothing) {
  add_collection("col_cold", {{}}, "cold");
  ParsedRetriever parsed = retriever("[" + search("", R"(,"final_top_k":5)", R"("{{INPUT.q}}")") +
                                         R"(,{"stage_id":"attribute_filter","parameters":{"field":"n","value":"{{INPUT.n}}"}}])",
                                     {"col_a", "col_cold"}, R"({"input_schema":{"q":{"type":"text","required":true}}})");
  ExecuteOptions options;
  options.inputs = {{"n", 3}};
  Result<json::object> plan = explain(context_, env_, parsed, options);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(store_.searches + store_.scans + models_.letters->embedded, 0);
  EXPECT_EQ(plan->at("total_estimated_stages"), 2);
  const json::array& stages = plan->at("execution_plan").as_array();
  EXPECT_EQ(stages[0].at("estimated_input"), 8);
  EXPECT_EQ(stages[0].at("estimated_output"), 5);
  EXPECT_EQ(stages[0].at("warnings").as_array().size(), 1u);
  EXPECT_EQ(plan->at("optimization_suggestions").as_array().size(), 1u);
  const json::array& details = plan->at("optimization_details").at("stages").as_array();
  EXPECT_EQ(details[0].at("parameters").at("searches").at(0).at("query"), "{{INPUT.q}}");
  EXPECT_EQ(details[1].at("parameters").at("value"), 3);
  EXPECT_EQ(plan->at("optimization_details").at("collections").at(1).at("tier"), "cold");
}

}  // namespace
}  // namespace quarry::retrieval
