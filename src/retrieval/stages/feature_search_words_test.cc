// Searches by words through the stage, over the real store.
#include "objects/object_store.h"
#include "retrieval/fusion.h"
#include "retrieval/test_kit.h"

namespace quarry::retrieval {
namespace {

class WordSearchTest : public RetrievalTest {
 protected:
  void SetUp() override {
    RetrievalTest::SetUp();
    real_ = std::move(mvs::VectorStore::open({.store = objects_.get(), .executor = &executor_, .commit_window_us = 0})).value();
    env_.vectors = real_.get();
    make("col_a", {{"title", FieldType::kString}, {"text", FieldType::kText}, {"n", FieldType::kInteger}});
    make("col_b", {{"text", FieldType::kText}, {"n", FieldType::kInteger}});
    make("col_n", {{"n", FieldType::kInteger}});
    put("col_a", "a1", {1, 0, 0}, {{"title", "Heat pumps"}, {"text", "A pump moves heat from cold to warm"}, {"n", 1}});
    put("col_a", "a2", {0, 1, 0}, {{"title", "Error E42"}, {"text", "Code E42 means the pump is blocked; call for service"}, {"n", 2}});
    put("col_a", "a3", {1, 1, 0}, {{"title", "Warranty"}, {"text", "Service within two years is free"}, {"n", 2}});
    put("col_b", "b1", {0, 0, 1}, {{"text", "E42 again: blocked pumps"}, {"n", 3}});
  }

  void TearDown() override {
    real_.reset();
    RetrievalTest::TearDown();
  }

  void make(const std::string& id, std::vector<mvs::FieldSpec> fields) {
    add_collection(id);
    json::object properties;
    for (const auto& field : fields) properties[field.name] = json::object{{"type", to_string(field.type)}};
    Status changed = catalog_->write([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(catalog::Resource resource, session.find(catalog::kind::kCollection, {"org_1", "ns_1"}, id));
      resource.body["output_schema"] = json::object{{"properties", properties}};
      return session.replace(resource);
    });
    ASSERT_TRUE(changed.ok()) << changed.error().message;
    Status made =
        real_->create_table({id, "org/ns_1/" + id, {{"letters", std::string(kLetters), 3, mvs::Metric::kCosine}}, std::move(fields)});
    ASSERT_TRUE(made.ok()) << made.error().message;
  }

  void put(const std::string& collection, const std::string& id, std::vector<float> vector, json::object payload) {
    Document document;
    document.document_id = id;
    document.vectors = {{"letters", std::move(vector)}};
    document.payload = std::move(payload);
    mvs::WriteBatch batch;
    batch.upserts.push_back(std::move(document));
    ASSERT_TRUE(real_->write(collection, std::move(batch)).ok());
  }

  static std::string words(std::string_view query, std::string_view more = "", std::string_view stage = "") {
    return fmt::format(
        R"([{{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"mixpeek://bm25@v1/text","query":"{}"{}}}]{}}}}}])",
        query, more, stage);
  }

