// Two organizations, two namespaces: what belongs to another is absent, on every operation of these files that takes an id.
#include "service/test_service_world.h"

namespace quarry::service {
namespace {

class TenancyTest : public ServiceWorld {
 protected:
  void SetUp() override {
    ServiceWorld::SetUp();
    owner_ = with_namespace(first_, "owned");
    neighbour_ = with_namespace(first_, "neighbour");
    stranger_ = with_namespace(second_organization(), "owned");
    collection_ = direct_collection(owner_, "notes");
    add_document(owner_, collection_, {{"document_id", "doc_secret"}, {"vectors", {{"v", {1, 0, 0}}}}});
    bucket_ = insert_bucket(owner_, "inbox", {{"content", {{"type", "text"}}}});
    json::object stage{{"stage_id", "attribute_filter"}, {"parameters", {{"field", "n"}, {"operator", "exists"}, {"value", false}}}};
    json::object made =
        ok(owner_, "create_retriever",
           {.body = {{"retriever_name", "all"}, {"collection_identifiers", {collection_}}, {"stages", json::array{stage}}}});
    retriever_ = string_member(made, "retriever_id");
    execution_ = string_member(ok(owner_, "execute_retriever", {.path = {{"retriever_id", retriever_}}}), "execution_id");
  }

  // An operation with the owner's ids everywhere; and the least body that would work for the owner.
  Call with_ids(json::value body = json::object{}) {
    return {.path = {{"collection_identifier", collection_},
                     {"collection_id", collection_},
                     {"document_id", "doc_secret"},
                     {"retriever_id", retriever_},
                     {"execution_id", execution_},
                     {"namespace_identifier", owner_.ns},
                     {"namespace_id", owner_.ns},
                     {"extractor_id", "text_extractor"},
                     {"user_email", "admin@localhost"},
                     {"key_name", "bootstrap"},
                     {"object_id", "obj_x"}},
            .body = std::move(body)};
  }

