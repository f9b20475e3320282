#include <gmock/gmock.h>

#include "service/test_service_world.h"

namespace quarry::service {
namespace {

using testing::HasSubstr;

class RetrieversTest : public ServiceWorld {
 protected:
  void SetUp() override {
    ServiceWorld::SetUp();
    client_ = with_namespace(first_, "books");
    notes_ = direct_collection(client_, "notes");
    for (int i = 0; i < 8; ++i)
      add_document(client_, notes_, {{"document_id", "d" + std::to_string(i)}, {"n", i}, {"vectors", {{"v", {1.0, 0.1 * i, 0.0}}}}});
  }
  static json::object search_stage(int top_k = 8) {
    json::object search{{"feature_uri", "mixpeek://passthrough_extractor@v1/v"},
                        {"query", {{"input_mode", "vector"}, {"value", "{{INPUT.vector}}"}}},
                        {"top_k", top_k}};
    return {{"stage_name", "find"},
            {"stage_type", "filter"},
            {"config", {{"stage_id", "feature_search"}, {"parameters", {{"searches", json::array{search}}, {"final_top_k", top_k}}}}}};
  }
  std::string make_retriever(const std::string& name, json::object more = {}) {
    json::object body{{"retriever_name", name},
                      {"collection_identifiers", {"notes"}},
                      {"stages", json::array{search_stage()}},
                      {"input_schema", {{"vector", {{"type", "array"}, {"required", true}}}}}};
    for (const auto& member : more) body[member.key()] = member.value();
    return std::string(string_member(ok(client_, "create_retriever", {.body = body}), "retriever_id"));
  }
  Call of(const std::string& id, json::value body = {}) { return {.path = {{"retriever_id", id}}, .body = std::move(body)}; }
  json::object question(json::object more = {}) {
    more["inputs"] = json::object{{"vector", {1, 0, 0}}};
    return more;
  }
  static std::vector<std::string> ids_of(const json::object& reply) {
    std::vector<std::string> ids;
    for (const auto& row : reply.at("results").as_array()) ids.emplace_back(row.at("document_id").as_string());
    return ids;
  }

