#include "http/contract.h"

#include <gtest/gtest.h>

#include "api/embedded.h"
#include "http/fake_api.h"
#include "http/validator.h"

namespace quarry::http {
namespace {

const ContractDocument& contract() {
  static const std::shared_ptr<const ContractDocument> document = [] {
    auto parsed = ContractDocument::parse(api::openapi_json());
    QUARRY_CHECK(parsed.ok());
    return *parsed;
  }();
  return *document;
}

const Operation& operation(std::string_view id) {
  for (const Operation& candidate : contract().operations())
    if (candidate.id == id) return candidate;
  ADD_FAILURE() << "no operation " << id;
  return contract().operations()[0];
}

TEST(ContractDocument, EveryOperationCompiles) {
  EXPECT_GE(contract().operations().size(), 419u);
  for (const Operation& op : contract().operations()) {
    auto schemas = contract().schemas(op);
    ASSERT_TRUE(schemas.ok()) << op.id << ": " << schemas.error().message;
    EXPECT_EQ((*schemas)->body != nullptr, op.body == BodyKind::kJson) << op.id;
    for (const Parameter& parameter : (*schemas)->path) EXPECT_NE(parameter.schema, nullptr) << op.id;
  }
}

TEST(ContractDocument, EveryPathLeadsToItsOperation) {
  for (const Operation& op : contract().operations()) {
    std::string path;
    for (size_t i = 0, open = 0; i < op.path.size(); ++i) {
      if (op.path[i] == '{')
        path += "x" + std::to_string(open++), i = op.path.find('}', i);
      else
        path += op.path[i];
    }
    auto match = contract().router().match(op.method, path);
    ASSERT_TRUE(match.ok()) << op.id;
    EXPECT_EQ(match->route, op.index) << op.id;
    EXPECT_EQ(match->path_values.size(), op.path_names.size()) << op.id;
  }
}

TEST(ContractDocument, AdmissionsAsStated) {
  using Scope = service::Admission::Scope;
  EXPECT_EQ(operation("healthcheck_health").admission.scope, Scope::kPublic);
  EXPECT_TRUE(operation("healthcheck_health").runs_inline);
  EXPECT_EQ(operation("create_bucket").admission.scope, Scope::kNamespace);
  EXPECT_EQ(operation("create_bucket").admission.permission, kWrite);
  EXPECT_EQ(operation("list_buckets").admission.permission, kRead);
  EXPECT_EQ(operation("delete_bucket").admission.permission, kDelete);
  EXPECT_EQ(operation("create_namespace").admission.scope, Scope::kOrganization);
  EXPECT_EQ(operation("create_user_organizations").admission.permission, kAdmin);
  EXPECT_EQ(operation("put_presigned").body, BodyKind::kRaw);
}

TEST(ContractDocument, CoverageListsBuiltAndUnbuilt) {
  FakeApi api;
  api.bind("create_bucket", [](const RequestContext&, const service::Request&) -> Result<service::Reply> { return service::Reply(); });
  std::string text = contract().coverage(api);
  EXPECT_NE(text.find("buckets (1 of 7)"), std::string::npos);
  EXPECT_NE(text.find("  built  POST   /v1/buckets create_bucket\n"), std::string::npos);
  EXPECT_NE(text.find("  501    GET    /v1/buckets list_buckets_get\n"), std::string::npos);
  EXPECT_NE(text.find("total: 1 of "), std::string::npos);
}

TEST(ContractDocument, RefusesBrokenDocuments) {
  for (const char* text :
       {"", "[]", "{}", R"({"paths": 3})", R"({"paths": {"/a": {"get": {}}}})", R"({"paths": {"/a": {"fetch": {"operationId": "x"}}}})",
        R"({"paths": {"/a": {"get": {"operationId": "x", "x-quarry": {"scope": "galaxy", "permission": "read"}}}}})",
        R"({"paths": {"/a": {"get": {"operationId": "x", "tags": [1], "x-quarry": {"scope": "public", "permission": "read"}}}}})"}) {
    auto document = ContractDocument::parse(text);
    EXPECT_FALSE(document.ok()) << text;
  }
}

// Bodies that clients are known to send, old forms and new ones.
struct Known {
  const char *operation, *body;
};

class KnownBodies : public testing::TestWithParam<Known> {};

TEST_P(KnownBodies, AreAccepted) {
  auto schemas = contract().schemas(operation(GetParam().operation));
  ASSERT_TRUE(schemas.ok());
  ASSERT_NE((*schemas)->body, nullptr);
  json::value body = json::parse(GetParam().body);
  Status status = validate_value(*(*schemas)->body, body, "body");
  EXPECT_TRUE(status.ok()) << json::serialize(status.error().details);
}

INSTANTIATE_TEST_SUITE_P(
    Clients, KnownBodies,
    testing::Values(
        Known{"create_bucket",
              R"({"bucket_name":"b","bucket_schema":{"properties":{"title":{"type":"string","required":true},"text":{"type":"text"}}}})"},
        Known{"create_bucket", R"({"bucket_name":"b","schema":{"title":{"type":"text"}}})"},
        Known{
            "create_collection",
            R"({"collection_name":"c","source":{"type":"bucket","bucket_ids":["bkt_1"]},"feature_extractor":{"feature_extractor_name":"text_extractor_v1",
              "input_mappings":{"text":"content"},"parameters":{"split_by":"sentences","chunk_size":5,"chunk_overlap":1}}})"},
        Known{"create_collection", R"({"collection_name":"c","source":{"type":"bucket","bucket_ids":["bkt_1"]},
              "feature_extractor":{"feature_extractor_name":"text_extractor","version":"v1","params":{}}})"},
        Known{
            "create_collection",
            R"({"collection_name":"c","source":{"type":"none"},"feature_extractor":{"feature_extractor_name":"mine","params":{"anything":1}}})"},
        Known{
            "create_object_buckets",
            R"({"key_prefix":"/a","blobs":[{"property":"text","type":"text","data":"hello"},{"property":"meta","type":"object","data":{"a":1}}],
              "metadata":{"n":1},"title":"x"})"},
        Known{"create_retriever",
              R"({"retriever_name":"r","collection_ids":["col_1"],"input_schema":{"properties":{"query":{"type":"text","required":true}}},
              "stages":[{"stage_name":"search","stage_type":"filter","config":{"stage_id":"feature_search","parameters":{"searches":[{"feature_uri":"mixpeek://text_extractor@v1/embedding",
              "query":"{{INPUT.query}}","top_k":10}],"final_top_k":5}}}],"cache_config":{"enabled":true,"ttl_seconds":60,"cache_stage_names":["search"]}})"},
        Known{"create_retriever", R"({"retriever_name":"r","collection_identifiers":["col_1"],"input_schema":{"query":{"type":"string"}},
              "stages":[{"stage_type":"filter","stage_id":"feature_search","parameters":{"searches":[]}}]})"},
        Known{
            "create_retriever",
            R"({"retriever_name":"r","stages":[{"type":"feature_search","feature_extractor":{"type":"text"},"query":"{{INPUT.q}}","collection_ids":["c"],"limit":5},
              {"type":"attribute_filter","conditions":[{"field":"a","operator":"eq","value":1}]}]})"},
        Known{"execute_retriever", R"({"inputs":{"query":"x"},"settings":{"limit":5},"page":1,"page_size":10})"},
        Known{
            "list_documents",
            R"({"filters":{"AND":[{"field":"a","operator":"exists"},{"OR":[{"field":"b","operator":"in","value":[1,2]},{"status":"x"}]}]},"limit":5})"},
        Known{"list_documents", R"({"filters":[{"field":"a","operator":"eq","value":"x"}]})"},
        Known{"list_documents", R"({"filters":{"category":"news","year":2020},"cursor":null})"},
        Known{"create_standalone_namespace",
              R"({"namespace_name":"mine","vector_configs":[{"name":"v","dimension":3,"metric":"cosine"}]})"},
        Known{
            "upsert_documents_byo_namespaces",
            R"({"documents":[{"document_id":"1","vectors":{"v":[1,2,3],"s":{"indices":[1],"values":[0.5]},"m":[[1,2],[3,4]]},"payload":{"a":null}}]})"},
        Known{"feature_search",
              R"({"query":{"input_mode":"vector","vector":[1,2,3]},"feature_uri":"mixpeek://x@v1/y","exact":true,"filters":{"a":1}})"},
        Known{"transition_lifecycle", R"({"lifecycle_state":"cold","async_transition":false})"},
        Known{
            "update_collection",
            R"({"tiering_rules":[{"rule_type":"auto_evict","enabled":true,"threshold_days":30},{"rule_type":"auto_rehydrate","enabled":true,"threshold_days":null}]})"},
        Known{
            "create_cluster",
            R"({"collection_ids":["col_products_v1"],"cluster_name":"p","cluster_type":"vector","vector_config":{"feature_extractor_name":"clip_vit_l_14",
              "clustering_method":"hdbscan","hdbscan_parameters":{"min_cluster_size":10,"min_samples":5}},"llm_labeling":{"enabled":true,"model_name":"gpt-4"}})"},
        Known{"execute_clustering",
              R"({"collection_ids":["c"],"config":{"algorithm":"kmeans","algorithm_params":{"n_clusters":8,"max_iter":300},
              "feature_vector":{"feature_address":{"extractor":"clip_vit_l_14","version":"1.0.0"}},"normalize_features":true,
              "dimensionality_reduction":{"method":"umap","n_components":2}},"sample_size":10000,"store_results":true,"include_members":false,"compute_metrics":true,"save_artifacts":true})"},
        Known{
            "create_trigger_clusters",
            R"({"execution_config":{"collection_ids":["c"],"config":{"algorithm":"kmeans","algorithm_params":{"n_clusters":10}}},"trigger_type":"cron",
              "schedule_config":{"cron_expression":"0 2 * * *","timezone":"America/New_York"},"description":"nightly"})"},
        Known{"get_trigger_history_clusters", R"({"offset":0,"limit":50,"status_filter":"completed"})"},
        Known{"list_triggers_clusters", R"({"cluster_id":"cl_1","trigger_type":"cron","status":"active","offset":0,"limit":50})"},
        Known{"stream_cluster_data", R"({"cluster_id":"cl_123","include_centroids":true,"include_members":true,"limit":1000,"offset":0})"},
        Known{"build_cluster_visualization",
              R"({"cluster_id":"cl_abc123","method":"umap","n_components":2,"sample_pct":0.03,"force_recompute":false})"},
        Known{
            "enrich_clusters",
            R"({"clustering_ids":["cl_run_abc"],"source_collection_id":"a","target_collection_id":"b","batch_size":1000,"parallelism":4})"}));

}  // namespace
}  // namespace quarry::http
