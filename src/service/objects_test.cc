#include "service/test_ingest_world.h"

namespace quarry::service {
namespace {

class ObjectsTest : public IngestWorld {
 protected:
  json::object get(const std::string& bucket, const std::string& id, json::object query = {}) {
    return ok(client_, "get_object_buckets",
              {.path = {{"bucket_identifier", bucket}, {"object_identifier", id}}, .query = std::move(query)});
  }
  static const json::object& first_blob(const json::object& shown) { return shown.at("blobs").as_array()[0].as_object(); }
  static std::string location_of(const Error& error) {
    return json::serialize(error.details.at("validation_errors").as_array()[0].as_object().at("location"));
  }
  json::object media(std::string_view type, std::string_view data) { return media(type, json::value(data)); }
  json::object media(std::string_view type, json::value data) {
    return {{"blobs", json::array{json::object{{"property", "file"}, {"type", type}, {"data", std::move(data)}}}}};
  }
};

constexpr std::string_view kPng = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

TEST_F(ObjectsTest, FieldsAndBlobsAreShownAsGiven) {
  std::string bucket = text_bucket();
  json::object made =
      create_object(bucket, object_body("some words", {{"author", "Austen"}, {"metadata", {{"k", "v"}}}, {"key_prefix", "/novels/emma"}}));
  json::object shown = get(bucket, object_id_of(made));
  EXPECT_EQ(shown.at("author"), "Austen");
  EXPECT_EQ(shown.at("metadata"), (json::object{{"k", "v"}}));
  EXPECT_EQ(shown.at("key_prefix"), "/novels/emma");
  EXPECT_EQ(shown.at("status"), "PENDING");
  EXPECT_EQ(first_blob(shown).at("data"), "some words");
  EXPECT_EQ(first_blob(shown).at("details").as_object().at("size_bytes"), 10);
  EXPECT_FALSE(shown.contains("_internal"));
  EXPECT_FALSE(first_blob(shown).contains("storage"));
  EXPECT_EQ(get(bucket, object_id_of(made), {{"include_document_count", true}}).at("document_count"), 0);
}

TEST_F(ObjectsTest, FilesComeAsBase64DataUriOrUrl) {
  std::string bucket = make_bucket("files", {{"file", {{"type", "image"}}}});
  json::object plain = create_object(bucket, media("image", kPng));
  const json::object& details = first_blob(plain).at("details").as_object();
  EXPECT_EQ(details.at("mime_type"), "image/png");
  EXPECT_EQ(details.at("hash").as_string().size(), 64u);
  json::object shown = get(bucket, object_id_of(plain), {{"return_presigned_urls", true}});
  std::string url(first_blob(shown).at("presigned_url").as_string());
  auto fetched = follow("get_presigned", url);
  ASSERT_TRUE(fetched.ok()) << fetched.error().message;
  std::string bytes;
  ASSERT_TRUE(base64_decode(kPng, bytes));
  EXPECT_EQ(sent_bytes(*fetched), bytes);
  EXPECT_EQ(fetched->content_type, "image/png");
  auto part = follow("get_presigned", url, "", {{"range", "bytes=1-3"}});
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(part->status, 206);
  EXPECT_EQ(sent_bytes(*part), "PNG");
  EXPECT_EQ(follow("get_presigned", url + "0").error().kind, ErrorKind::kForbidden);
  std::string size = std::to_string(bytes.size()), last = std::to_string(bytes.size() - 1);
  const std::pair<std::string, std::string> ranges[] = {{"bytes=0-", "bytes 0-" + last + "/" + size},
                                                        {"bytes=-1", "bytes " + last + "-" + last + "/" + size},
                                                        {"bytes=3-1", ""},
                                                        {"bytes=x-1", ""}};
  for (const auto& [range, content_range] : ranges) {
    auto reply = follow("get_presigned", url, "", {{"range", range}});
    ASSERT_TRUE(reply.ok()) << range;
    EXPECT_EQ(reply->status, content_range.empty() ? 200 : 206) << range;
    if (content_range.empty()) continue;
    EXPECT_EQ(reply->headers.front(), std::pair(std::string("Content-Range"), content_range)) << range;
  }
  for (std::string nothing : {"bytes=-0", "bytes=100000-", "bytes=100000-200000"})
    EXPECT_EQ(follow("get_presigned", url, "", {{"range", nothing}}).error().kind, ErrorKind::kRangeNotSatisfiable) << nothing;
  clock_.advance_us(2 * 3'600'000'000);
  EXPECT_EQ(follow("get_presigned", url).error().kind, ErrorKind::kForbidden);

  json::object as_uri = create_object(bucket, media("image", std::string_view("data:image/png;base64," + std::string(kPng))));
  EXPECT_EQ(first_blob(as_uri).at("details").as_object().at("hash"), details.at("hash"));
  json::object as_url = create_object(bucket, media("image", std::string_view("https://example.org/a.png")));
  EXPECT_EQ(first_blob(as_url).at("url"), "https://example.org/a.png");
}

TEST_F(ObjectsTest, WhatCannotBeAFileIsRefusedByName) {
  std::string bucket = make_bucket("files", {{"file", {{"type", "pdf"}}}});
  struct Case {
    json::value data;
    ErrorKind kind;
    const char* says;
  };
  for (const Case& c : {Case{json::value("file:///etc/passwd"), ErrorKind::kValidation, "'file' URLs are refused"},
                        Case{"ftp://host/x", ErrorKind::kValidation, "refused"},
                        Case{"s3://bucket/key", ErrorKind::kNotImplemented, "s3://"}, Case{"%%%", ErrorKind::kValidation, "neither a URL"},
                        Case{json::value(kPng), ErrorKind::kValidation, "declared as pdf but its content is image/png"},
                        Case{"data:application/pdf;base64,", ErrorKind::kValidation, "is empty"},
                        Case{"https://", ErrorKind::kValidation, ""}, Case{7, ErrorKind::kValidation, "is a URL, a data: URI or base64"}}) {
    Error error = refused_object(bucket, media("pdf", c.data));
    EXPECT_EQ(error.kind, c.kind) << json::serialize(c.data) << " " << error.message;
    EXPECT_NE((error.message + json::serialize(error.details)).find(c.says), std::string::npos) << error.message;
  }
  EXPECT_EQ(refused_object(bucket, media("pdf", std::string_view(std::string(2 << 20, 'A')))).kind, ErrorKind::kPayloadTooLarge);
  EXPECT_TRUE(store_->list("", "", 100)->empty()) << "nothing half-written";
}

TEST_F(ObjectsTest, TheSchemaIsKept) {
  std::string bucket = make_bucket(
      "strict",
      {{"title", {{"type", "string"}, {"required", true}}}, {"pages", {{"type", "integer"}, {"default", 1}}}, {"file", {{"type", "pdf"}}}});
  Error missing = refused_object(bucket, {{"pages", 3}});
  EXPECT_EQ(missing.kind, ErrorKind::kValidation);
  EXPECT_NE(json::serialize(missing.details).find("title"), std::string::npos);
  EXPECT_EQ(refused_object(bucket, {{"title", "x"}, {"pages", "three"}}).kind, ErrorKind::kValidation);
  json::object unknown{{"title", "x"}, {"blobs", json::array{json::object{{"property", "fil"}, {"type", "pdf"}, {"data", "x"}}}}};
  Error nearest = refused_object(bucket, unknown);
  EXPECT_NE(json::serialize(nearest.details).find("did you mean 'file'"), std::string::npos) << json::serialize(nearest.details);
  json::object wrong_type{{"title", "x"}, {"blobs", json::array{json::object{{"property", "file"}, {"type", "video"}, {"data", "x"}}}}};
  EXPECT_EQ(location_of(refused_object(bucket, wrong_type)), R"(["body","blobs",0,"type"])");
  EXPECT_EQ(create_object(bucket, {{"title", "x"}}).at("pages"), 1);
  EXPECT_EQ(refused_object(bucket, {{"title", "x"}, {"status", "COMPLETED"}}).kind, ErrorKind::kValidation);
  EXPECT_EQ(refused_object(bucket, {{"title", "x"}, {"_internal", "y"}}).kind, ErrorKind::kValidation);
  EXPECT_EQ(refused_object(bucket, {{"title", "x"}, {"key_prefix", "../../etc"}}).kind, ErrorKind::kValidation);
}

TEST_F(ObjectsTest, RepeatsAreRecognised) {
  std::string bucket = text_bucket();
  std::string first = object_id_of(create_object(bucket, object_body("same", {{"idempotency_key", "k1"}})));
  json::object again = create_object(bucket, object_body("other", {{"idempotency_key", "k1"}}));
  EXPECT_EQ(object_id_of(again), first);
  EXPECT_EQ(again.at("replayed_by"), "idempotency_key");
  EXPECT_EQ(object_id_of(create_object(bucket, object_body("same", {{"skip_duplicates", true}}))), first);
  EXPECT_NE(object_id_of(create_object(bucket, object_body("same"))), first);
  ASSERT_TRUE(call(client_, "delete_object_buckets", {.path = {{"bucket_identifier", bucket}, {"object_identifier", first}}}).ok());
  EXPECT_NE(object_id_of(create_object(bucket, object_body("new", {{"idempotency_key", "k1"}}))), first);
}

TEST_F(ObjectsTest, AnIdempotencyKeyOutlivesChangesOfItsObject) {
  std::string bucket = make_bucket("products", {{"sku", {{"type", "string"}}}, {"price", {{"type", "number"}}}},
                                   {{"unique_key", {{"fields", json::array{"sku"}}, {"default_policy", "upsert"}}}});
  auto create = [&](int price, const char* key) {
    return create_object(bucket, {{"sku", "a"}, {"price", price}, {"idempotency_key", key}});
  };
  std::string id = object_id_of(create(1, "k1"));
  ok(client_, "patch_object_buckets", {.path = {{"bucket_identifier", bucket}, {"object_identifier", id}}, .body = {{"price", 2}}});
  EXPECT_EQ(create(1, "k1").at("replayed_by"), "idempotency_key");
  EXPECT_FALSE(create(3, "k2").contains("replayed"));  // an upsert of the same object
  for (const char* key : {"k1", "k2"}) EXPECT_EQ(create(4, key).at("replayed_by"), "idempotency_key") << key;
  EXPECT_EQ(get(bucket, id).at("price"), 3);
  ASSERT_TRUE(call(client_, "delete_object_buckets", {.path = {{"bucket_identifier", bucket}, {"object_identifier", id}}}).ok());
  catalog::ListQuery left;
  left.kind = "object_index";
  left.scope = {first_.organization_id, client_.ns};
  EXPECT_TRUE(catalog_->list(left).value().items.empty());
}

TEST_F(ObjectsTest, AUniqueKeyFollowsItsPolicy) {
  std::string bucket = make_bucket("products", {{"sku", {{"type", "string"}}}, {"price", {{"type", "number"}}}},
                                   {{"unique_key", {{"fields", json::array{"sku"}}, {"default_policy", "insert"}}}});
  std::string id = object_id_of(create_object(bucket, {{"sku", "a"}, {"price", 1}}));
  Error taken = refused_object(bucket, {{"sku", "a"}, {"price", 2}});
  EXPECT_EQ(taken.kind, ErrorKind::kAlreadyExists);
  EXPECT_EQ(string_member(taken.details, "object_id"), id);
  EXPECT_EQ(refused_object(bucket, {{"price", 2}}).kind, ErrorKind::kValidation);
  EXPECT_EQ(object_id_of(create_object(bucket, {{"sku", "a"}, {"price", 3}}, {{"policy", "upsert"}})), id);
  EXPECT_EQ(get(bucket, id).at("price"), 3);
  EXPECT_EQ(object_id_of(create_object(bucket, {{"sku", "a"}, {"price", 4}}, {{"policy", "skip"}})), id);
  EXPECT_EQ(get(bucket, id).at("price"), 3);
  EXPECT_EQ(error_of(client_, "create_object_buckets",
                     {.path = {{"bucket_identifier", bucket}}, .body = {{"sku", "b"}}, .query = {{"policy", "update"}}}),
            ErrorKind::kNotFound);
  std::string other = object_id_of(create_object(bucket, {{"sku", "c"}}));
  EXPECT_EQ(error_of(client_, "patch_object_buckets",
                     {.path = {{"bucket_identifier", bucket}, {"object_identifier", other}}, .body = {{"sku", "a"}}}),
            ErrorKind::kAlreadyExists);
  EXPECT_EQ(get(bucket, other).at("sku"), "c");
}

TEST_F(ObjectsTest, AnUpsertedFileLiesUnderItsObject) {
  std::string bucket = make_bucket("pages", {{"url", {{"type", "string"}}}, {"text", {{"type", "text"}}}},
                                   {{"unique_key", {{"fields", json::array{"url"}}, {"default_policy", "upsert"}}}});
  auto page = [](char c) {
    return json::object{
        {"url", "u"},
        {"blobs", json::array{json::object{{"property", "text"}, {"type", "text"}, {"data", std::string_view(std::string(100'000, c))}}}}};
  };
  std::string id = object_id_of(create_object(bucket, page('a')));
  EXPECT_EQ(object_id_of(create_object(bucket, page('b'))), id);
  json::object both = ok(client_, "create_objects_batch_buckets",
                         {.path = {{"bucket_identifier", bucket}}, .body = {{"objects", json::array{page('c'), page('d')}}}});
  EXPECT_EQ(both.at("succeeded_count"), 2) << json::serialize(both);
  auto keys = store_->list("", "", 10);
  ASSERT_EQ(keys->size(), 1u);
  EXPECT_NE(keys->front().key.find("/" + id + "/"), std::string::npos);
  EXPECT_EQ(store_->get(keys->front().key)->front(), 'd');
}

TEST_F(ObjectsTest, ABatchOfObjectsKeepsTheGoodOnes) {
  std::string bucket = make_bucket("typed", {{"n", {{"type", "integer"}, {"required", true}}}});
  json::array objects{json::object{{"n", 1}}, json::object{{"n", "two"}}, json::object{{"n", 3}}};
  json::object reply =
      ok(client_, "create_objects_batch_buckets", {.path = {{"bucket_identifier", bucket}}, .body = {{"objects", objects}}});
  EXPECT_EQ(reply.at("succeeded_count"), 2);
  EXPECT_EQ(reply.at("failed_count"), 1);
  EXPECT_EQ(reply.at("failed").as_array()[0].as_object().at("object_index"), 1);
  EXPECT_EQ(reply.at("succeeded").as_array()[1].as_object().at("object_index"), 2);
}

TEST_F(ObjectsTest, ListsFilterPageSearchAndSelect) {
  std::string bucket = text_bucket();
  for (int i = 0; i < 5; ++i) {
    create_object(bucket, object_body("text " + std::to_string(i),
                                      {{"author", i < 2 ? "Austen" : "Brontë"}, {"key_prefix", "set/" + std::to_string(i)}}));
    clock_.advance_us(1000);
  }
  auto list = [&](json::object body) {
    return ok(client_, "list_objects_buckets", {.path = {{"bucket_identifier", bucket}}, .body = std::move(body)});
  };
  json::object page = list({{"limit", 2}, {"sort", {{"field", "created_at"}, {"direction", "asc"}}}});
  EXPECT_EQ(page.at("results").as_array()[0].as_object().at("key_prefix"), "set/0");
  EXPECT_EQ(page.at("pagination").as_object().at("total"), 5);
  json::object next = list({{"limit", 2},
                            {"cursor", page.at("pagination").as_object().at("next_cursor")},
                            {"sort", {{"field", "created_at"}, {"direction", "asc"}}}});
  EXPECT_EQ(next.at("results").as_array()[0].as_object().at("key_prefix"), "set/2");
  EXPECT_EQ(refused("list_objects_buckets", {.path = {{"bucket_identifier", bucket}}, .body = {{"cursor", "bm90IG91cnM"}}}).kind,
            ErrorKind::kValidation);
  EXPECT_EQ(refused("list_objects_buckets", {.path = {{"bucket_identifier", bucket}}, .body = {{"limit", 5000}}}).kind,
            ErrorKind::kValidation);
  json::object austen =
      list({{"filters", {{"AND", json::array{json::object{{"field", "author"}, {"operator", "eq"}, {"value", "Austen"}}}}}},
            {"select", json::array{"author"}}});
  ASSERT_EQ(austen.at("results").as_array().size(), 2u);
  EXPECT_EQ(austen.at("results").as_array()[0].as_object().size(), 3u);
  EXPECT_EQ(austen.at("stats").as_object().at("total_blobs"), 2);
  EXPECT_EQ(list({{"search", "set/4"}}).at("results").as_array().size(), 1u);
  json::object groups = ok(client_, "aggregate_objects_buckets",
                           {.path = {{"bucket_identifier", bucket}},
                            .body = {{"group_by", json::array{json::object{{"field", "author"}}}},
                                     {"aggregations", json::array{json::object{{"function", "count"}, {"alias", "n"}}}}}});
  EXPECT_EQ(groups.at("total_groups"), 2);
}

TEST_F(ObjectsTest, PatchMergesAndPutReplaces) {
  std::string bucket = text_bucket();
  std::string id = object_id_of(create_object(bucket, object_body("old text", {{"author", "A"}, {"year", 1800}})));
  auto change = [&](const char* operation, json::object body) {
    return ok(client_, operation, {.path = {{"bucket_identifier", bucket}, {"object_identifier", id}}, .body = std::move(body)});
  };
  json::object patched = change("patch_object_buckets", {{"author", "B"}});
  EXPECT_EQ(patched.at("author"), "B");
  EXPECT_EQ(patched.at("year"), 1800);
  EXPECT_EQ(first_blob(patched).at("data"), "old text");
  json::object put = change("update_object_buckets", {{"author", "C"}});
  EXPECT_FALSE(put.contains("year"));
  EXPECT_EQ(first_blob(put).at("data"), "old text");
  json::object last = change("update_object_buckets", object_body("new text"));
  EXPECT_EQ(first_blob(last).at("data"), "new text");
  clock_.advance_us(1'000'000);
  EXPECT_EQ(change("update_object_buckets", object_body("new text", {{"skip_duplicates", true}})), last);
  EXPECT_NE(change("patch_object_buckets", {{"key_prefix", "a"}, {"skip_duplicates", true}}).at("updated_at"), last.at("updated_at"));
}

TEST_F(ObjectsTest, AutoProcessMakesDocumentsAndDeletingRemovesThem) {
  std::string bucket = text_bucket();
  EXPECT_EQ(create_object(bucket, object_body("nobody listens"), {{"auto_process", true}}).at("auto_process").as_object().at("submitted"),
            false);
  std::string collection = bucket_collection("words", bucket);
  ASSERT_TRUE(engine_->start().ok());
  json::object made =
      create_object(bucket, object_body("it is a truth universally acknowledged", {{"author", "Austen"}}), {{"auto_process", true}});
  std::string batch(string_member(made.at("auto_process").as_object(), "batch_id"));
  EXPECT_EQ(end_of(bucket, batch), "COMPLETED");
  std::string id = object_id_of(made);
  EXPECT_EQ(get(bucket, id).at("status"), "COMPLETED");
  EXPECT_EQ(get(bucket, id, {{"include_document_count", true}}).at("document_count"), 1);
  auto documents = vectors_->scan({.table_id = collection});
  ASSERT_EQ(documents->documents.size(), 1u);
  const Document& document = documents->documents[0];
  EXPECT_EQ(document.payload.at("author"), "Austen");
  EXPECT_EQ(document.lineage.root_object_id, id);
  EXPECT_EQ(document.payload.at("content_type"), "text/plain");

  json::object soft =
      ok(client_, "bulk_soft_delete_objects_buckets",
         {.path = {{"bucket_identifier", bucket}}, .body = {{"object_ids", json::array{id, "obj_unknown"}}, {"reason", "test"}}});
  EXPECT_EQ(soft.at("soft_deleted"), 1);
  EXPECT_EQ(soft.at("requested"), 2);
  EXPECT_EQ(documents_in(collection), 0u);
  EXPECT_EQ(get(bucket, id).at("lifecycle_state"), "disabled");
  std::string skipped(string_member(create_batch(bucket, {{"object_ids", json::array{id}}, {"auto_submit", true}}), "batch_id"));
  EXPECT_EQ(end_of(bucket, skipped), "COMPLETED");
  EXPECT_EQ(documents_in(collection), 0u);
}

}  // namespace
}  // namespace quarry::service
