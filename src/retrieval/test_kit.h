// A namespace with collections over the fakes, for the tests of parser, executor and stages. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "retrieval/fakes.h"
#include "retrieval/retrieval.h"

namespace quarry::retrieval {

inline constexpr std::string_view kLetters = "mixpeek://text_extractor@v1/letters_v1";
inline constexpr std::string_view kOther = "mixpeek://text_extractor@v1/other_v1";

class RetrievalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) /
              ("retrieval_" + std::to_string(::getpid()) + "_" + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    auto opened = catalog::open_sqlite_catalog(folder_ / "catalog.db", clock_);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    catalog_ = std::move(opened).value();
    context_.organization_id = "org_1";
    context_.namespace_id = "ns_1";
    context_.internal_id = "int_1";
    context_.request_id = "req_1";
    context_.clock = &clock_;
    env_.catalog = catalog_.get();
    env_.vectors = &store_;
    env_.models = &models_;
    env_.executor = &executor_;
    env_.presign = [](const RequestContext&, std::string_view key) { return "http://host/" + std::string(key) + "?signed"; };
  }

  void TearDown() override {
    catalog_.reset();
    std::filesystem::remove_all(folder_);
  }

  struct Vector {
    std::string name = "letters";
    std::string_view uri = kLetters;
    std::string metric = "cosine";
  };

  void add_collection(const std::string& id, std::vector<Vector> vectors = {{}}, std::string_view state = "active") {
    json::array indexes;
    for (const Vector& v : vectors)
      indexes.push_back(json::object{
          {"name", v.name}, {"feature_uri", v.uri}, {"type", "dense"}, {"index", {{"dimensions", 3}, {"distance", v.metric}}}});
    json::object body{{"collection_id", id},
                      {"collection_name", id + "_name"},
                      {"lifecycle_state", state},
                      {"source", {{"type", "none"}}},
                      {"feature_extractor", {{"feature_extractor_name", "text_extractor"}, {"version", "v1"}}},
                      {"vector_indexes", std::move(indexes)}};
    catalog::Resource resource{.kind = std::string(catalog::kind::kCollection),
                               .id = id,
                               .organization_id = "org_1",
                               .namespace_id = "ns_1",
                               .parent_id = "",
                               .name = id + "_name",
                               .body = std::move(body)};
    Status inserted = catalog_->insert(resource);
    ASSERT_TRUE(inserted.ok()) << inserted.error().message;
    store_.tables[id];
    if (vectors.front().metric == "dot") store_.metrics[id] = mvs::Metric::kDot;
    if (vectors.front().metric == "euclidean") store_.metrics[id] = mvs::Metric::kEuclidean;
    if (state == "cold") store_.cold.insert(id);
  }

  void add(const std::string& collection, const std::string& id, std::vector<float> vector, std::string_view payload = "{}",
           std::vector<float> other = {}) {
    Document document;
    document.document_id = id;
    document.payload = json::parse(payload).as_object();
    document.vectors.push_back({"letters", std::move(vector)});
    if (!other.empty()) document.vectors.push_back({"other", std::move(other)});
    document.created_at = document.updated_at = clock_.now_us();
    store_.tables[collection].push_back(std::move(document));
  }

  static ParsedRetriever retriever(std::string_view stages, std::vector<std::string> collections = {"col_a"},
                                   std::string_view more = "{}") {
    json::object body = json::parse(more).as_object();
    body["retriever_name"] = "test";
    body["stages"] = json::parse(stages);
    body["collection_identifiers"] = json::array(collections.begin(), collections.end());
    Result<ParsedRetriever> parsed = parse_retriever(body);
    EXPECT_TRUE(parsed.ok()) << parsed.error().message;
    return parsed.ok() ? std::move(parsed).value() : ParsedRetriever{};
  }

  // One search of kLetters by the text given.
  static std::string search(std::string_view more = "", std::string_view stage_more = "", std::string_view query = R"("x")") {
    return fmt::format(R"({{"stage_id":"feature_search","parameters":{{"searches":[{{"feature_uri":"{}","query":{}{}}}]{}}}}})", kLetters,
                       query, more, stage_more);
  }

  Result<ExecutionResult> try_run(const ParsedRetriever& parsed, ExecuteOptions options = {}) {
    return execute(context_, env_, parsed, options);
  }

  ExecutionResult run(const ParsedRetriever& parsed, ExecuteOptions options = {}) {
    Result<ExecutionResult> result = try_run(parsed, std::move(options));
    EXPECT_TRUE(result.ok()) << result.error().message;
    return result.ok() ? std::move(result).value() : ExecutionResult{};
  }

  static std::vector<std::string> ids(const ExecutionResult& result) {
    std::vector<std::string> out;
    for (const json::object& document : result.results) out.emplace_back(document.at("document_id").as_string());
    return out;
  }

  using Ids = std::vector<std::string>;
  std::filesystem::path folder_;
  ManualClock clock_;
  std::unique_ptr<catalog::Catalog> catalog_;
  FakeStore store_{clock_};
  LetterModels models_;
  Executor executor_{"test", 2, 100};
  RequestContext context_;
  Environment env_;
};

}  // namespace quarry::retrieval