  Client client_;
  std::string notes_;
};

TEST_F(RetrieversTest, StoresTheSecondFormAndShowsTheContracts) {
  json::object flat{
      {"stage_type", "filter"}, {"stage_id", "attribute_filter"}, {"parameters", {{"field", "n"}, {"operator", "gte"}, {"value", 3}}}};
  std::string id = make_retriever("byn", {{"stages", json::array{flat}}, {"input_schema", {{"properties", {{"q", {{"type", "text"}}}}}}}});
  json::object shown = ok(client_, "get_retriever", of("byn"));
  EXPECT_EQ(string_member(shown, "retriever_id"), id);
  json::object stage = shown["stages"].as_array()[0].as_object();
  EXPECT_EQ(stage["config"].as_object()["stage_id"], "attribute_filter");
  EXPECT_EQ(stage["parameters"], stage["config"].as_object()["parameters"]);
  EXPECT_EQ(shown["collection_ids"], (json::array{notes_}));
  EXPECT_TRUE(shown["input_schema"].as_object().contains("q"));
  EXPECT_EQ(shown["fusion"], "rrf");
  EXPECT_EQ(shown["version"], 1);
}

TEST_F(RetrieversTest, BadDefinitions) {
  auto kind_of = [&](json::object more) {
    json::object body{{"retriever_name", "r"}, {"collection_identifiers", {"notes"}}, {"stages", json::array{search_stage()}}};
    for (const auto& member : more) body[member.key()] = member.value();
    return error_of(client_, "create_retriever", {.body = body});
  };
  EXPECT_EQ(kind_of({{"retriever_name", "execute"}}), ErrorKind::kValidation);
  EXPECT_EQ(kind_of({{"collection_identifiers", {"none"}}}), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of({{"stages", json::array{}}}), ErrorKind::kValidation);
  EXPECT_EQ(kind_of({{"stages", json::array{json::object{{"stage_id", "no_such_stage"}}}}}), ErrorKind::kValidation);
  EXPECT_EQ(kind_of({{"visibility", "public"}}), ErrorKind::kNotImplemented);
  EXPECT_EQ(kind_of({{"cache_config", {{"enabled", true}, {"ttl_seconds", 0}}}}), ErrorKind::kValidation);
  EXPECT_EQ(kind_of({{"cache_config", {{"enabled", true}, {"cache_stage_names", {"nothing"}}}}}), ErrorKind::kValidation);
  make_retriever("taken");
  EXPECT_EQ(kind_of({{"retriever_name", "taken"}}), ErrorKind::kAlreadyExists);
}

TEST_F(RetrieversTest, ExecuteRanksAndReports) {
  std::string id = make_retriever("near");
  auto reply = call(client_, "execute_retriever", of(id, question({{"limit", 3}})));
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  json::object body = reply->body.as_object();
  EXPECT_EQ(ids_of(body), (std::vector<std::string>{"d0", "d1", "d2"}));
  EXPECT_EQ(body["status"], "COMPLETED");
  EXPECT_EQ(body["results"].as_array()[0].as_object()["_source_tier"], "active");
  ASSERT_TRUE(body["stage_statistics"].as_object()["stages"].is_array());
  EXPECT_EQ(body["stage_statistics"].as_object()["stages"].as_array()[0].as_object()["name"], "find");
  EXPECT_TRUE(body["budget"].is_object());
  EXPECT_EQ(error_of(client_, "execute_retriever", of(id, {{"inputs", json::object{}}})), ErrorKind::kValidation);
  EXPECT_EQ(error_of(client_, "execute_retriever", of(id, {{"inputs", {{"vector", {1, 0}}}}})), ErrorKind::kBadRequest);
  EXPECT_EQ(error_of(client_, "execute_retriever", of("ret_none", question())), ErrorKind::kNotFound);
  EXPECT_EQ(error_of(client_, "execute_retriever", of(id, question({{"stream", true}}))), ErrorKind::kNotImplemented);
}

TEST_F(RetrieversTest, StatisticsAsAMapForContractClients) {
  std::string id = make_retriever("near");
  for (auto [name, value] : {std::pair{"x-response-shape", "contract"}, std::pair{"user-agent", "OpenAPI-Generator/1.0.0/python"}}) {
    Call asked = of(id, question());
    asked.headers[name] = value;
    EXPECT_TRUE(ok(client_, "execute_retriever", asked)["stage_statistics"].as_object()["stages"].as_object().contains("find")) << name;
  }
}

TEST_F(RetrieversTest, EveryPagingMethodVisitsAllOnce) {
  std::string id = make_retriever("near");
  const std::vector<std::string> expected{"d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"};
  for (std::string method : {"offset", "cursor", "keyset", "scroll"}) {
    std::vector<std::string> seen;
    json::object pagination{{"method", method}, {method == "offset" ? "page_size" : "limit", 3}};
    for (int page = 1; page <= 5; ++page) {
      if (method == "offset") pagination["page_number"] = page;
      json::object body = ok(client_, "execute_retriever", of(id, question({{"pagination", pagination}})));
      for (auto& found : ids_of(body)) seen.push_back(found);
      json::object next = body["pagination"].as_object();
      if (!next["has_more"].as_bool()) break;
      if (method == "cursor") pagination["cursor"] = next["next_cursor"];
      if (method == "keyset") pagination["after"] = next["next_after"];
      if (method == "scroll") pagination["scroll_id"] = next["scroll_id"];
    }
    EXPECT_EQ(seen, expected) << method;
  }
}

TEST_F(RetrieversTest, CursorsAreBoundToTheirRetriever) {
  std::string one = make_retriever("one"), two = make_retriever("two");
  json::object body = ok(client_, "execute_retriever", of(one, question({{"pagination", {{"method", "cursor"}, {"limit", 3}}}})));
  json::object next{{"method", "cursor"}, {"limit", 3}, {"cursor", body["pagination"].as_object()["next_cursor"]}};
  EXPECT_EQ(error_of(client_, "execute_retriever", of(two, question({{"pagination", next}}))), ErrorKind::kBadRequest);
  json::object scroll =
      ok(client_, "execute_retriever", of(one, question({{"pagination", {{"method", "scroll"}, {"limit", 3}, {"scroll_ttl", 60}}}})));
  clock_.advance_us(61'000'000);
  json::object late{{"method", "scroll"}, {"scroll_id", scroll["pagination"].as_object()["scroll_id"]}};
  EXPECT_EQ(error_of(client_, "execute_retriever", of(one, question({{"pagination", late}}))), ErrorKind::kBadRequest);
}

TEST_F(RetrieversTest, CachingHitsUntilTheDataChanges) {
  std::string id = make_retriever("cached", {{"cache_config", {{"enabled", true}, {"ttl_seconds", 60}}}});
  auto header = [](const Reply& reply, std::string_view name) {
    for (const auto& [key, value] : reply.headers)
      if (key == name) return value;
    return std::string();
  };
  Reply first = call(client_, "execute_retriever", of(id, question())).value();
  EXPECT_EQ(header(first, "X-Cache"), "MISS");
  Reply second = call(client_, "execute_retriever", of(id, question())).value();
  EXPECT_EQ(header(second, "X-Cache"), "HIT");
  EXPECT_EQ(second.body.as_object()["cache_hit"], true);
  EXPECT_EQ(header(second, "Cache-Control"), "private, max-age=60");
  Call conditional = of(id, question());
  conditional.headers["if-none-match"] = header(first, "ETag");
  EXPECT_EQ(call(client_, "execute_retriever", conditional).value().status, 304);
  add_document(client_, notes_, {{"document_id", "new"}, {"vectors", {{"v", {1, 0, 0}}}}});
  Reply third = call(client_, "execute_retriever", conditional).value();
  EXPECT_EQ(third.status, 200);
  EXPECT_EQ(header(third, "X-Cache"), "MISS");
  EXPECT_NE(header(third, "ETag"), header(first, "ETag"));
  clock_.advance_us(61'000'000);
  EXPECT_EQ(header(call(client_, "execute_retriever", of(id, question())).value(), "X-Cache"), "MISS");
}

// As on a full disk.
class UnwritableCatalog final : public catalog::Catalog {
 public:
  explicit UnwritableCatalog(std::unique_ptr<catalog::Catalog> base) : base_(std::move(base)) {}
  Status write(const std::function<Status(catalog::Session&)>&) override { return Error{ErrorKind::kStorage, "the disk is full"}; }
  Status read(const std::function<Status(catalog::Session&)>& body) override { return base_->read(body); }
  std::string describe() const override { return base_->describe(); }

