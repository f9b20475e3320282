// Lineage, extractor listings and the search over resources.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <functional>

#include "service/test_service_world.h"

namespace quarry::service {
namespace {

class LineageTest : public ServiceWorld {
 protected:
  void SetUp() override {
    ServiceWorld::SetUp();
    client_ = with_namespace(first_, "films");
    bucket_ = insert_bucket(client_, "inbox", {{"content", {{"type", "text"}}}});
    scenes_ = make("scenes", {{"type", "bucket"}, {"bucket_ids", {bucket_}}});
    shots_ = make("shots", {{"type", "collection"}, {"collection_id", "scenes"}});
    insert_object("obj_film");
    write(scenes_, "scene", "bucket", "", "", bucket_ + "/" + scenes_, 1);
    write(shots_, "shot1", "collection", scenes_, "scene", bucket_ + "/" + scenes_ + "/" + shots_, 2);
    write(shots_, "shot2", "collection", scenes_, "scene", bucket_ + "/" + scenes_ + "/" + shots_, 2);
  }
  std::string make(const std::string& name, json::object source) {
    return std::string(string_member(ok(client_, "create_collection", {.body = {{"collection_name", name}, {"source", std::move(source)}}}),
                                     "collection_id"));
  }
  void insert_object(const std::string& id) {
    auto context = context_of(client_).value();
    catalog::Resource object;
    object.kind = catalog::kind::kObject;
    object.id = id;
    object.organization_id = context.organization_id;
    object.namespace_id = context.namespace_id;
    object.parent_id = bucket_;
    object.body = {{"object_id", id}};
    ASSERT_TRUE(catalog_->insert(object).ok());
  }
  void write(const std::string& table, const std::string& id, const std::string& type, const std::string& source_collection,
             const std::string& source_document, const std::string& path, int tier) {
    Document document;
    document.document_id = id;
    document.lineage = {"obj_film", bucket_, type, tier == 1 ? "obj_film" : "", source_collection, source_document, path, tier};
    document.created_at = document.updated_at = clock_.now_us();
    mvs::WriteBatch batch;
    batch.upserts.push_back(std::move(document));
    ASSERT_TRUE(vectors_->write(table, std::move(batch)).ok());
  }
  Call at(const std::string& collection, const std::string& id) {
    return {.path = {{"collection_id", collection}, {"collection_identifier", collection}, {"document_id", id}}};
  }

