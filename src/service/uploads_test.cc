#include "service/test_ingest_world.h"

namespace quarry::service {
namespace {

// Runs `after_get` once, after the bytes of a get() were read.
class HookedStore final : public objects::ObjectStore {
 public:
  explicit HookedStore(objects::ObjectStore& inner) : inner_(inner) {}
  Status put(std::string_view key, std::string_view bytes) override { return inner_.put(key, bytes); }
  Status put_if_absent(std::string_view key, std::string_view bytes) override { return inner_.put_if_absent(key, bytes); }
  Result<std::string> get(std::string_view key) override {
    auto bytes = inner_.get(key);
    if (auto hook = std::exchange(after_get, nullptr)) hook();
    return bytes;
  }
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    return inner_.get_range(key, offset, length);
  }
  Result<objects::ObjectInfo> head(std::string_view key) override { return inner_.head(key); }
  Result<std::vector<objects::ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override {
    return inner_.list(prefix, after, limit);
  }
  Status remove(std::string_view key) override { return inner_.remove(key); }
  std::string describe() const override { return inner_.describe(); }

  std::function<void()> after_get;

 private:
  objects::ObjectStore& inner_;
};

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
  HookedStore& hook_store() {
    hooked_ = std::make_unique<HookedStore>(*store_);
    deps_.store = hooked_.get();
    api_ = Api::make(deps_);
    return *hooked_;
  }
  std::string content_of(std::string_view object_id) {
    json::object made = object(object_id);
    return sent_bytes(follow("get_presigned", string_member(made.at("blobs").as_array()[0].as_object(), "presigned_url")).value());
  }
  json::object object(std::string_view id) {
    return ok(
        client_, "get_object_buckets",
        {.path = {{"bucket_identifier", bucket_}, {"object_identifier", std::string(id)}}, .query = {{"return_presigned_urls", true}}});
  }
  std::unique_ptr<HookedStore> hooked_;
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
  EXPECT_EQ(sent_bytes(*follow("get_presigned", string_member(blob, "presigned_url"))), "hello");
  EXPECT_EQ(ok(client_, "confirm_upload_buckets", confirm_call(upload)).at("object_id"), confirmed.at("object_id"));
  EXPECT_EQ(put(upload, "other").error().kind, ErrorKind::kConflict);
  EXPECT_EQ(sent_bytes(*follow("get_presigned", string_member(blob, "presigned_url"))), "hello");
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
  const Gate* gate = api_->find_gate("put_presigned");
  ASSERT_NE(gate, nullptr) << "a forged URL is refused before its bytes are read";
  Request forgery;
  forgery.query = {{"key", "a"}, {"expires", "99999999999"}, {"signature", "x"}};
  EXPECT_EQ((*gate)(RequestContext{}, forgery).error().kind, ErrorKind::kForbidden);
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

TEST_F(UploadsTest, AFileThatIsReplacedWhileItIsConfirmedIsNotLost) {
  HookedStore& store = hook_store();
  json::object upload = text_upload();
  ASSERT_TRUE(put(upload, "first").ok());
  store.after_get = [&] { EXPECT_TRUE(put(upload, "second").ok()); };
  EXPECT_EQ(error_of(client_, "confirm_upload_buckets", confirm_call(upload)), ErrorKind::kConflict);
  json::object confirmed = ok(client_, "confirm_upload_buckets", confirm_call(upload));
  EXPECT_EQ(content_of(string_member(confirmed, "object_id")), "second");
  EXPECT_EQ(string_member(confirmed, "file_hash"), sha256_hex("second"));

  json::object own = text_upload({{"create_object_on_confirm", false}});
  ASSERT_TRUE(put(own, "first").ok());
  store.after_get = [&] { EXPECT_TRUE(put(own, "second").ok()); };
  json::object blob{{"property", "content"}, {"type", "text"}, {"upload_id", own.at("upload_id")}};
  EXPECT_EQ(refused_object(bucket_, {{"blobs", json::array{blob}}}).kind, ErrorKind::kConflict);
}

TEST_F(UploadsTest, TwoConfirmationsAtOnceMakeOneObjectThatKeepsItsBytes) {
  HookedStore& store = hook_store();
  json::object upload = text_upload();
  ASSERT_TRUE(put(upload, "hello").ok());
  json::object other;
  store.after_get = [&] { other = ok(client_, "confirm_upload_buckets", confirm_call(upload)); };
  json::object confirmed = ok(client_, "confirm_upload_buckets", confirm_call(upload));
  EXPECT_EQ(confirmed.at("object_id"), other.at("object_id"));
  EXPECT_EQ(content_of(string_member(confirmed, "object_id")), "hello");
}

TEST_F(UploadsTest, ABatchOfConfirmationsIsCheckedBeforeAnyIsMade) {
  json::object upload = text_upload();
  ASSERT_TRUE(put(upload, "hello").ok());
  json::array confirmations{json::object{{"upload_id", upload.at("upload_id")}}, json::object{}};
  EXPECT_EQ(error_of(client_, "confirm_uploads_batch_buckets",
                     {.path = {{"bucket_identifier", bucket_}}, .body = {{"confirmations", confirmations}}}),
            ErrorKind::kValidation);
  EXPECT_EQ(ok(client_, "get_upload_buckets", confirm_call(upload)).at("status"), "PENDING");
}

TEST_F(UploadsTest, OnlyWhoMayWriteSeesTheUrlToPutTo) {
  json::object upload = text_upload();
  auto context = context_of(client_).value();
  for (uint8_t permission : {kRead, kWrite}) {
    context.permissions = permission;
    Request request;
    request.path = confirm_call(upload).path;
    request.query = {{"return_presigned_urls", true}};
    request.body = json::object{{"return_presigned_urls", true}};
    auto one = (*api_->find("get_upload_buckets"))(context, request), all = (*api_->find("list_uploads_buckets"))(context, request);
    ASSERT_TRUE(one.ok() && all.ok());
    EXPECT_EQ(one->body.as_object().contains("presigned_url"), permission == kWrite);
    EXPECT_EQ(all->body.at("results").at(0).as_object().contains("presigned_url"), permission == kWrite);
  }
}

TEST_F(UploadsTest, DeletingAnUploadKeepsItsObjectsBytes) {
  json::object used = text_upload(), unused = text_upload();
  ASSERT_TRUE(put(used, "used").ok());
  ASSERT_TRUE(put(unused, "unused").ok());
  json::object confirmed = ok(client_, "confirm_upload_buckets", confirm_call(used));
  for (const json::object& upload : {used, unused}) EXPECT_EQ(call(client_, "delete_upload_buckets", confirm_call(upload))->status, 204);
  EXPECT_EQ(store_->list("", "", 10)->size(), 1u);
  const json::object made = object(string_member(confirmed, "object_id"));
  EXPECT_EQ(sent_bytes(*follow("get_presigned", string_member(made.at("blobs").as_array()[0].as_object(), "presigned_url"))), "used");
}

}  // namespace
}  // namespace quarry::service
