#include <gtest/gtest.h>

#include "retrieval/retrieval.h"

namespace quarry::retrieval {
namespace {

Result<json::array> normal(std::string_view stages) { return normalize_stages(json::parse(stages).as_array()); }

const char* const kCanonical =
    R"([{"stage_name":"find","stage_type":"filter","config":{"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://text_extractor@v1/embedding","query":"{{INPUT.query}}","top_k":5}],"final_top_k":5}}}])";

// The same value with members in any order.
bool same(const json::value& a, const json::value& b) { return a == b; }

TEST(NormalizeStages, ThreeFormsAndOlderParameters) {
  const char* const forms[] = {
      kCanonical,
      R"([{"stage_name":"find","stage_type":"filter","stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://text_extractor@v1/embedding","query":"{{INPUT.query}}","top_k":5}],"final_top_k":5}}])",
      R"([{"stage_name":"find","stage_id":"feature_search","params":{"searches":[{"feature_uri":"mixpeek://text_extractor@v1/embedding","query":"{{INPUT.query}}","limit":5}],"limit":5}}])",
      R"([{"stage_name":"find","stage_type":"feature_search","parameters":{"feature_uri":"mixpeek://text_extractor@v1/embedding","query":"{{INPUT.query}}","limit":5}}])",
      R"([{"stage_name":"find","config":{"stage_id":"feature_search","params":{"feature_uri":"mixpeek://text_extractor@v1/embedding","query":"{{INPUT.query}}","top_k":5}}}])",
      R"([{"stage_name":"find","type":"feature_search","feature_extractor":{"type":"text"},"query":"{{INPUT.query}}","limit":5}])",
      R"([{"stage_name":"find","type":"feature_search","feature_extractor":"text_extractor_v1","query":"{{INPUT.query}}","limit":5,"description":null}])",
  };
  for (const char* form : forms) {
    SCOPED_TRACE(form);
    Result<json::array> stages = normal(form);
    ASSERT_TRUE(stages.ok()) << stages.error().message;
    EXPECT_TRUE(same(*stages, json::parse(kCanonical))) << json::serialize(*stages);
    Result<json::array> again = normalize_stages(*stages);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, *stages);
  }
}

TEST(NormalizeStages, QueriesAndSmallerForms) {
  struct Case {
    const char* parameters;
    const char* expected;
  };
  const Case cases[] = {
      {R"({"feature_uris":[{"uri":"mixpeek://a@v1/b","input":{"text":"hi"}}],"limit":9})",
       R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"text":"hi","input_mode":"text"}}],"final_top_k":9})"},
      {R"({"feature_uri":"mixpeek://a@v1/b","input":{"text":"{{INPUT.q}}"},"limit":9})",
       R"({"final_top_k":9,"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"text":"{{INPUT.q}}","input_mode":"text"},"top_k":9}]})"},
      {R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":[1,2,3]}]})",
       R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"input_mode":"vector","value":[1,2,3]}}]})"},
      {R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"vector":[1,2]}}]})",
       R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"value":[1,2],"input_mode":"vector"}}]})"},
      {R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"input":{"text":"t"}}}]})",
       R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"text":"t","input_mode":"text"}}]})"},
      {R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"document_id":"doc_1","collection_id":"col_1"}}]})",
       R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"input_mode":"document","document_ref":{"document_id":"doc_1","collection_id":"col_1"}}}]})"},
      {R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"input_mode":"document","value":"doc_1"}}]})",
       R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"input_mode":"document","document_ref":{"document_id":"doc_1"}}}]})"},
      {R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"value":"{{INPUT.anything}}"}}],"facets":["brand"],"group_by":{"field":"video","group_size":3}})",
       R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":{"value":"{{INPUT.anything}}"}}],"facets":[{"key":"brand"}],"group_by":{"field":"video","max_per_group":3}})"},
      {R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":"q","exact":true,"filters":{"lang":"en"},"min_score":null}],"collection_ids":["col_1"]})",
       R"({"searches":[{"feature_uri":"mixpeek://a@v1/b","query":"q","exact":true,"filters":{"lang":"en"}}],"collection_identifiers":["col_1"]})"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.parameters);
    Result<json::array> stages = normal(fmt::format(R"([{{"stage_id":"feature_search","parameters":{}}}])", c.parameters));
    ASSERT_TRUE(stages.ok()) << stages.error().message;
    const json::value& parameters = stages->at(0).at("config").at("parameters");
    EXPECT_EQ(parameters, json::parse(c.expected)) << json::serialize(parameters);
  }
}

