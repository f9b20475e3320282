#include "service/test_ingest_world.h"

namespace quarry::service {
namespace {

class UploadsTest : public IngestWorld {
 protected:
  void SetUp() override {
    IngestWorld::SetUp();
    bucket_ = make_bucket("files", {{"content", {{"type", "text"}}}, {"scan", {{"type", "pdf"}}}});
  }
  json::object create(json::object body) {
    return ok(client_, "create_upload_buckets", {.path = {{"bucket_identifier", bucket_}}, .body = std::move(body)});
  }
  json::object text_upload(json::object rest = {}) {
    rest["filename"] = "notes.txt";
    rest["content_type"] = "text/plain";
    return create(std::move(rest));
  }
  Call confirm_call(const json::object& upload, json::object body = {}) {
    return {.path = {{"bucket_identifier", bucket_}, {"upload_id", std::string(string_member(upload, "upload_id"))}},
            .body = std::move(body)};
  }
  Result<Reply> put(const json::object& upload, std::string bytes) {
    return follow("put_presigned", string_member(upload, "presigned_url"), std::move(bytes));
  }
  json::object object(std::string_view id) {
    return ok(
        client_, "get_object_buckets",
        {.path = {{"bucket_identifier", bucket_}, {"object_identifier", std::string(id)}}, .query = {{"return_presigned_urls", true}}});
  }
  std::string bucket_;
};

TEST_F(UploadsTest, PutAndConfirmMakeAnObject) {
  json::object upload = text_upload({{"object_metadata", {{"author", "me"}}}, {"file_size_bytes", 5}});
  EXPECT_EQ(upload.at("status"), "PENDING");
  auto sent = put(upload, "hello");
  ASSERT_TRUE(sent.ok()) << sent.error().message;
  json::object confirmed = ok(client_, "confirm_upload_buckets", confirm_call(upload, {{"etag", sent->body.as_object().at("etag")}}));
  EXPECT_EQ(confirmed.at("status"), "COMPLETED");
  EXPECT_EQ(confirmed.at("file_size_bytes"), 5);
  EXPECT_EQ(string_member(confirmed, "file_hash"), sha256_hex("hello"));
  json::object made = object(string_member(confirmed, "object_id"));
  EXPECT_EQ(made.at("author"), "me");
  const json::object& blob = made.at("blobs").as_array()[0].as_object();
  EXPECT_EQ(blob.at("property"), "content");
  EXPECT_EQ(blob.at("details").as_object().at("filename"), "notes.txt");
  EXPECT_EQ(follow("get_presigned", string_member(blob, "presigned_url"))->raw, "hello");
  EXPECT_EQ(ok(client_, "confirm_upload_buckets", confirm_call(upload)).at("object_id"), confirmed.at("object_id"));
  EXPECT_EQ(put(upload, "other").error().kind, ErrorKind::kConflict);
  EXPECT_EQ(follow("get_presigned", string_member(blob, "presigned_url"))->raw, "hello");
}

TEST_F(UploadsTest, WhatArrivesMustBeWhatWasAnnounced) {
  json::object upload = text_upload({{"file_size_bytes", 5}, {"file_hash", sha256_hex("hello")}});
  EXPECT_EQ(put(upload, "").error().kind, ErrorKind::kValidation);
  EXPECT_EQ(put(upload, "hell").error().kind, ErrorKind::kValidation);
  EXPECT_EQ(put(upload, "hallo").error().kind, ErrorKind::kValidation);
  EXPECT_EQ(error_of(client_, "confirm_upload_buckets", confirm_call(upload)), ErrorKind::kBadRequest);
  EXPECT_TRUE(store_->list("", "", 10)->empty());
  EXPECT_TRUE(put(upload, "hello").ok());
  EXPECT_EQ(error_of(client_, "confirm_upload_buckets", confirm_call(upload, {{"etag", "wrong"}})), ErrorKind::kValidation);
  std::string forged(string_member(upload, "presigned_url"));
  forged[forged.size() - 1] = forged.back() == '0' ? '1' : '0';
  EXPECT_EQ(follow("put_presigned", forged, "hello").error().kind, ErrorKind::kForbidden);
  EXPECT_EQ(follow("put_presigned", string_member(text_upload(), "presigned_url"), std::string((1 << 20) + 1, 'x')).error().kind,
            ErrorKind::kPayloadTooLarge);
}

TEST_F(UploadsTest, AWrongTypeIsNamedAndLeavesNoObject) {
  json::object upload = create({{"filename", "a.pdf"}, {"content_type", "application/pdf"}});
  ASSERT_TRUE(put(upload, "this is no PDF").ok());
  Error error = refused("confirm_upload_buckets", confirm_call(upload));
  EXPECT_EQ(error.kind, ErrorKind::kValidation);
  EXPECT_NE(json::serialize(error.details).find("declared as application/pdf but its content is text/plain"), std::string::npos)
      << json::serialize(error.details);
  json::object list = ok(client_, "list_objects_get_buckets", {.path = {{"bucket_identifier", bucket_}}});
  EXPECT_TRUE(list.at("results").as_array().empty());
}

TEST_F(UploadsTest, PathTricksInNamesAreRefused) {
  for (const char* name : {"../../etc/passwd", "a\\b", "a/b", "..", "x\n"})
    EXPECT_EQ(error_of(client_, "create_upload_buckets",
                       {.path = {{"bucket_identifier", bucket_}}, .body = {{"filename", name}, {"content_type", "text/plain"}}}),
              ErrorKind::kValidation)
        << name;
}

TEST_F(UploadsTest, ASecondUploadOfTheSameFileNeedsNoBytes) {
  json::object first = text_upload();
  ASSERT_TRUE(put(first, "hello").ok());
  json::object confirmed = ok(client_, "confirm_upload_buckets", confirm_call(first));
  json::object second = text_upload({{"file_hash", sha256_hex("hello")}});
  EXPECT_EQ(second.at("is_duplicate"), true);
  EXPECT_EQ(second.at("duplicate_of_upload_id"), first.at("upload_id"));
  EXPECT_EQ(second.at("existing_object_id"), confirmed.at("object_id"));
  EXPECT_FALSE(second.contains("presigned_url"));
  // Without a hash the bytes come again; they turn out to be those of the first.
  json::object third = text_upload();
  ASSERT_TRUE(put(third, "hello").ok());
  EXPECT_EQ(ok(client_, "confirm_upload_buckets", confirm_call(third)).at("object_id"), confirmed.at("object_id"));
  EXPECT_EQ(store_->list("", "", 10)->size(), 1u);
}

TEST_F(UploadsTest, AnObjectCanTakeAnUploadByItself) {
  json::object upload = text_upload({{"create_object_on_confirm", false}});
  std::string id(string_member(upload, "upload_id"));
  json::object body{{"blobs", json::array{json::object{{"property", "content"}, {"type", "text"}, {"upload_id", id}}}}};
  EXPECT_EQ(refused_object(bucket_, body).kind, ErrorKind::kValidation);
  ASSERT_TRUE(put(upload, "hello").ok());
  json::object made = create_object(bucket_, body);
  EXPECT_EQ(made.at("blobs").as_array()[0].as_object().at("details").as_object().at("size_bytes"), 5);
  EXPECT_EQ(refused_object(bucket_, body).kind, ErrorKind::kValidation);
  ASSERT_TRUE(
      call(client_, "delete_object_buckets", {.path = {{"bucket_identifier", bucket_}, {"object_identifier", object_id_of(made)}}}).ok());
  EXPECT_TRUE(store_->list("", "", 10)->empty());
}

TEST_F(UploadsTest, ManyAtOnceConfirmTogether) {
  json::array wanted{json::object{{"filename", "a.txt"}, {"content_type", "text/plain"}},
                     json::object{{"filename", "b.txt"}, {"content_type", "text/plain"}}};
  json::object reply =
      ok(client_, "create_uploads_batch_buckets",
         {.path = {{"bucket_identifier", bucket_}}, .body = {{"uploads", wanted}, {"shared_object_metadata", {{"set", "x"}}}}});
  EXPECT_EQ(reply.at("total"), 2);
  const json::array& uploads = reply.at("uploads").as_array();
  ASSERT_TRUE(put(uploads[0].as_object(), "first").ok());
  json::array confirmations;
  for (const auto& upload : uploads) confirmations.push_back(json::object{{"upload_id", upload.as_object().at("upload_id")}});
  json::object confirmed =
      ok(client_, "confirm_uploads_batch_buckets", {.path = {{"bucket_identifier", bucket_}}, .body = {{"confirmations", confirmations}}});
  EXPECT_EQ(confirmed.at("status"), "COMPLETED_WITH_ERRORS");
  json::object task = ok(client_, "get_task", {.path = {{"task_id", std::string(string_member(confirmed, "task_id"))}}});
  const json::array& outcomes = task.at("additional_data").as_object().at("confirmations").as_array();
  EXPECT_EQ(outcomes[0].as_object().at("status"), "COMPLETED");
  EXPECT_EQ(object(string_member(outcomes[0].as_object(), "object_id")).at("set"), "x");
  EXPECT_EQ(outcomes[1].as_object().at("status"), "FAILED");
  json::object list = ok(client_, "list_uploads_buckets", {.path = {{"bucket_identifier", bucket_}}, .body = {{"search", "a.txt"}}});
  EXPECT_EQ(list.at("results").as_array().size(), 1u);
  EXPECT_EQ(list.at("stats").as_object().at("uploads_by_status").as_object().at("COMPLETED"), 1);
}

TEST_F(UploadsTest, DeletingAnUploadKeepsItsObjectsBytes) {
  json::object used = text_upload(), unused = text_upload();
  ASSERT_TRUE(put(used, "used").ok());
  ASSERT_TRUE(put(unused, "unused").ok());
  json::object confirmed = ok(client_, "confirm_upload_buckets", confirm_call(used));
  for (const json::object& upload : {used, unused}) EXPECT_EQ(call(client_, "delete_upload_buckets", confirm_call(upload))->status, 204);
  EXPECT_EQ(store_->list("", "", 10)->size(), 1u);
  const json::object made = object(string_member(confirmed, "object_id"));
  EXPECT_EQ(follow("get_presigned", string_member(made.at("blobs").as_array()[0].as_object(), "presigned_url"))->raw, "used");
}

}  // namespace
}  // namespace quarry::service