  Client client_;
  std::string bucket_, scenes_, shots_;
};

TEST_F(LineageTest, ChainFromTheRoot) {
  json::object reply = ok(client_, "get_document_lineage", at("shots", "shot1"));
  json::object lineage = reply["lineage"].as_object();
  EXPECT_EQ(lineage["root_object_id"], "obj_film");
  EXPECT_EQ(string_member(lineage, "source_collection_id"), scenes_);
  auto chain = lineage["lineage_chain"].as_array();
  ASSERT_EQ(chain.size(), 2u);
  EXPECT_EQ(chain[0].as_object()["document_id"], "scene");
  EXPECT_EQ(reply["depth"], 1);
  json::object seeds = ok(client_, "get_document", at("shots", "shot1"));
  EXPECT_EQ(seeds["processing_tier"], 2);
  EXPECT_EQ(string_member(seeds, "lineage_path"), bucket_ + "/" + scenes_ + "/" + shots_);
}

TEST_F(LineageTest, AncestorsAndDescendants) {
  EXPECT_EQ(ok(client_, "get_document_ancestors", at("shots", "shot2"))["list"].as_array()[0].as_object()["document_id"], "scene");
  EXPECT_EQ(ok(client_, "get_document_descendants", at("scenes", "scene"))["list"].as_array().size(), 2u);
  EXPECT_EQ(ok(client_, "get_document_descendants", at("shots", "shot1"))["list"].as_array().size(), 0u);
}

TEST_F(LineageTest, ABrokenChainSaysSo) {
  ok(client_, "delete_document", at("scenes", "scene"));
  json::object reply = ok(client_, "get_document_lineage", at("shots", "shot1"));
  EXPECT_TRUE(reply.contains("message"));
}

TEST_F(LineageTest, DocumentsOfAnObject) {
  json::object reply = ok(client_, "get_documents_by_object", {.path = {{"object_id", "obj_film"}}});
  EXPECT_EQ(reply["total"], 3);
  EXPECT_EQ(reply["by_collection"], (json::object{{scenes_, 1}, {shots_, 2}}));
  json::object some =
      ok(client_, "get_documents_by_object", {.path = {{"object_id", "obj_film"}}, .query = {{"collection_ids", {"shots"}}}});
  EXPECT_EQ(some["documents"].as_array().size(), 2u);
  EXPECT_EQ(error_of(client_, "get_documents_by_object", {.path = {{"object_id", "obj_none"}}}), ErrorKind::kNotFound);
}

TEST_F(LineageTest, DecompositionTree) {
  json::object reply =
      ok(client_, "get_decomposition_tree_objects", {.path = {{"object_id", "obj_film"}}, .query = {{"include_document_ids", true}}});
  EXPECT_EQ(reply["total_documents"], 3);
  EXPECT_EQ(reply["max_tier"], 2);
  json::object scenes = reply["tree"].as_object()["children"].as_array()[0].as_object();
  EXPECT_EQ(string_member(scenes, "collection_id"), scenes_);
  EXPECT_EQ(scenes["document_ids"], (json::array{"scene"}));
  EXPECT_EQ(scenes["children"].as_array()[0].as_object()["document_count"], 2);
}

// Every collection claims to come from every other: what came from one is shown once.
TEST_F(LineageTest, ATreeOfEntangledCollectionsHasOneNodePerBranch) {
  constexpr size_t kCollections = 12;
  std::vector<std::string> tables;
  for (size_t i = 0; i < kCollections; ++i) tables.push_back(make(fmt::format("tangle{}", i), {{"type", "none"}}));
  for (const auto& table : tables) {
    write(table, "root", "bucket", "", "", table, 1);
    for (const auto& source : tables) write(table, "from " + source, "collection", source, "root", source + "/" + table, 2);
  }
  json::object reply = ok(client_, "get_decomposition_tree_objects", {.path = {{"object_id", "obj_film"}}});
  size_t nodes = 0, documents = 0;
  std::function<void(const json::object&)> visit = [&](const json::object& node) {
    for (const auto& child : node.at("children").as_array()) {
      ++nodes;
      documents += static_cast<size_t>(integer_member(child.as_object(), "document_count").value_or(0));
      visit(child.as_object());
    }
  };
  visit(reply["tree"].as_object());
  EXPECT_EQ(nodes, kCollections * (kCollections + 1) + 2);
  EXPECT_EQ(documents, reply["total_documents"].to_number<size_t>());
  EXPECT_EQ(reply["truncated"], false);
}

TEST_F(LineageTest, ExtractorsAreListed) {
  auto listed = ok(client_, "list_feature_extractors")["list"].as_array();
  ASSERT_GE(listed.size(), 2u);
  for (std::string id : {"text_extractor", "text_extractor_v1", "text_extractor@v1"})
    EXPECT_EQ(ok(client_, "get_feature_extractor_by", {.path = {{"feature_extractor_id", id}}})["feature_extractor_id"],
              "text_extractor_v1");
  EXPECT_EQ(error_of(client_, "get_feature_extractor_by", {.path = {{"feature_extractor_id", "magic"}}}), ErrorKind::kNotFound);
  json::object text = ok(client_, "get_extractor_namespaces", {.path = {{"namespace_id", "films"}, {"extractor_id", "text_extractor"}}});
  EXPECT_EQ(text["required_vector_indexes"].as_array()[0].as_object()["index"].as_object()["dimensions"], 16);
  EXPECT_EQ(ok(client_, "list_extractors_namespaces", {.path = {{"namespace_id", client_.ns}}})["custom_count"], 0);
  EXPECT_FALSE(ok(client_, "discover_features")["modalities"].as_array().empty());
}

TEST_F(LineageTest, FeatureSearchByText) {
  json::object extractor{{"feature_extractor_name", "text_extractor"}, {"version", "v1"}};
  json::object made = ok(client_, "create_collection",
                         {.body = {{"collection_name", "texts"}, {"source", {{"type", "none"}}}, {"feature_extractor", extractor}}});
  std::string texts(string_member(made, "collection_id"));
  BagEmbedder embedder;
  for (std::string text : {"whales swim far", "stones lie still"}) {
    json::array vector;
    const extract::Embedding embedding = embedder.embed(text).value();
    for (float v : embedding.values) vector.emplace_back(v);
    add_document(client_, texts, {{"document_id", text.substr(0, 6)}, {"text", text}, {"vectors", {{"all_minilm_l6_v2_v1", vector}}}});
  }
  json::object reply =
      ok(client_, "feature_search", {.body = {{"query", {{"text", "whales swim"}}}, {"collection_identifiers", {"texts"}}, {"top_k", 1}}});
  ASSERT_EQ(reply["results"].as_array().size(), 1u);
  EXPECT_EQ(reply["results"].as_array()[0].as_object()["document_id"], "whales");
  EXPECT_EQ(error_of(client_, "feature_search", {.body = {{"query", {{"text", ""}}}}}), ErrorKind::kValidation);
  EXPECT_EQ(error_of(client_, "feature_search", {.body = {{"query", {{"text", "x"}}}, {"collection_identifiers", {"shots"}}}}),
            ErrorKind::kBadRequest);
}

TEST_F(LineageTest, ResourcesByNameAndDescription) {
  ok(client_, "update_collection", {.path = {{"collection_identifier", "shots"}}, .body = {{"description", "cut from SCENES"}}});
  json::object reply = ok(client_, "search_resources", {.body = {{"query", "scenes"}}});
  ASSERT_EQ(reply["total"], 2);
  EXPECT_EQ(reply["results"].as_array()[0].as_object()["resource_name"], "scenes");  // names before descriptions
  EXPECT_EQ(reply["results"].as_array()[1].as_object()["resource_type"], "collection");
  EXPECT_EQ(ok(client_, "search_resources", {.body = {{"query", "inbox"}, {"resource_types", {"retriever"}}}})["total"], 0);
  EXPECT_EQ(ok(client_, "search_resources", {.body = {{"query", "s"}, {"limit", 1}, {"offset", 1}}})["results"].as_array().size(), 1u);
}

}  // namespace
}  // namespace quarry::service