TEST(NormalizeStages, OtherStages) {
  Result<json::array> stages = normal(R"([
    {"type":"attribute_filter","conditions":[{"field":"a","operator":"eq","value":1}]},
    {"stage_type":"sort","stage_id":"sort_attribute","parameters":{"sort_field":"price","order":"asc","null_handling":"first"}},
    {"stage_type":"reduce","stage_id":"sample","parameters":{"limit":10}},
    {"stage_id":"deduplicate","parameters":{"field":"url"},"on_error":"skip","output_alias":"unique"}
  ])");
  ASSERT_TRUE(stages.ok()) << stages.error().message;
  EXPECT_EQ(stages->at(0).at("stage_type"), "filter");
  EXPECT_EQ(stages->at(1).at("config").at("parameters"), json::parse(R"({"field":"price","direction":"asc","nulls_last":false})"));
  EXPECT_EQ(stages->at(2).at("config").at("parameters"), json::parse(R"({"count":10})"));
  EXPECT_EQ(stages->at(3).at("config").at("parameters"), json::parse(R"({"fields":["url"]})"));
  EXPECT_EQ(stages->at(3).at("on_error"), "skip");
  EXPECT_EQ(stages->at(3).at("output_alias"), "unique");
}

struct Refusal {
  const char* stage;
  ErrorKind kind;
  const char* location;  // "" where the error has no list
  const char* words;
};

TEST(NormalizeStages, Refusals) {
  const Refusal cases[] = {
      {R"({"stage_id":"rerank","parameters":{}})", ErrorKind::kNotImplemented, "", "'rerank' is not available yet"},
      {R"({"stage_id":"featur_search","parameters":{}})", ErrorKind::kValidation, R"(["body","stages",0])",
       "did you mean 'feature_search'"},
      {R"({"stage_name":"x"})", ErrorKind::kValidation, R"(["body","stages",0,"config"])", "stage_id"},
      {R"(7)", ErrorKind::kValidation, R"(["body","stages",0])", "must be an object"},
      {R"({"stage_type":"sort","stage_id":"limit"})", ErrorKind::kValidation, R"(["body","stages",0,"stage_type"])",
       "'reduce', not 'sort'"},
      {R"({"stage_id":"limit","parameters":{"limt":5}})", ErrorKind::kValidation, R"(["body","stages",0,"parameters","limt"])",
       "did you mean 'limit'"},
      {R"({"stage_id":"limit","paramters":{"limit":5}})", ErrorKind::kValidation, R"(["body","stages",0,"paramters"])",
       "did you mean 'parameters'"},
      {R"({"config":{"stage_id":"limit","limit":5}})", ErrorKind::kValidation, R"(["body","stages",0,"config","limit"])", "did you mean"},
      {R"({"config":{"stage_id":"limit","parameters":{"limit":0}}})", ErrorKind::kValidation,
       R"(["body","stages",0,"config","parameters","limit"])", "at least 1"},
      {R"({"config":{"stage_id":"limit","parameters":[1]}})", ErrorKind::kValidation, R"(["body","stages",0,"config","parameters"])",
       "must be an object"},
      {R"({"stage_id":"limit","on_error":"maybe"})", ErrorKind::kValidation, R"(["body","stages",0,"on_error"])", "'skip' or 'fail'"},
      {R"({"stage_id":"limit","stage_name":""})", ErrorKind::kValidation, R"(["body","stages",0,"stage_name"])", "1 to 255"},
      {R"({"stage_id":"limit","parameters":{"limit":"{{INPUT.n"}})", ErrorKind::kValidation, R"(["body","stages",0,"parameters","limit"])",
       "'}}' is missing"},
      {R"({"stage_id":"limit","parameters":{"limit":"{{secrets.n}}"}})", ErrorKind::kNotImplemented, "", "secrets"},
      {R"({"stage_id":"feature_search","parameters":{}})", ErrorKind::kValidation, R"(["body","stages",0,"parameters","searches"])",
       "is required"},
      {R"({"stage_id":"feature_search","parameters":{"searches":[]}})", ErrorKind::kValidation,
       R"(["body","stages",0,"parameters","searches"])", "at least 1"},
      {R"({"stage_id":"feature_search","parameters":{"searches":[{"query":"x"}]}})", ErrorKind::kValidation,
       R"(["body","stages",0,"parameters","searches",0,"feature_uri"])", "is required"},
      {R"({"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"nonsense","query":"x"}]}})", ErrorKind::kValidation,
       R"(["body","stages",0,"parameters","searches",0,"feature_uri"])", "mixpeek://"},
      {R"({"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://a@v1/b","query":"x","prefix":true}]}})",
       ErrorKind::kValidation, R"(["body","stages",0,"parameters","searches",0,"prefix"])", "lexical"},
      {R"({"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://bm25@v1/title","query":"x"}]}})",
       ErrorKind::kValidation, R"(["body","stages",0,"parameters","searches",0,"feature_uri"])", "mixpeek://bm25@v1/text"},
      {R"({"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://a@v1/b","query":"x","min_score":1.5}]}})",
       ErrorKind::kValidation, R"(["body","stages",0,"parameters","searches",0,"min_score"])", "at most 1"},
      {R"({"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://a@v1/b","query":"x"}],"fusion":"learned"}})",
       ErrorKind::kNotImplemented, "", "learned"},
      {R"({"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://a@v1/b","query":"x"}],"query_preprocessing":{}}})",
       ErrorKind::kNotImplemented, "", "preprocessing"},
      {R"({"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://a@v1/b","query":"x","filters":{"field":"a","operator":"equals","value":1}}]}})",
       ErrorKind::kValidation, R"(["body","stages",0,"parameters","searches",0,"filters","operator"])", "unknown operator"},
      {R"({"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://a@v1/b","query":"x","weight":0},{"feature_uri":"mixpeek://a@v1/b","query":"y","weight":0}]}})",
       ErrorKind::kValidation, R"(["body","stages",0,"parameters","searches"])", "weights"},
      {R"({"stage_id":"attribute_filter","parameters":{}})", ErrorKind::kValidation, R"(["body","stages",0,"parameters","conditions"])",
       "give 'conditions'"},
      {R"({"stage_id":"attribute_filter","parameters":{"field":"a","value":1,"conditions":{}}})", ErrorKind::kValidation,
       R"(["body","stages",0,"parameters","conditions"])", "not both"},
      {R"({"stage_id":"attribute_filter","parameters":{"natural_language":"cheap ones"}})", ErrorKind::kNotImplemented, "",
       "natural language"},
      {R"({"stage_id":"sample","parameters":{"strategy":"stratified"}})", ErrorKind::kValidation,
       R"(["body","stages",0,"parameters","stratify_by"])", "stratify_by"},
      {R"({"stage_id":"deduplicate","parameters":{}})", ErrorKind::kValidation, R"(["body","stages",0,"parameters","fields"])",
       "needs 'fields'"},
  };
  for (const Refusal& c : cases) {
    SCOPED_TRACE(c.stage);
    Result<json::array> stages = normal(fmt::format("[{}]", c.stage));
    ASSERT_FALSE(stages.ok());
    EXPECT_EQ(stages.error().kind, c.kind) << stages.error().message;
    EXPECT_NE(stages.error().message.find(c.words), std::string::npos) << stages.error().message;
    if (*c.location != '\0') {
      EXPECT_EQ(json::serialize(stages.error().details.at("validation_errors").at(0).at("location")), c.location);
    }
    if (c.kind == ErrorKind::kNotImplemented) {
      EXPECT_FALSE(stages.error().details.at("retryable").as_bool());
    }
  }
  EXPECT_FALSE(normal("[]").ok());
  json::array many(51, json::parse(R"({"stage_id":"limit"})"));
  EXPECT_FALSE(normalize_stages(many).ok());
}

