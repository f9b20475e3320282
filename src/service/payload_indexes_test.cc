// Payload indexes of a namespace: what is refused, and how collections take them over.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "service/test_service_world.h"

namespace quarry::service {
namespace {

using testing::HasSubstr;

json::object index_of(std::string field, std::string type) { return {{"field_name", field}, {"type", type}}; }

class PayloadIndexesTest : public ServiceWorld {
 protected:
  void SetUp() override {
    ServiceWorld::SetUp();
    collection_ =
        std::string(ok(first_, "create_standalone_namespace",
                       {.body = {{"namespace_id", "shop"}, {"vector_configs", json::array{json::object{{"name", "v"}, {"dimension", 1}}}}}})
                        .at("default_collection_id")
                        .as_string());
    shop_ = first_;
    shop_.ns = "shop";
  }

  Result<Reply> index(json::array indexes) {
    return call(first_, "patch_namespace", {.path = {{"namespace_identifier", "shop"}}, .body = {{"payload_indexes", std::move(indexes)}}});
  }
  void upsert(std::string id, json::object payload, const std::string& collection = "") {
    json::object body{
        {"documents", json::array{json::object{{"document_id", id}, {"vectors", {{"v", json::array{1}}}}, {"payload", payload}}}}};
    if (!collection.empty()) body["collection_id"] = collection;
    ok(first_, "upsert_documents_byo_namespaces", {.path = {{"namespace_id", "shop"}}, .body = std::move(body)});
  }
  json::value shown_indexes(const std::string& collection) {
    json::object shown = ok(shop_, "get_collection", {.path = {{"collection_identifier", collection}}});
    return shown.contains("payload_indexes") ? shown["payload_indexes"] : json::value();
  }
  // Ids of the documents that a search by words of one field finds; kBadRequest: the table has no such column of text.
  Result<size_t> words(const std::string& field, const std::string& text) {
    mvs::SearchRequest request{.table_id = collection_, .query = mvs::TextQuery{.text = text, .fields = {field}}};
    QUARRY_ASSIGN_OR_RETURN(const auto found, vectors_->search(request));
    return found.hits.size();
  }
  uint64_t count(std::string_view field, std::string_view op, json::value value) {
    return vectors_->count(collection_, *parse_filter({{"field", field}, {"operator", op}, {"value", std::move(value)}})).value();
  }

  Client shop_;
  std::string collection_;
};

TEST_F(PayloadIndexesTest, RefusesWhatCanHaveNoColumn) {
  json::array many;
  for (int i = 0; i <= 100; ++i) many.push_back(index_of(fmt::format("f{}", i), "keyword"));
  const std::pair<json::array, const char*> bad[] = {
      {{index_of("offer.price", "float")}, "within"},
      {{index_of("document_id", "keyword")}, "document_id"},
      {{index_of("_internal", "keyword")}, "_internal"},
      {{index_of("payload_json", "text")}, "payload_json"},
      {{index_of("vector_x", "keyword")}, "vector_x"},
      {{index_of("a b", "keyword")}, "a b"},
      {{index_of("price", "float"), index_of("price", "integer")}, "twice"},
      {{index_of("price", "float"), index_of("Price", "float")}, "Price"},
      {many, "100"},
  };
  for (const auto& [indexes, said] : bad) {
    const auto reply = index(indexes);
    ASSERT_FALSE(reply.ok()) << said;
    EXPECT_EQ(reply.error().kind, ErrorKind::kBadRequest);
    EXPECT_THAT(reply.error().message, HasSubstr(said));
    for (const char* mode : {"managed", "standalone"})
      EXPECT_EQ(error_of(first_, "create_namespace", {.body = {{"namespace_name", "other"}, {"mode", mode}, {"payload_indexes", indexes}}}),
                ErrorKind::kBadRequest)
          << said;
  }
  EXPECT_TRUE(index({index_of("place.at", "geo"), index_of("price", "float")}).ok());  // points need no column
}

TEST_F(PayloadIndexesTest, ACollectionTakesThemOverAtItsNextWrite) {
  upsert("old", {{"name", "green apple"}, {"price", 2}});
  upsert("odd", {{"name", 7}, {"price", "dear"}});
  EXPECT_EQ(words("name", "apple").error().kind, ErrorKind::kBadRequest);
  ASSERT_TRUE(index({index_of("name", "text"), index_of("price", "float"), index_of("at", "geo")}).ok());
  EXPECT_EQ(shown_indexes(collection_), json::value());
  upsert("new", {{"name", "red apple"}, {"price", 3.5}});
  EXPECT_EQ(shown_indexes(collection_), json::value(json::array{index_of("name", "text"), index_of("price", "float")}));
  EXPECT_EQ(words("name", "apple").value(), 2u);  // that of the old file too
  EXPECT_EQ(count("price", "gte", 2), 2u);
  EXPECT_EQ(count("price", "eq", "dear"), 1u);
  EXPECT_EQ(count("name", "eq", 7), 1u);
  EXPECT_EQ(words("price", "dear").error().kind, ErrorKind::kBadRequest);  // a column of numbers

  // Neither another type nor an empty list changes what is there.
  const auto version = vectors_->stats(collection_).value().version;
  ASSERT_TRUE(index({index_of("price", "keyword")}).ok());
  ASSERT_TRUE(index({}).ok());
  upsert("last", {{"price", 4}});
  EXPECT_EQ(vectors_->stats(collection_).value().version, version + 1);
  EXPECT_EQ(shown_indexes(collection_).as_array().size(), 2u);
  EXPECT_EQ(count("price", "gte", 2), 3u);
}

TEST_F(PayloadIndexesTest, NewCollectionsHaveThemAndOneDocumentIsAWriteToo) {
  ASSERT_TRUE(index({index_of("name", "keyword")}).ok());
  upsert("a", {{"name", "pear"}}, "second");
  EXPECT_EQ(shown_indexes("second"), json::value(json::array{index_of("name", "keyword")}));
  EXPECT_EQ(shown_indexes(collection_), json::value());
  ok(shop_, "create_document", {.path = {{"collection_identifier", collection_}}, .body = {{"document_id", "b"}, {"name", "plum"}}});
  EXPECT_EQ(words("name", "plum").value(), 1u);
}

TEST_F(PayloadIndexesTest, AColumnThatIsThereStays) {
  mvs::TableSpec spec;  // as another program would have added it
  spec.table_id = collection_;
  spec.fields = {{"price", FieldType::kString}};
  ASSERT_TRUE(vectors_->extend_table(spec).ok());
  ASSERT_TRUE(index({index_of("price", "integer")}).ok());
  upsert("a", {{"price", 7}});
  upsert("b", {{"price", "seven"}});
  EXPECT_EQ(words("price", "seven").value(), 1u);
  EXPECT_EQ(count("price", "eq", 7), 1u);
}

}  // namespace
}  // namespace quarry::service
