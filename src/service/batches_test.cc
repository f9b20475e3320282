#include "service/test_ingest_world.h"

namespace quarry::service {
namespace {

class BatchesTest : public IngestWorld {
 protected:
  void SetUp() override {
    IngestWorld::SetUp();
    bucket_ = text_bucket();
  }
  std::vector<std::string> add(int count) {
    std::vector<std::string> ids;
    for (int i = 0; i < count; ++i)
      ids.push_back(
          object_id_of(create_object(bucket_, object_body("text number " + std::to_string(i), {{"author", i % 2 ? "odd" : "even"}}))));
    return ids;
  }
  Call on(const std::string& batch, json::object body = {}, json::object query = {}) {
    return {.path = {{"bucket_identifier", bucket_}, {"batch_id", batch}}, .body = std::move(body), .query = std::move(query)};
  }
  std::string id_of(const json::object& batch) { return std::string(string_member(batch, "batch_id")); }
  std::string bucket_;
};

TEST_F(BatchesTest, DraftedFilledSubmittedFinished) {
  std::string collection = bucket_collection("words", bucket_);
  auto ids = add(5);
  std::string id = id_of(create_batch(bucket_, {{"object_ids", json::array{ids[0], ids[1]}}, {"batch_name", "first"}}));
  json::object draft = batch_of(bucket_, id);
  EXPECT_EQ(draft.at("status"), "DRAFT");
  EXPECT_EQ(draft.at("object_ids").as_array().size(), 2u);
  ok(client_, "add_objects_to_batch_buckets_batches", on(id, {{"object_ids", to_array({ids[1], ids[2], ids[3], ids[4]})}}));
  EXPECT_EQ(batch_of(bucket_, id).at("object_count"), 5);
  json::object task = ok(client_, "submit_batch_buckets_batches", on(id));
  EXPECT_EQ(task.at("status"), "PENDING");
  EXPECT_EQ(task.at("task_type"), "api_buckets_batches_process");
  EXPECT_EQ(json::serialize(task).find("internal_id"), std::string::npos);
  EXPECT_EQ(error_of(client_, "submit_batch_buckets_batches", on(id)), ErrorKind::kBadRequest);
  EXPECT_EQ(error_of(client_, "delete_batch_buckets_batches", on(id)), ErrorKind::kBadRequest);
  EXPECT_EQ(error_of(client_, "add_objects_to_batch_buckets_batches", on(id, {{"object_ids", to_array(ids)}})), ErrorKind::kBadRequest);
  ASSERT_TRUE(engine_->start().ok());
  EXPECT_EQ(end_of(bucket_, id), "COMPLETED");
  EXPECT_EQ(documents_in(collection), 5u);
  json::object done = batch_of(bucket_, id);
  EXPECT_EQ(done.at("documents_written"), 5);
  EXPECT_EQ(done.at("lifecycle"), "done");
  EXPECT_EQ(done.at("progress").as_object().at("percent"), 100.0);
  EXPECT_EQ(done.at("tier_tasks").as_array()[0].as_object().at("status"), "COMPLETED");
  EXPECT_EQ(ok(client_, "get_task", {.path = {{"task_id", std::string(string_member(task, "task_id"))}}}).at("status"), "COMPLETED");
  EXPECT_EQ(ok(client_, "get_batch_by_id_batches", {.path = {{"batch_id", id}}}).at("batch_name"), "first");
  ok(client_, "delete_batch_buckets_batches", on(id));
  EXPECT_EQ(error_of(client_, "get_batch_buckets_batches", on(id)), ErrorKind::kNotFound);
}

TEST_F(BatchesTest, ForceProcessesWhatIsThereAlready) {
  std::string collection = bucket_collection("words", bucket_);
  json::object body{{"object_ids", to_array(add(1))}, {"dedup_strategy", "skip"}};
  ASSERT_TRUE(engine_->start().ok());
  std::string id = id_of(create_batch(bucket_, body));
  ok(client_, "submit_batch_buckets_batches", on(id));
  EXPECT_EQ(end_of(bucket_, id), "COMPLETED");
  int64_t version = vectors_->stats(collection)->data_version;
  for (bool force : {false, true}) {
    id = id_of(create_batch(bucket_, body));
    ok(client_, "submit_batch_buckets_batches", on(id, {}, {{"force", force}}));
    EXPECT_EQ(end_of(bucket_, id), "COMPLETED");
    EXPECT_EQ(vectors_->stats(collection)->data_version > version, force);
  }
  EXPECT_EQ(batch_of(bucket_, id).at("effective_dedup_strategy"), "force");
}

TEST_F(BatchesTest, MadeFromFiltersOrALimit) {
  add(6);
  json::object odd{{"AND", json::array{json::object{{"field", "author"}, {"operator", "eq"}, {"value", "odd"}}}}};
  EXPECT_EQ(create_batch(bucket_, {{"filters", odd}}).at("object_count"), 3);
  EXPECT_EQ(create_batch(bucket_, {{"limit", 4}}).at("object_count"), 4);
  EXPECT_EQ(create_batch(bucket_, {}).at("object_count"), 0);
  Error missing = refused("create_batch_buckets_batches",
                          {.path = {{"bucket_identifier", bucket_}}, .body = {{"object_ids", json::array{"obj_none"}}}});
  EXPECT_EQ(missing.kind, ErrorKind::kNotFound);
  EXPECT_EQ(missing.details.at("missing_object_ids"), (json::array{"obj_none"}));
}

TEST_F(BatchesTest, SubmittingWithoutACollectionOrObjectsSaysWhy) {
  std::string empty = id_of(create_batch(bucket_, {}));
  EXPECT_NE(refused("submit_batch_buckets_batches", on(empty)).message.find("has no objects"), std::string::npos);
  std::string id = id_of(create_batch(bucket_, {{"object_ids", to_array(add(1))}}));
  EXPECT_NE(refused("submit_batch_buckets_batches", on(id)).message.find("No collection takes"), std::string::npos);
  EXPECT_EQ(refused("submit_batch_buckets_batches", on(id, {{"collection_ids", json::array{"nowhere"}}})).kind, ErrorKind::kNotFound);
}

TEST_F(BatchesTest, FailuresAreListedAndRetried) {
  std::string collection = bucket_collection("words", bucket_);
  auto ids = add(2);
  // A file whose bytes are gone: the object fails, its batch does not.
  std::string lost = object_id_of(create_object(bucket_, object_body(std::string(100'000, 'y'))));
  for (const auto& info : *store_->list("", "", 10))
    if (info.key.find("/blobs/") != std::string::npos) ASSERT_TRUE(store_->remove(info.key).ok());
  ids.push_back(lost);
  ASSERT_TRUE(engine_->start().ok());
  std::string id = id_of(create_batch(bucket_, {{"object_ids", to_array(ids)}, {"auto_submit", true}}));
  EXPECT_EQ(end_of(bucket_, id), "COMPLETED_WITH_ERRORS");
  json::object failed = ok(client_, "get_failed_documents_buckets_batches_batch", on(id));
  EXPECT_EQ(failed.at("total"), 1);
  const json::object record = failed.at("results").as_array()[0].as_object();
  EXPECT_EQ(string_member(record, "object_id"), lost);
  EXPECT_EQ(record.at("error_type"), "permanent");
  EXPECT_EQ(batch_of(bucket_, id).at("failed_object_count"), 1);
  EXPECT_EQ(error_of(client_, "retry_batch_buckets_batches", on(id)), ErrorKind::kBadRequest);
  ok(client_, "patch_object_buckets",
     {.path = {{"bucket_identifier", bucket_}, {"object_identifier", lost}}, .body = object_body("found again")});
  json::object retried = ok(client_, "retry_batch_buckets_batches", on(id, {{"retry_mode", "all"}}));
  EXPECT_EQ(retried.at("retry_count"), 1);
  EXPECT_EQ(end_of(bucket_, id), "COMPLETED");
  EXPECT_EQ(documents_in(collection), 3u);
}

TEST_F(BatchesTest, CancelledWhileItWaits) {
  bucket_collection("words", bucket_);
  std::string id = id_of(create_batch(bucket_, {{"object_ids", to_array(add(1))}, {"auto_submit", true}}));
  json::object queue = ok(client_, "get_queue_status_batches");
  EXPECT_EQ(queue.at("queued_count"), 1);
  json::object task = ok(client_, "cancel_batch_buckets_batches", on(id, {}, {{"reason", "changed my mind"}}));
  EXPECT_EQ(task.at("status"), "CANCELED");
  EXPECT_EQ(batch_of(bucket_, id).at("status"), "CANCELED");
  EXPECT_EQ(error_of(client_, "cancel_batch_buckets_batches", on(id)), ErrorKind::kBadRequest);
  std::string draft = id_of(create_batch(bucket_, {}));
  EXPECT_EQ(ok(client_, "cancel_batch_by_id_batches", {.path = {{"batch_id", draft}}}).at("status"), "CANCELED");
}

TEST_F(BatchesTest, ATaskIsKilledByCancellingItsBatch) {
  bucket_collection("words", bucket_);
  std::string id = id_of(create_batch(bucket_, {{"object_ids", to_array(add(1))}, {"auto_submit", true}}));
  std::string task(string_member(batch_of(bucket_, id), "task_id"));
  json::object listed = ok(client_, "list_tasks", {.body = {{"status", "PENDING"}}});
  EXPECT_EQ(listed.at("results").as_array().size(), 1u);
  EXPECT_EQ(ok(client_, "list_tasks", {.body = {{"search", id}}}).at("pagination").as_object().at("total"), 1);
  EXPECT_EQ(ok(client_, "list_tasks", {.body = {{"search", "nothing like it"}}}).at("pagination").as_object().at("total"), 0);
  ok(client_, "kill_task", {.path = {{"task_id", task}}});
  EXPECT_EQ(batch_of(bucket_, id).at("status"), "CANCELED");
  EXPECT_EQ(error_of(client_, "kill_task", {.path = {{"task_id", task}}}), ErrorKind::kBadRequest);
  EXPECT_EQ(error_of(client_, "get_task", {.path = {{"task_id", "task_none"}}}), ErrorKind::kNotFound);
}

TEST_F(BatchesTest, SubmitAllAndBulkSubmit) {
  std::string collection = bucket_collection("words", bucket_);
  auto ids = add(5);
  create_batch(bucket_, {{"object_ids", json::array{ids[0]}}});
  create_batch(bucket_, {});  // without objects: fails, and says so
  json::object all = ok(client_, "submit_all_drafts_buckets_batches", {.path = {{"bucket_identifier", bucket_}}});
  EXPECT_EQ(all.at("submitted_count"), 1);
  EXPECT_EQ(all.at("failed_count"), 1);
  ASSERT_TRUE(engine_->start().ok());
  json::object bulk = ok(client_, "bulk_submit_batches_buckets", {.path = {{"bucket_identifier", bucket_}}, .body = {{"chunk_size", 2}}});
  EXPECT_EQ(bulk.at("total_objects"), 5);
  EXPECT_EQ(bulk.at("total_batches"), 3);
  EXPECT_EQ(bulk.at("submitted"), 3);
  for (const auto& batch : bulk.at("batches").as_array()) EXPECT_EQ(end_of(bucket_, id_of(batch.as_object())), "COMPLETED");
  EXPECT_EQ(documents_in(collection), 5u);
  json::object list = ok(client_, "list_batches_buckets",
                         {.path = {{"bucket_identifier", bucket_}}, .body = {{"status", "COMPLETED"}, {"collection_id", collection}}});
  EXPECT_GE(integer_member(list, "total_count").value_or(0), 3);
  EXPECT_EQ(ok(client_, "list_all_batches", {.body = {{"bucket_id", bucket_}, {"status", "DRAFT"}}}).at("total_count"), 1);
}

TEST_F(BatchesTest, AChainOfCollectionsRunsTierByTier) {
  std::string first = bucket_collection("first", bucket_);
  json::object extractor{{"feature_extractor_name", "passthrough_extractor"}, {"version", "v1"}, {"include_all_source_fields", true}};
  json::object made = ok(client_, "create_collection",
                         {.body = {{"collection_name", "second"},
                                   {"source", {{"type", "collection"}, {"collection_id", first}}},
                                   {"feature_extractor", extractor}}});
  std::string second(string_member(made, "collection_id"));
  auto ids = add(3);
  ASSERT_TRUE(engine_->start().ok());
  std::string id = id_of(create_batch(bucket_, {{"object_ids", to_array(ids)}, {"auto_submit", true}}));
  EXPECT_EQ(end_of(bucket_, id), "COMPLETED") << json::serialize(batch_of(bucket_, id));
  EXPECT_EQ(documents_in(first), 3u);
  EXPECT_EQ(documents_in(second), 3u);
  json::object done = batch_of(bucket_, id);
  EXPECT_EQ(done.at("dag_tiers"), (json::array{json::array{first}, json::array{second}}));
  auto documents = vectors_->scan({.table_id = second});
  EXPECT_EQ(documents->documents[0].lineage.source_collection_id, first);
  EXPECT_EQ(documents->documents[0].lineage.lineage_path, bucket_ + "/" + first + "/" + second);
  EXPECT_EQ(documents->documents[0].lineage.processing_tier, 2);
}

}  // namespace
}  // namespace quarry::service