TEST(ParseRetriever, ReadsEveryPart) {
  Result<ParsedRetriever> parsed = parse_retriever(json::parse(R"({
    "retriever_id":"ret_1","retriever_name":"r","collection_ids":["col_a","col_b","col_a"],
    "input_schema":{"properties":{"q":{"type":"text","required":true},"n":{"type":"integer","default":5}}},
    "budget_limits":{"max_time_ms":1500,"max_credits":2.5},
    "stages":[{"stage_id":"limit","stage_name":"top","parameters":{"limit":"{{INPUT.n}}"},"on_error":"raise"}]})")
                                                       .as_object());
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->retriever_id, "ret_1");
  EXPECT_EQ(parsed->collection_ids, (std::vector<std::string>{"col_a", "col_b"}));
  EXPECT_EQ(parsed->input_schema.properties.at("q").type, FieldType::kText);
  EXPECT_EQ(parsed->max_time_ms, 1500);
  EXPECT_EQ(parsed->max_credits, 2.5);
  ASSERT_EQ(parsed->stages.size(), 1u);
  EXPECT_EQ(parsed->stages[0].stage_name, "top");
  EXPECT_EQ(parsed->stages[0].category, StageCategory::kReduce);
  EXPECT_EQ(parsed->stages[0].on_error, "fail");

  Result<ParsedRetriever> bare = parse_retriever(
      json::parse(R"({"input_schema":{"q":{"type":"string"}},"budget_limits":{"max_time_ms":0},"stages":[{"stage_id":"limit"}]})")
          .as_object());
  ASSERT_TRUE(bare.ok()) << bare.error().message;
  EXPECT_TRUE(bare->input_schema.properties.contains("q"));
  EXPECT_FALSE(bare->max_time_ms.has_value());
  EXPECT_FALSE(parse_retriever(json::object{}).ok());
  EXPECT_FALSE(parse_retriever(json::parse(R"({"stages":[{"stage_id":"limit"}],"collection_identifiers":[5]})").as_object()).ok());
}

TEST(Stages, DefinitionsAreComplete) {
  std::vector<StageDefinition> stages = list_stages();
  EXPECT_EQ(stages.size(), 7u);
  for (const StageDefinition& stage : stages) {
    SCOPED_TRACE(stage.stage_id);
    EXPECT_FALSE(stage.description.empty());
    EXPECT_FALSE(stage.icon.empty());
    EXPECT_EQ(stage.parameter_schema.at("type"), "object");
    EXPECT_FALSE(stage.parameter_schema.at("properties").as_object().empty());
  }
}

}  // namespace
}  // namespace quarry::retrieval