 private:
  std::unique_ptr<catalog::Catalog> base_;
};

TEST_F(RetrieversTest, ReadsGoOnWhenNothingCanBeWritten) {
  std::string id = make_retriever("near");
  json::object before = ok(client_, "execute_retriever", of(id, question()));
  api_.reset();  // writes the record
  catalog_ = std::make_unique<UnwritableCatalog>(std::move(catalog_));
  open_api();
  ok(client_, "execute_retriever", of(id, question()));
  EXPECT_EQ(ok(client_, "list_executions_retrievers", of(id))["results"].as_array().size(), 1u);
  Call one = of(id);
  one.path["execution_id"] = std::string(string_member(before, "execution_id"));
  ok(client_, "get_execution_retrievers", one);
  ok(client_, "list_adhoc_executions_retrievers");
  ok(client_, "typeahead_retrievers", {.query = {{"q", "a"}}});
}

TEST_F(RetrieversTest, CachedStagesAreAllOrNone) {
  json::object cache{{"enabled", true}, {"cache_stage_names", {"find"}}};
  make_retriever("whole", {{"cache_config", cache}});
  json::object limit{{"stage_name", "cut"}, {"stage_id", "limit"}, {"parameters", {{"limit", 3}}}};
  EXPECT_EQ(error_of(client_, "patch_retriever", of("whole", {{"stages", json::array{search_stage(), limit}}})),
            ErrorKind::kNotImplemented);
  cache["cache_stage_names"] = json::array{"cut", "find"};
  ok(client_, "patch_retriever", of("whole", {{"stages", json::array{search_stage(), limit}}, {"cache_config", cache}}));
}

TEST_F(RetrieversTest, ExecutionsAreRecorded) {
  std::string id = make_retriever("near");
  json::object done = ok(client_, "execute_retriever", of(id, question({{"limit", 2}})));
  EXPECT_FALSE(call(client_, "execute_retriever", of(id, {{"inputs", {{"vector", {1, 0}}}}})).ok());
  json::object listed = ok(client_, "list_executions_retrievers", of(id));
  EXPECT_EQ(listed["pagination"].as_object()["total"], 2);
  EXPECT_EQ(ok(client_, "list_executions_retrievers", of(id, {{"status", "failed"}}))["results"].as_array().size(), 1u);
  Call one{.path = {{"retriever_id", id}, {"execution_id", std::string(string_member(done, "execution_id"))}}};
  json::object detail = ok(client_, "get_execution_retrievers", one);
  EXPECT_EQ(detail["total_returned"], 2);
  EXPECT_EQ(detail["documents_retained"], false);
  EXPECT_EQ(ok(client_, "get_execution_status_retrievers", one)["status"], "COMPLETED");
  EXPECT_EQ(ok(client_, "get_execution_profile_retrievers", one)["bottleneck_stage"], "find");
  std::string other = make_retriever("other");
  one.path["retriever_id"] = other;
  EXPECT_EQ(error_of(client_, "get_execution_retrievers", one), ErrorKind::kNotFound);
}

TEST_F(RetrieversTest, RecordsAreBounded) {
  std::string id = make_retriever("near");
  for (int i = 0; i < 270; ++i) ok(client_, "execute_retriever", of(id, question({{"limit", 1}})));
  auto total = ok(client_, "list_executions_retrievers", of(id))["pagination"].as_object()["total"].to_number<int>();
  EXPECT_GE(total, 200);
  EXPECT_LE(total, 250);
}

TEST_F(RetrieversTest, BatchAnswersEachQuery) {
  std::string id = make_retriever("near");
  json::array queries{json::object{{"inputs", {{"vector", {1, 0, 0}}}}}, json::object{{"inputs", json::object{}}},
                      json::object{{"inputs", {{"vector", {1, 0, 0}}}},
                                   {"filters", {{"AND", json::array{json::object{{"field", "n"}, {"operator", "eq"}, {"value", 5}}}}}}}};
  json::object reply = ok(client_, "execute_batch_retrievers", of(id, {{"queries", queries}}));
  auto results = reply["results"].as_array();
  EXPECT_EQ(results[0].as_object()["results"].as_array().size(), 8u);
  EXPECT_EQ(results[1].as_object()["status"], "FAILED");
  EXPECT_EQ(ids_of(results[2].as_object()), (std::vector<std::string>{"d5"}));
  EXPECT_EQ(reply["failed"], 1);
}

TEST_F(RetrieversTest, PatchParsesAgainAndCountsVersions) {
  std::string id = make_retriever("near");
  ok(client_, "execute_retriever", of(id, question()));
  json::object changed =
      ok(client_, "patch_retriever", of(id, {{"stages", json::array{search_stage(2)}}, {"description", "two"}}))["retriever"].as_object();
  EXPECT_EQ(changed["version"], 2);
  EXPECT_EQ(ids_of(ok(client_, "execute_retriever", of(id, question()))).size(), 2u);
  ok(client_, "patch_retriever", of(id, ok(client_, "get_retriever", of(id))));  // a reply sent back
  auto unknown = call(client_, "patch_retriever", of(id, {{"stage", 1}}));
  EXPECT_THAT(unknown.error().message, HasSubstr("'stages'"));
}

TEST_F(RetrieversTest, CloneExplainDelete) {
  std::string id = make_retriever("near");
  json::object cloned = ok(client_, "clone_retriever", of(id, {{"retriever_name", "copy"}}));
  EXPECT_EQ(string_member(cloned, "source_retriever_id"), id);
  json::object plan = ok(client_, "explain_retriever_execution_id_execute", of("copy", question()));
  EXPECT_EQ(plan["retriever_name"], "copy");
  EXPECT_EQ(plan["total_estimated_stages"], 1);
  ok(client_, "execute_retriever", of(id, question()));
  ok(client_, "delete_retriever", of(id));
  EXPECT_EQ(error_of(client_, "get_retriever", of(id)), ErrorKind::kNotFound);
  EXPECT_EQ(ok(client_, "list_retrievers__retrievers")["total"], 1);
}

TEST_F(RetrieversTest, AdhocReadsTheNamespaceWhenNoCollectionIsNamed) {
  json::object reply = ok(client_, "execute_adhoc_retriever", {.body = question({{"stages", json::array{search_stage(2)}}})});
  EXPECT_EQ(ids_of(reply), (std::vector<std::string>{"d0", "d1"}));
  json::object listed = ok(client_, "list_adhoc_executions_retrievers");
  ASSERT_EQ(listed["total"], 1);
  Call one{.path = {{"execution_id", std::string(string_member(reply, "execution_id"))}}};
  EXPECT_EQ(ok(client_, "get_adhoc_execution_retrievers", one)["execution_mode"], "adhoc");
}

TEST_F(RetrieversTest, RetrieverFollowsARenamedCollection) {
  std::string id = make_retriever("near");
  ok(client_, "update_collection", {.path = {{"collection_identifier", "notes"}}, .body = {{"collection_name", "renamed"}}});
  EXPECT_EQ(ids_of(ok(client_, "execute_retriever", of(id, question()))).size(), 8u);
}

TEST_F(RetrieversTest, Typeahead) {
  add_document(client_, notes_, {{"document_id", "w"}, {"title", "White Whale"}});
  ok(client_, "execute_adhoc_retriever",
     {.body = {{"inputs", {{"query", "whales at sea"}, {"vector", {1, 0, 0}}}}, {"stages", json::array{search_stage()}}}});
  json::object reply = ok(client_, "typeahead_retrievers", {.query = {{"q", "whale"}, {"fields", "title,n"}}});
  EXPECT_EQ(reply["values"], (json::array{json::object{{"field", "title"}, {"value", "White Whale"}, {"count", 1}}}));
  EXPECT_EQ(reply["recent_searches"], (json::array{"whales at sea"}));
  EXPECT_EQ(ok(client_, "typeahead_retrievers", {.query = {{"q", "NOT"}}})["collections"].as_array().size(), 1u);
}

TEST_F(RetrieversTest, StagesAreListed) {
  auto stages = ok(client_, "list_stages_retrievers")["list"].as_array();
  EXPECT_GE(stages.size(), 7u);
  for (const auto& stage : stages) EXPECT_TRUE(stage.as_object().contains("parameter_schema"));
}

}  // namespace
}  // namespace quarry::service