  Client owner_, neighbour_, stranger_;
  std::string collection_, bucket_, retriever_, execution_;
};

const std::vector<std::pair<std::string, json::object>>& operations_inside_namespaces() {
  static const std::vector<std::pair<std::string, json::object>> kOperations{
      {"get_collection", {}},
      {"update_collection", {{"description", "x"}}},
      {"delete_collection", {}},
      {"clone_collection", {{"collection_name", "copy"}}},
      {"trigger_collection", {}},
      {"get_lifecycle", {}},
      {"describe_collection_features", {}},
      {"create_document", {{"a", 1}}},
      {"get_document", {}},
      {"patch_document", {{"a", 1}}},
      {"update_document", {{"a", 1}}},
      {"delete_document", {}},
      {"list_documents_0", {}},
      {"list_documents", {}},
      {"batch_update", {{"updates", json::array{json::object{{"document_id", "doc_secret"}, {"update_data", {{"a", 1}}}}}}}},
      {"bulk_update", {{"update_data", {{"a", 1}}}}},
      {"batch_delete", {{"document_ids", {"doc_secret"}}}},
      {"count_documents", {}},
      {"distinct_document_values", {{"field", "a"}}},
      {"get_document_ns", {}},
      {"patch_document_ns", {{"a", 1}}},
      {"update_document_ns", {{"a", 1}}},
      {"get_document_lineage", {}},
      {"get_document_ancestors", {}},
      {"get_document_descendants", {}},
      {"get_documents_by_object", {}},
      {"get_decomposition_tree_objects", {}},
      {"get_retriever", {}},
      {"patch_retriever", {{"description", "x"}}},
      {"delete_retriever", {}},
      {"clone_retriever", {{"retriever_name", "copy"}}},
      {"execute_retriever", {}},
      {"execute_batch_retrievers", {{"queries", json::array{json::object{{"inputs", json::object{}}}}}}},
      {"explain_retriever_execution_id_execute", {}},
      {"list_executions_retrievers", {}},
      {"get_execution_retrievers", {}},
      {"get_execution_status_retrievers", {}},
      {"get_execution_profile_retrievers", {}},
      {"get_adhoc_execution_retrievers", {}},
  };
  return kOperations;
}

TEST_F(TenancyTest, IdsOfAnotherNamespaceOrOrganizationAreAbsent) {
  for (const auto& [operation, body] : operations_inside_namespaces())
    for (const Client* outsider : {&neighbour_, &stranger_})
      EXPECT_EQ(error_of(*outsider, operation, with_ids(body)), ErrorKind::kNotFound) << operation;
  EXPECT_EQ(ok(owner_, "count_documents", with_ids())["count"], 1);
}

TEST_F(TenancyTest, NamespacesOfAnotherOrganizationAreAbsent) {
  Client stranger = stranger_;
  stranger.ns.clear();
  json::object upsert{{"documents", json::array{json::object{{"document_id", "x"}, {"vectors", json::object{}}}}}};
  std::vector<std::pair<std::string, json::object>> operations{{"get_namespace", {}},
                                                               {"patch_namespace", {{"description", "x"}}},
                                                               {"update_namespace", json::object{}},
                                                               {"delete_namespace", {}},
                                                               {"get_namespace_stats", {}},
                                                               {"upsert_documents_byo_namespaces", upsert},
                                                               {"get_document_byo_namespaces", {}},
                                                               {"list_extractors_namespaces", {}},
                                                               {"get_extractor_namespaces", {}}};
  for (const auto& [operation, body] : operations)
    EXPECT_EQ(error_of(stranger, operation, with_ids(body)), ErrorKind::kNotFound) << operation;
  EXPECT_EQ(ok(stranger, "get_namespace_stats_batch", {.body = {{"namespace_ids", {owner_.ns}}}})["stats"], json::object{});
  Client across{stranger_.key, "", owner_.ns};
  EXPECT_EQ(context_of(across).error().kind, ErrorKind::kNotFound);
}

TEST_F(TenancyTest, TwoOrganizationsMayChooseTheSameNamespaceId) {
  Client here{first_.key, first_.organization_id, ""}, there{stranger_.key, stranger_.organization_id, ""};
  for (const auto& [client, x] : {std::pair{&here, 1.0}, std::pair{&there, 2.0}}) {
    ok(*client, "create_standalone_namespace",
       {.body = {{"namespace_id", "shared"}, {"vector_configs", json::array{json::object{{"name", "v"}, {"dimension", 1}}}}}});
    json::object document{{"document_id", "d"}, {"payload", {{"x", x}}}, {"vectors", {{"v", {x}}}}};
    ok(*client, "upsert_documents_byo_namespaces", {.path = {{"namespace_id", "shared"}}, .body = {{"documents", json::array{document}}}});
  }
  const Call document{.path = {{"namespace_id", "shared"}, {"document_id", "d"}}};
  EXPECT_EQ(ok(here, "get_document_byo_namespaces", document)["x"], 1.0);
  EXPECT_EQ(ok(there, "get_document_byo_namespaces", document)["x"], 2.0);
  ok(here, "delete_namespace", {.path = {{"namespace_identifier", "shared"}}});
  EXPECT_EQ(error_of(here, "get_document_byo_namespaces", document), ErrorKind::kNotFound);
  EXPECT_EQ(ok(there, "get_document_byo_namespaces", document)["x"], 2.0);
}

TEST_F(TenancyTest, UsersAndKeysOfAnotherOrganizationAreAbsent) {
  Client stranger = stranger_;
  stranger.ns.clear();
  for (std::string operation : {"get_user_organizations_email", "delete_user_organizations_email", "list_keys_organizations_users_email",
                                "delete_key_organizations_users_email_name", "rotate_key_organizations_users_email_name"})
    EXPECT_EQ(error_of(stranger, operation, with_ids()), ErrorKind::kNotFound) << operation;
  EXPECT_EQ(error_of(stranger, "update_user_organizations_email", with_ids({{"user_name", "x"}})), ErrorKind::kNotFound);
  EXPECT_EQ(error_of(stranger, "update_key_organizations_users_email_name", with_ids({{"description", "x"}})), ErrorKind::kNotFound);
}

TEST_F(TenancyTest, ListsAndSearchesShowOnlyOwn) {
  for (const Client* outsider : {&neighbour_, &stranger_}) {
    EXPECT_EQ(ok(*outsider, "list_collections")["total_count"], 0);
    EXPECT_EQ(ok(*outsider, "list_retrievers_get")["total"], 0);
    EXPECT_EQ(ok(*outsider, "list_documents_ns")["results"].as_array().size(), 0u);
    EXPECT_EQ(ok(*outsider, "batch_get", {.body = {{"document_ids", {"doc_secret"}}}})["not_found"].as_array().size(), 1u);
    EXPECT_EQ(ok(*outsider, "search_resources", {.body = {{"query", "notes"}}})["total"], 0);
    EXPECT_EQ(ok(*outsider, "list_adhoc_executions_retrievers")["total"], 0);
  }
  Client stranger = stranger_;
  stranger.ns.clear();
  EXPECT_EQ(ok(stranger, "list_namespaces_get")["total_count"], 1);
}

TEST_F(TenancyTest, SourcesOfAnotherAreAbsent) {
  for (const Client* outsider : {&neighbour_, &stranger_}) {
    EXPECT_EQ(error_of(*outsider, "create_collection",
                       {.body = {{"collection_name", "c-1"}, {"source", {{"type", "bucket"}, {"bucket_ids", {bucket_}}}}}}),
              ErrorKind::kNotFound);
    EXPECT_EQ(error_of(*outsider, "create_collection",
                       {.body = {{"collection_name", "c-1"}, {"source", {{"type", "collection"}, {"collection_id", collection_}}}}}),
              ErrorKind::kNotFound);
    json::object stage{{"stage_id", "attribute_filter"}, {"parameters", {{"field", "n"}, {"operator", "eq"}, {"value", 1}}}};
    EXPECT_EQ(error_of(*outsider, "create_retriever",
                       {.body = {{"retriever_name", "r"}, {"collection_identifiers", {collection_}}, {"stages", json::array{stage}}}}),
              ErrorKind::kNotFound);
    EXPECT_EQ(error_of(*outsider, "execute_adhoc_retriever",
                       {.body = {{"collection_identifiers", {collection_}}, {"stages", json::array{stage}}}}),
              ErrorKind::kNotFound);
    EXPECT_EQ(error_of(*outsider, "feature_search", {.body = {{"collection_identifiers", {collection_}}, {"query", {{"text", "x"}}}}}),
              ErrorKind::kNotFound);
  }
}

}  // namespace
}  // namespace quarry::service