  Error refusal(const std::string& stages, std::vector<std::string> collections = {"col_a"}) {
    Result<ExecutionResult> result = try_run(retriever(stages, std::move(collections)));
    EXPECT_FALSE(result.ok());
    return result.ok() ? Error{} : result.error();
  }

  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
  std::unique_ptr<mvs::VectorStore> real_;
};

TEST_F(WordSearchTest, RanksByWords) {
  EXPECT_EQ(ids(run(retriever(words("e42 service")))), (Ids{"a2", "a3"}));
  EXPECT_EQ(ids(run(retriever(words("pumps", R"(,"operator":"and","fields":["title"])")))), (Ids{"a1"}));
  EXPECT_EQ(ids(run(retriever(words("call for service", R"(,"operator":"phrase")")))), (Ids{"a2"}));
  EXPECT_EQ(ids(run(retriever(words("warr", R"(,"prefix":true)")))), (Ids{"a3"}));
  EXPECT_EQ(ids(run(retriever(words("pump", R"(,"filters":{"AND":[{"field":"n","operator":"eq","value":2}]})")))), (Ids{"a2"}));
  EXPECT_EQ(ids(run(retriever(words("nothing of the kind")))), (Ids{"a2"})) << "'the' is a word like others";
  ExecutionResult one = run(retriever(words("warranty")));
  double score = one.results.at(0).at("score").as_double();
  EXPECT_GT(score, 0.5);
  EXPECT_TRUE(ids(run(retriever(words("warranty", fmt::format(R"(,"min_score":{})", score * 1.01))))).empty());
  // The forms that older clients write.
  EXPECT_EQ(ids(run(retriever("[" + search(R"(,"lexical":true)", "", R"("e42")") + "]"))), (Ids{"a2"}));
  EXPECT_EQ(
      ids(run(retriever(
          R"([{"stage_id":"feature_search","parameters":{"feature_uri":"mixpeek://text_extractor@v1/bm25_sparse","query":"e42"}}])"))),
      (Ids{"a2"}));
}

TEST_F(WordSearchTest, SearchesTheCollectionsThatHaveTexts) {
  const std::vector<std::string> all{"col_a", "col_b", "col_n"};
  ExecutionResult result = run(retriever(words("e42"), all));
  Ids found = ids(result);
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (Ids{"a2", "b1"}));
  EXPECT_EQ(ids(run(retriever(words("pumps", R"(,"fields":["title"])"), all))), (Ids{"a1"}));
  result = run(retriever(words("pump service", "", R"(,"group_by":{"field":"n","max_per_group":2,"limit":5})"), all));
  EXPECT_EQ(ids(result).size(), 4u);
}

// Each fusion, against fuse() over the two rankings alone.
TEST_F(WordSearchTest, FusesWithVectors) {
  for (const char* fusion : {"rrf", "dbsf", "weighted", "max"}) {
    SCOPED_TRACE(fusion);
    std::vector<RankedList> lists(2);
    std::map<std::string, uint32_t> index;
    std::vector<std::string> names;
    ExecutionResult alone[2] = {run(retriever("[" + search("", "", R"("xy")") + "]")), run(retriever(words("service e42")))};
    for (int i = 0; i < 2; ++i) {
      lists[i].weight = i == 0 ? 0.7 : 0.3;
      for (const json::object& row : alone[i].results) {
        const auto [at, is_new] = index.try_emplace(std::string(row.at("document_id").as_string()), uint32_t(names.size()));
        if (is_new) names.push_back(at->first);
        lists[i].hits.push_back({at->second, row.at("score").as_double()});
      }
    }
    ASSERT_EQ(lists[1].hits.size(), 2u);
    const std::vector<double> wanted = fuse(parse_fusion(fusion).value(), lists, names.size());
    ExecutionResult both = run(retriever(fmt::format(
        R"([{{"stage_id":"feature_search","parameters":{{"fusion":"{}","searches":[{{"feature_uri":"{}","query":"xy","weight":0.7}},{{"feature_uri":"{}","lexical":true,"query":"service e42","weight":0.3}}]}}}}])",
        fusion, kLetters, kLetters)));
    ASSERT_EQ(both.results.size(), names.size());
    for (const json::object& row : both.results) {
      const std::string id(row.at("document_id").as_string());
      EXPECT_NEAR(row.at("score").as_double(), wanted[index.at(id)], 1e-12) << id;
      EXPECT_EQ(row.at("_feature_scores").as_object().contains("mixpeek://bm25@v1/text"), id == "a2" || id == "a3") << id;
      EXPECT_TRUE(row.at("_feature_scores").as_object().contains(kLetters));
    }
  }
}

TEST_F(WordSearchTest, RefusesWhatItCannotAnswer) {
  Error error = refusal(words("x", R"(,"fields":["n"])"));
  EXPECT_EQ(error.kind, ErrorKind::kBadRequest);
  EXPECT_NE(error.message.find("text, title"), std::string::npos) << error.message;
  EXPECT_EQ(refusal(words("x"), {"col_n"}).kind, ErrorKind::kBadRequest);
  EXPECT_EQ(refusal(words("")).kind, ErrorKind::kValidation);
  EXPECT_EQ(refusal("[" + search(R"(,"lexical":true)", "", "[1,0,0]") + "]").kind, ErrorKind::kValidation);
  EXPECT_TRUE(ids(run(retriever(words("x", R"(,"optional":true)"), {"col_n"}))).empty());
}

}  // namespace
}  // namespace quarry::retrieval
