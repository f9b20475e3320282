#include "service/test_ingest_world.h"

namespace quarry::service {
namespace {

class BucketsTest : public IngestWorld {
 protected:
  json::object get(const std::string& bucket) { return ok(client_, "get_bucket", {.path = {{"bucket_identifier", bucket}}}); }
  json::object patch(const std::string& bucket, json::object body, json::object query = {}) {
    return ok(client_, "patch_bucket", {.path = {{"bucket_identifier", bucket}}, .body = std::move(body), .query = std::move(query)});
  }
};

TEST_F(BucketsTest, CreatedReadByNameListedChanged) {
  std::string id = make_bucket("films", {{"title", {{"type", "string"}, {"required", true}}}},
                               {{"description", "moving pictures"}, {"metadata", {{"a", 1}, {"b", 2}}}});
  json::object shown = get("films");
  EXPECT_EQ(string_member(shown, "bucket_id"), id);
  EXPECT_EQ(shown.at("object_count"), 0);
  EXPECT_EQ(shown.at("total_size_bytes"), 0);
  EXPECT_EQ(shown.at("bucket_schema").as_object().at("properties").as_object().at("title").as_object().at("type"), "string");
  EXPECT_FALSE(shown.contains("_internal"));
  patch(id, {{"bucket_name", "movies"}, {"metadata", {{"b", nullptr}, {"c", 3}}}});
  EXPECT_EQ(get(id).at("metadata"), (json::object{{"a", 1}, {"c", 3}}));
  ok(client_, "update_bucket", {.path = {{"bucket_identifier", "movies"}}, .body = {{"metadata", {{"d", 4}}}}});
  EXPECT_EQ(get("movies").at("metadata"), (json::object{{"d", 4}}));
  json::object list = ok(client_, "list_buckets", {.body = {{"search", "MOV"}}});
  EXPECT_EQ(list.at("results").as_array().size(), 1u);
  EXPECT_EQ(list.at("total_count"), 1);
}

TEST_F(BucketsTest, NamesAndSchemasAreChecked) {
  make_bucket("taken", {});
  EXPECT_EQ(refused("create_bucket", {.body = {{"bucket_name", "taken"}, {"bucket_schema", {{"properties", json::object{}}}}}}).kind,
            ErrorKind::kAlreadyExists);
  for (const char* name : {"list", "../etc", "a/b", "", ".hidden"})
    EXPECT_EQ(refused("create_bucket", {.body = {{"bucket_name", name}, {"bucket_schema", {{"properties", json::object{}}}}}}).kind,
              ErrorKind::kValidation)
        << name;
  EXPECT_EQ(
      refused("create_bucket", {.body = {{"bucket_name", "x"}, {"bucket_schema", {{"properties", {{"a", {{"type", "colour"}}}}}}}}}).kind,
      ErrorKind::kValidation);
  EXPECT_EQ(
      refused(
          "create_bucket",
          {.body = {{"bucket_name", "x"}, {"bucket_schema", {{"properties", json::object{}}}}, {"destination", {{"connection_id", "c"}}}}})
          .kind,
      ErrorKind::kNotImplemented);
  Error error = refused("create_bucket", {.body = {{"bucket_name", "x"},
                                                   {"bucket_schema", {{"properties", {{"sku", {{"type", "string"}}}}}}},
                                                   {"unique_key", {{"fields", json::array{"isbn"}}}}}});
  EXPECT_EQ(error.kind, ErrorKind::kValidation);
}

TEST_F(BucketsTest, ASchemaChangeThatBreaksStoredObjectsNeedsForce) {
  std::string id = make_bucket("b", {{"title", {{"type", "string"}}}});
  patch(id, {{"bucket_schema", {{"properties", {{"title", {{"type", "integer"}}}}}}}});  // empty: nothing breaks
  create_object(id, {{"title", 7}});
  json::object narrower{{"bucket_schema", {{"properties", {{"title", {{"type", "string"}}}}}}}};
  Error error = refused("patch_bucket", {.path = {{"bucket_identifier", id}}, .body = narrower});
  EXPECT_EQ(error.kind, ErrorKind::kBadRequest);
  EXPECT_NE(error.message.find("'title' becomes string"), std::string::npos) << error.message;
  patch(id, narrower, {{"force_schema_break", true}});
  patch(id, {{"bucket_schema", {{"properties", {{"title", {{"type", "string"}}}, {"year", {{"type", "integer"}}}}}}}});
}

TEST_F(BucketsTest, CountsFollowTheObjects) {
  std::string id = text_bucket();
  std::string object = object_id_of(create_object(id, object_body("12345")));
  create_object(id, object_body("123"));
  EXPECT_EQ(get(id).at("object_count"), 2);
  EXPECT_EQ(get(id).at("total_size_bytes"), 8);
  EXPECT_TRUE(get(id).contains("last_upload_at"));
  ok(client_, "patch_object_buckets", {.path = {{"bucket_identifier", id}, {"object_identifier", object}}, .body = object_body("1")});
  EXPECT_EQ(get(id).at("total_size_bytes"), 4);
  auto deleted = call(client_, "delete_object_buckets", {.path = {{"bucket_identifier", id}, {"object_identifier", object}}});
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->status, 204);
  EXPECT_EQ(get(id).at("object_count"), 1);
  EXPECT_EQ(get(id).at("total_size_bytes"), 3);
}

TEST_F(BucketsTest, DeletingABucketRemovesEverythingThatHangsOnIt) {
  std::string id = text_bucket(), collection = bucket_collection("words", id);
  std::string text(100'000, 'x');  // long enough to lie on the object store
  std::string object = object_id_of(create_object(id, object_body(text)));
  ASSERT_TRUE(engine_->start().ok());
  json::object batch = create_batch(id, {{"object_ids", json::array{object}}, {"auto_submit", true}});
  EXPECT_EQ(end_of(id, std::string(string_member(batch, "batch_id"))), "COMPLETED");
  EXPECT_GT(documents_in(collection), 0u);
  EXPECT_FALSE(store_->list("", "", 1000)->empty());
  json::object reply = ok(client_, "delete_bucket", {.path = {{"bucket_identifier", id}}});
  EXPECT_EQ(reply.at("success"), true);
  EXPECT_EQ(documents_in(collection), 0u);
  EXPECT_EQ(refused("get_bucket", {.path = {{"bucket_identifier", id}}}).kind, ErrorKind::kNotFound);
  for (const auto& info : *store_->list("", "", 1000)) EXPECT_EQ(info.key.find("/blobs/"), std::string::npos) << info.key;
}

TEST_F(BucketsTest, ABucketWithRunningBatchesStays) {
  std::string id = text_bucket();
  bucket_collection("words", id);
  std::string object = object_id_of(create_object(id, object_body("text")));
  create_batch(id, {{"object_ids", json::array{object}}, {"auto_submit", true}});  // no engine runs: it waits
  EXPECT_EQ(refused("delete_bucket", {.path = {{"bucket_identifier", id}}}).kind, ErrorKind::kBadRequest);
  ok(client_, "delete_bucket", {.path = {{"bucket_identifier", id}}, .query = {{"force_foreclose", true}}});
}

}  // namespace
}  // namespace quarry::service
