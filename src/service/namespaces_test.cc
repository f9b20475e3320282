// Namespaces, managed and standalone, and their upserts.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "service/test_service_world.h"

namespace quarry::service {
namespace {

using testing::HasSubstr;

json::object byo(std::string id, json::array vector, json::object payload = {}) {
  return {{"document_id", id}, {"vectors", {{"v", std::move(vector)}}}, {"payload", std::move(payload)}};
}

class NamespacesTest : public ServiceWorld {
 protected:
  json::object make_standalone(const std::string& id, json::array configs = {json::object{{"name", "v"}, {"dimension", 3}}}) {
    return ok(first_, "create_standalone_namespace", {.body = {{"namespace_id", id}, {"vector_configs", std::move(configs)}}});
  }
  Call upsert_of(const std::string& ns, json::array documents, json::object more = {}) {
    more["documents"] = std::move(documents);
    return {.path = {{"namespace_id", ns}}, .body = std::move(more)};
  }
  Call document_of(const std::string& ns, const std::string& id) {
    return {.path = {{"namespace_id", ns}, {"document_id", id}}, .query = {{"return_vectors", true}}};
  }
};

TEST_F(NamespacesTest, CreateGetPatchDelete) {
  json::object made =
      ok(first_, "create_namespace",
         {.body = {{"namespace_name", "books"},
                   {"description", "all of them"},
                   {"feature_extractors", json::array{json::object{{"feature_extractor_name", "text_extractor"}, {"version", "1.0.0"}}}}}});
  EXPECT_EQ(made["feature_extractors"].as_array()[0].as_object()["feature_extractor_id"], "text_extractor_v1");
  EXPECT_EQ(made["namespace_ready"], true);
  Call by_name{.path = {{"namespace_identifier", "books"}}};
  EXPECT_EQ(ok(first_, "get_namespace", by_name)["namespace_id"], made["namespace_id"]);
  Call rename = by_name;
  rename.body = {{"namespace_name", "papers"}};
  EXPECT_EQ(ok(first_, "patch_namespace", rename)["namespace_name"], "papers");
  EXPECT_EQ(error_of(first_, "get_namespace", by_name), ErrorKind::kNotFound);
  Call by_id{.path = {{"namespace_identifier", std::string(made["namespace_id"].as_string())}}};
  by_id.body = {{"payload_indexes", json::array{json::object{{"field_name", "year"}, {"type", "integer"}}}}};
  EXPECT_EQ(ok(first_, "update_namespace", by_id)["payload_index_count"], 1);
  EXPECT_EQ(ok(first_, "get_namespace_stats", by_id)["collection_count"], 0);
  ok(first_, "delete_namespace", by_id);
  EXPECT_EQ(error_of(first_, "get_namespace", by_id), ErrorKind::kNotFound);
}

TEST_F(NamespacesTest, BadRequestsLeaveNothing) {
  EXPECT_EQ(error_of(first_, "create_namespace", {.body = {{"namespace_name", "standalone"}}}), ErrorKind::kValidation);
  EXPECT_EQ(error_of(first_, "create_namespace", {.body = {{"namespace_name", "a/../b"}}}), ErrorKind::kValidation);
  EXPECT_EQ(error_of(first_, "create_namespace", {.body = {{"namespace_name", "books"}, {"mode", "other"}}}), ErrorKind::kValidation);
  auto unknown =
      call(first_, "create_namespace",
           {.body = {{"namespace_name", "books"},
                     {"feature_extractors", json::array{json::object{{"feature_extractor_name", "tex_extractor"}, {"version", "v1"}}}}}});
  EXPECT_EQ(unknown.error().kind, ErrorKind::kBadRequest);
  EXPECT_THAT(unknown.error().message, HasSubstr("text_extractor"));
  EXPECT_EQ(error_of(first_, "create_namespace", {.body = {{"namespace_name", "books"}, {"ttl_seconds", 60}}}), ErrorKind::kNotImplemented);
  EXPECT_EQ(ok(first_, "list_namespaces_get")["results"].as_array().size(), 0u);
  ok(first_, "create_namespace", {.body = {{"namespace_name", "books"}}});
  EXPECT_EQ(error_of(first_, "create_namespace", {.body = {{"namespace_name", "books"}}}), ErrorKind::kAlreadyExists);
}

TEST_F(NamespacesTest, ListsPageAndCount) {
  for (std::string name : {"aaa", "bbb", "ccc"}) with_namespace(first_, name);
  make_standalone("ddd");
  ok(first_, "upsert_documents_byo_namespaces", upsert_of("ddd", {byo("a", {1, 0, 0})}));
  json::object page =
      ok(first_, "list_namespaces", {.body = {{"limit", 2}, {"sort", {{"field", "namespace_name"}, {"direction", "desc"}}}}});
  EXPECT_EQ(page["total_count"], 4);
  ASSERT_EQ(page["results"].as_array().size(), 2u);
  EXPECT_EQ(page["results"].as_array()[0].as_object()["namespace_name"], "ddd");
  EXPECT_EQ(page["results"].as_array()[0].as_object()["document_count"], 1);
  EXPECT_EQ(page["stats"].as_object()["total_documents"], 1);
  json::object next = ok(first_, "list_namespaces",
                         {.body = {{"limit", 2},
                                   {"sort", {{"field", "namespace_name"}, {"direction", "desc"}}},
                                   {"cursor", page["pagination"].as_object()["next_cursor"]}}});
  EXPECT_EQ(next["results"].as_array()[1].as_object()["namespace_name"], "aaa");
  EXPECT_EQ(ok(first_, "list_namespaces", {.body = {{"search", "BB"}}})["total_count"], 1);
  EXPECT_EQ(error_of(first_, "list_namespaces", {.body = {{"sort", {{"field", "colour"}}}}}), ErrorKind::kValidation);
}

TEST_F(NamespacesTest, AListGoesOnWhenTheLastItemOfAPageIsGone) {
  for (std::string name : {"aaa", "bbb", "ccc", "ddd"}) with_namespace(first_, name);
  for (std::string field : {"created_at", "namespace_name", "namespace_id"}) {
    json::object body{{"limit", 2}, {"sort", {{"field", field}, {"direction", "asc"}}}};
    auto list = [&] { return ok(first_, "list_namespaces", {.body = body}); };
    json::object page = list();
    const std::string boundary(string_member(page["results"].as_array()[1].as_object(), "namespace_id"));
    ok(first_, "delete_namespace", {.path = {{"namespace_identifier", boundary}}});
    body["cursor"] = page["pagination"].as_object()["next_cursor"];
    EXPECT_EQ(list()["results"].as_array().size(), 2u) << field;
    body["sort"] = json::object{{"field", "updated_at"}};
    EXPECT_EQ(error_of(first_, "list_namespaces", {.body = body}), ErrorKind::kValidation) << field;
    with_namespace(first_, "again by " + field);
  }
}

TEST_F(NamespacesTest, DeletingRemovesEverythingInside) {
  Client one = with_namespace(first_, "one");
  std::string collection = direct_collection(one, "notes");
  add_document(one, collection, {{"document_id", "a"}, {"vectors", {{"v", {1, 0, 0}}}}});
  auto context = context_of(one).value();
  std::string prefix = context.internal_id + "/" + context.namespace_id + "/";
  EXPECT_FALSE(store_->list(prefix, "", 10).value().empty());
  ok(first_, "delete_namespace", {.path = {{"namespace_identifier", one.ns}}});
  EXPECT_TRUE(store_->list(prefix, "", 10).value().empty());
  EXPECT_EQ(context_of(one).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(vectors_->stats(collection).error().kind, ErrorKind::kNotFound);
  catalog::ListQuery left;
  left.kind = catalog::kind::kCollection;
  left.scope = {context.organization_id, context.namespace_id};
  EXPECT_TRUE(catalog_->list(left).value().items.empty());
}

TEST_F(NamespacesTest, ASuccessorOfTheSameIdStartsEmptyAndKeepsItsFiles) {
  auto make = [&] { return ok(first_, "create_namespace", {.body = {{"namespace_id", "prod"}, {"namespace_name", "prod"}}}); };
  make();
  Client inside = first_;
  inside.ns = "prod";
  json::object schema{{"properties", {{"content", {{"type", "text"}}}}}};
  json::object bucket = ok(inside, "create_bucket", {.body = {{"bucket_name", "texts"}, {"bucket_schema", schema}}});
  std::string bucket_id(string_member(bucket, "bucket_id"));
  json::object source{{"type", "bucket"}, {"bucket_ids", {bucket_id}}};
  json::object extractor{{"feature_extractor_name", "text_extractor"}, {"version", "v1"}, {"input_mappings", {{"text", "content"}}}};
  ok(inside, "create_collection", {.body = {{"collection_name", "words"}, {"source", source}, {"feature_extractor", extractor}}});
  json::object blob{{"property", "content"}, {"type", "text"}, {"data", std::string(100'000, 'x')}};
  ok(inside, "create_object_buckets",
     {.path = {{"bucket_identifier", bucket_id}},
      .body = {{"idempotency_key", "k"}, {"blobs", json::array{blob}}},
      .query = {{"auto_process", true}}});  // no engine runs: its batch waits
  auto context = context_of(inside).value();
  const std::string prefix = context.internal_id + "/prod/";
  ASSERT_TRUE(store_->put(prefix + "blobs/bkt_of_the_successor/file", "bytes").ok());

  Call deletion{.path = {{"namespace_identifier", "prod"}}};
  EXPECT_EQ(error_of(first_, "delete_namespace", deletion), ErrorKind::kBadRequest);
  deletion.query = {{"force", true}};
  ok(first_, "delete_namespace", deletion);
  make();
  EXPECT_TRUE(ok(inside, "list_tasks")["results"].as_array().empty());
  for (std::string_view kind : {"bucket", "object", "object_index", "batch", "collection"}) {
    catalog::ListQuery left;
    left.kind = kind;
    left.scope = {context.organization_id, "prod"};
    EXPECT_TRUE(catalog_->list(left).value().items.empty()) << kind;
  }
  auto files = store_->list(prefix, "", 10).value();
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].key, prefix + "blobs/bkt_of_the_successor/file");
}

// A request that was admitted just before the namespace went.
TEST_F(NamespacesTest, NothingIsMadeInADeletedNamespace) {
  Client one = with_namespace(first_, "one");
  auto context = context_of(one).value();
  ok(first_, "delete_namespace", {.path = {{"namespace_identifier", one.ns}}});
  json::object vector{{"field", "v"}, {"name", "v"}, {"dimensions", 3}};
  json::object extractor{
      {"feature_extractor_name", "passthrough_extractor"}, {"version", "v1"}, {"parameters", {{"vector_fields", json::array{vector}}}}};
  for (auto [operation, body] :
       {std::pair<std::string, json::object>{"create_bucket", {{"bucket_name", "late"}}},
        {"create_collection", {{"collection_name", "late"}, {"source", {{"type", "none"}}}, {"feature_extractor", extractor}}}}) {
    Request request;
    request.body = body;
    auto reply = (*api_->find(operation))(context, request);
    ASSERT_FALSE(reply.ok()) << operation;
    EXPECT_EQ(reply.error().message, "namespace '" + one.ns + "' does not exist") << operation;
  }
  EXPECT_TRUE(store_->list("", "", 10).value().empty());
}

TEST_F(NamespacesTest, StandaloneRoundTrip) {
  json::object made = make_standalone("mine");
  EXPECT_EQ(made["namespace_id"], "mine");
  EXPECT_EQ(made["status"], "active");
  json::object written =
      ok(first_, "upsert_documents_byo_namespaces", upsert_of("mine", {byo("a", {1, 0, 0}, {{"title", "first"}}), byo("b", {0, 1, 0})}));
  EXPECT_EQ(written["inserted"], 2);
  EXPECT_EQ(written["document_ids"], (json::array{"a", "b"}));
  json::object read = ok(first_, "get_document_byo_namespaces", document_of("mine", "a"));
  EXPECT_EQ(read["title"], "first");
  EXPECT_EQ(read["vectors"].as_object()["v"], (json::array{1.0, 0.0, 0.0}));
  EXPECT_EQ(read["source_type"], "direct_upsert");
  EXPECT_EQ(error_of(first_, "get_document_byo_namespaces", document_of("mine", "c")), ErrorKind::kNotFound);
}

TEST_F(NamespacesTest, TheLastOfEqualIdsWins) {
  make_standalone("mine");
  json::object written = ok(first_, "upsert_documents_byo_namespaces",
                            upsert_of("mine", {byo("a", {1, 0, 0}, {{"n", 1}}), byo("b", {0, 1, 0}), byo("a", {0, 0, 1}, {{"n", 2}})}));
  EXPECT_EQ(written["inserted"], 2);
  EXPECT_EQ(written["warnings"].as_array().size(), 1u);
  json::object read = ok(first_, "get_document_byo_namespaces", document_of("mine", "a"));
  EXPECT_EQ(read["n"], 2);
  EXPECT_EQ(read["vectors"].as_object()["v"], (json::array{0.0, 0.0, 1.0}));
}

TEST_F(NamespacesTest, AnUpsertKeepsWhenADocumentWasMade) {
  make_standalone("mine");
  auto created_at = [&] { return ok(first_, "get_document_byo_namespaces", document_of("mine", "a"))["created_at"]; };
  ok(first_, "upsert_documents_byo_namespaces", upsert_of("mine", {byo("a", {1, 0, 0})}));
  json::value first = created_at();
  clock_.advance_us(5'000'000);
  ok(first_, "upsert_documents_byo_namespaces", upsert_of("mine", {byo("a", {0, 1, 0})}));
  EXPECT_EQ(created_at(), first);
}

TEST_F(NamespacesTest, BadVectorsAreRefusedWholly) {
  make_standalone("mine");
  auto refuse = [&](json::object document, std::string_view says) {
    auto reply = call(first_, "upsert_documents_byo_namespaces", upsert_of("mine", {byo("good", {1, 0, 0}), std::move(document)}));
    ASSERT_FALSE(reply.ok());
    EXPECT_THAT(reply.error().message, HasSubstr(std::string(says)));
    EXPECT_THAT(reply.error().message, HasSubstr("documents[1]"));
  };
  refuse(byo("a", {1, 0}), "has 2 dimensions where the collection has 3");
  refuse(byo("a", {1, 0, 1e300}), "not a finite number");
  refuse(byo("a", {1, 0, "x"}), "not a finite number");
  refuse({{"document_id", "a"}, {"vectors", {{"w", {1, 0, 0}}}}}, "has no vector 'w'; it has: v");
  refuse({{"document_id", "a"}, {"vectors", {{"v", {{"indices", {1}}, {"values", {0.5}}}}}}}, "sparse");
  refuse({{"document_id", "../a"}, {"vectors", {{"v", {1, 0, 0}}}}}, "plain name");
  EXPECT_EQ(error_of(first_, "get_document_byo_namespaces", document_of("mine", "good")), ErrorKind::kNotFound);
}

TEST_F(NamespacesTest, ReservedPayloadFieldsAreDroppedAndNamed) {
  make_standalone("mine");
  json::object written =
      ok(first_, "upsert_documents_byo_namespaces", upsert_of("mine", {byo("a", {1, 0, 0}, {{"collection_id", "x"}, {"title", "t"}})}));
  EXPECT_EQ(written["dropped_payload_fields"], (json::object{{"a", {"collection_id"}}}));
}

TEST_F(NamespacesTest, IdempotencyKeyWritesOnce) {
  make_standalone("mine");
  json::object options{{"options", {{"idempotency_key", "k1"}, {"write_token", true}}}};
  ok(first_, "upsert_documents_byo_namespaces", upsert_of("mine", {byo("a", {1, 0, 0})}, options));
  json::object again = ok(first_, "upsert_documents_byo_namespaces", upsert_of("mine", {byo("a", {0, 1, 0})}, options));
  EXPECT_TRUE(again.contains("write_token"));
  EXPECT_EQ(again["warnings"].as_array().size(), 1u);
  EXPECT_EQ(ok(first_, "get_document_byo_namespaces", document_of("mine", "a"))["vectors"].as_object()["v"], (json::array{1.0, 0.0, 0.0}));
}

TEST_F(NamespacesTest, WithoutVectorConfigsTheFirstUpsertDeclares) {
  ok(first_, "create_standalone_namespace", {.body = {{"namespace_name", "free"}}});
  ok(first_, "upsert_documents_byo_namespaces", upsert_of("free", {byo("a", {1, 0, 0, 0})}));
  EXPECT_EQ(error_of(first_, "upsert_documents_byo_namespaces", upsert_of("free", {byo("b", {1, 0})})), ErrorKind::kBadRequest);
  ok(first_, "upsert_documents_byo_namespaces", upsert_of("free", {json::object{{"document_id", "c"}, {"vectors", {{"w", {1, 2}}}}}}));
  EXPECT_EQ(ok(first_, "get_document_byo_namespaces", document_of("free", "c"))["vectors"], (json::object{{"w", {1.0, 2.0}}}));
}

TEST_F(NamespacesTest, ANamedCollectionIsMadeOnFirstUse) {
  make_standalone("mine");
  ok(first_, "upsert_documents_byo_namespaces", upsert_of("mine", {byo("a", {1, 0, 0})}, {{"collection_id", "chapters"}}));
  Client inside = first_;
  inside.ns = "mine";
  EXPECT_EQ(ok(inside, "get_collection", {.path = {{"collection_identifier", "chapters"}}})["document_count"], 1);
}

// The published client searches own vectors this way: no collection, the vector by its bare name, the values inline.
TEST_F(NamespacesTest, OwnVectorsAreSearchedByName) {
  make_standalone("mine");
  ok(first_, "upsert_documents_byo_namespaces", upsert_of("mine", {byo("a", {1, 0, 0}), byo("b", {0, 1, 0})}));
  Client inside = first_;
  inside.ns = "mine";
  json::object search{{"feature_uri", "v"}, {"query", {{"input_mode", "vector"}, {"value", {0.1, 1, 0}}}}, {"top_k", 5}};
  json::object stage{{"stage_name", "feature_search"},
                     {"stage_type", "filter"},
                     {"config", {{"stage_id", "feature_search"}, {"parameters", {{"searches", json::array{search}}, {"final_top_k", 5}}}}}};
  json::object made = ok(inside, "create_retriever", {.body = {{"retriever_name", "sdk"}, {"stages", json::array{stage}}}});
  json::object reply =
      ok(inside, "execute_retriever",
         {.path = {{"retriever_id", std::string(string_member(made, "retriever_id"))}}, .body = {{"inputs", json::object{}}}});
  ASSERT_EQ(reply["results"].as_array().size(), 2u);
  EXPECT_EQ(reply["results"].as_array()[0].as_object()["document_id"], "b");
  EXPECT_EQ(ok(inside, "execute_adhoc_retriever", {.body = {{"stages", json::array{stage}}}})["results"].as_array().size(), 2u);
}

TEST_F(NamespacesTest, EverythingIsThereAfterARestart) {
  make_standalone("mine");
  ok(first_, "upsert_documents_byo_namespaces", upsert_of("mine", {byo("a", {1, 0, 0})}));
  api_.reset();
  vectors_.reset();
  vectors_ = mvs::VectorStore::open({.store = store_.get(), .executor = &executor_}).value();
  open_api();
  EXPECT_EQ(ok(first_, "get_document_byo_namespaces", document_of("mine", "a"))["document_id"], "a");
  EXPECT_FALSE(api_->bootstrap("").value().has_value());
}

TEST_F(NamespacesTest, VectorConfigsAreChecked) {
  for (json::array configs :
       {json::array{json::object{{"name", "a b"}, {"dimension", 3}}}, json::array{json::object{{"name", "a"}, {"dimension", 70'000}}},
        json::array{json::object{{"name", "a"}, {"dimension", 3}}, json::object{{"name", "a"}, {"dimension", 3}}},
        json::array{json::object{{"name", "a"}, {"dimension", 3}, {"metric", "manhattan"}}}})
    EXPECT_EQ(error_of(first_, "create_standalone_namespace", {.body = {{"namespace_id", "mine"}, {"vector_configs", configs}}}),
              ErrorKind::kValidation);
  make_standalone("mine");
}

TEST_F(NamespacesTest, ACollectionHasAtMostAHundredVectors) {
  json::array configs;
  json::object vectors;
  for (int i = 0; i < 101; ++i) {
    configs.push_back(json::object{{"name", fmt::format("v{}", i)}, {"dimension", 2}});
    vectors[fmt::format("v{}", i)] = json::array{1, 0};
  }
  EXPECT_EQ(error_of(first_, "create_standalone_namespace", {.body = {{"namespace_id", "mine"}, {"vector_configs", configs}}}),
            ErrorKind::kValidation);
  ok(first_, "create_standalone_namespace", {.body = {{"namespace_name", "free"}}});
  ok(first_, "upsert_documents_byo_namespaces", upsert_of("free", {json::object{{"document_id", "a"}, {"vectors", {{"first", {1, 0}}}}}}));
  vectors.erase("v100");
  auto upsert = [&] { return upsert_of("free", {json::object{{"document_id", "b"}, {"vectors", vectors}}}); };
  EXPECT_EQ(error_of(first_, "upsert_documents_byo_namespaces", upsert()), ErrorKind::kValidation);
  vectors.erase("v99");
  ok(first_, "upsert_documents_byo_namespaces", upsert());
}

}  // namespace
}  // namespace quarry::service
