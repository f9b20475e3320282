#include "pipeline/engine.h"

#include "pipeline/test_world.h"

namespace quarry::pipeline {
namespace {

class EngineTest : public World {};

int64_t number_at(const json::object& object, std::string_view member) { return integer_member(object, member); }

TEST_F(EngineTest, ProcessesABatchAndShowsProgressAndLineage) {
  add_bucket_collection("col_lines");
  auto ids = add_objects(20, 3);
  start();
  std::string id = submit(ids);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  expect_lines("col_lines", ids, 3);
  json::object body = batch(id);
  const json::object& progress = body.at("progress").as_object();
  EXPECT_EQ(number_at(progress, "processed"), 20);
  EXPECT_EQ(number_at(progress, "total"), 20);
  EXPECT_EQ(progress.at("percent").as_double(), 100.0);
  EXPECT_EQ(number_at(body, "documents_written"), 60);
  EXPECT_EQ(number_at(body, "failed_object_count"), 0);
  EXPECT_EQ(body.at("lifecycle").as_string(), "done");
  EXPECT_EQ(object(ids[0]).at("status").as_string(), "COMPLETED");

  Document document = vectors_.documents("col_lines").at(derive_document_id("col_lines", ids[0], 1));
  EXPECT_EQ(document.lineage.root_object_id, ids[0]);
  EXPECT_EQ(document.lineage.root_bucket_id, "bkt_a");
  EXPECT_EQ(document.lineage.source_type, "bucket");
  EXPECT_EQ(document.lineage.source_object_id, ids[0]);
  EXPECT_EQ(document.lineage.lineage_path, "bkt_a/col_lines");
  EXPECT_EQ(document.lineage.processing_tier, 1);
  EXPECT_EQ(document.payload.at("line").as_string(), "object 0 line 1");
  EXPECT_EQ(document.payload.at("content_type").as_string(), "text/plain");
  EXPECT_TRUE(document.payload.at("source").is_object());
  EXPECT_TRUE(document.payload.at("metadata").is_object());
}

TEST_F(EngineTest, FailedObjectsAreNamedAndTheRestIsWritten) {
  add_bucket_collection("col_lines");
  auto ids = add_objects(5, 1);
  std::string bad = add_object("fail: unreadable");
  std::string poisoned = add_object("poison");
  auto all = ids;
  all.push_back(bad);
  all.push_back(poisoned);
  start();
  std::string id = submit(all);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompletedWithErrors);
  expect_lines("col_lines", ids, 1);
  json::object body = batch(id);
  EXPECT_EQ(number_at(body, "failed_object_count"), 2);
  std::map<std::string, json::object> failures;
  for (const json::value& failure : body.at("failed_objects").as_array())
    failures[std::string(failure.as_object().at("object_id").as_string())] = failure.as_object();
  ASSERT_TRUE(failures.contains(bad));
  EXPECT_EQ(failures[bad].at("error").as_string(), "the text says: fail: unreadable");
  EXPECT_EQ(failures[bad].at("error_type").as_string(), "permanent");
  EXPECT_EQ(failures[bad].at("collection_id").as_string(), "col_lines");
  EXPECT_TRUE(failures.contains(poisoned));
  EXPECT_EQ(object(bad).at("status").as_string(), "FAILED");
  EXPECT_EQ(object(bad).at("error").as_string(), "the text says: fail: unreadable");
  EXPECT_EQ(object(ids[0]).at("status").as_string(), "COMPLETED");
}

TEST_F(EngineTest, ABatchOfWhichNothingWorksFails) {
  add_bucket_collection("col_lines");
  add_derived_collection("col_next", {"col_lines"});
  start();
  std::string id = submit({add_object("fail: a"), add_object("fail: b")});
  EXPECT_EQ(wait_for_end(id), TaskStatus::kFailed);
  EXPECT_NE(batch(id).at("error").as_string().find("none of the objects"), std::string::npos);
}

TEST_F(EngineTest, RetryRunsOnlyWhatFailed) {
  add_bucket_collection("col_lines");
  auto ids = add_objects(4, 1);
  std::string shaky = add_object("fail: storage");
  std::string hopeless = add_object("fail: for good");
  auto all = ids;
  all.push_back(shaky);
  all.push_back(hopeless);
  start();
  std::string id = submit(all);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompletedWithErrors);
  EXPECT_EQ(number_at(batch(id), "failed_object_count"), 2);
  gate_.storage_fails = false;
  gate_.calls = 0;
  ASSERT_TRUE(retry(id, {.transient_only = true}).ok());
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompletedWithErrors);
  EXPECT_EQ(gate_.calls, 1);
  EXPECT_EQ(number_at(batch(id), "failed_object_count"), 1);
  EXPECT_EQ(number_at(batch(id), "retry_count"), 1);
  EXPECT_EQ(object(shaky).at("status").as_string(), "COMPLETED");
  auto again = retry(id, {.transient_only = true});
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().kind, ErrorKind::kBadRequest);
  EXPECT_TRUE(retry(id).ok());
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompletedWithErrors);
  EXPECT_EQ(gate_.calls, 2);
}

TEST_F(EngineTest, AFullDiskIsWaitedForThenFailsTheTaskWhichCanBeRetried) {
  add_bucket_collection("col_lines");
  auto ids = add_objects(10, 2);
  start();
  vectors_.fail_writes(2, storage_error("No space left on device"));
  std::string passing = submit(ids);
  EXPECT_EQ(wait_for_end(passing), TaskStatus::kCompleted);

  vectors_.fail_writes(-1, storage_error("No space left on device"));
  std::string stuck = submit(ids);
  EXPECT_EQ(wait_for_end(stuck), TaskStatus::kFailed);
  EXPECT_NE(batch(stuck).at("error").as_string().find("No space left on device"), std::string::npos);
  EXPECT_EQ(batch(stuck).at("failure_category").as_string(), "infrastructure");
  vectors_.fail_writes(0, {});
  ASSERT_TRUE(retry(stuck).ok());
  EXPECT_EQ(wait_for_end(stuck), TaskStatus::kCompleted);
  expect_lines("col_lines", ids, 2);
}

TEST_F(EngineTest, CancelEndsARunningBatchBetweenObjects) {
  add_bucket_collection("col_lines");
  auto ids = add_objects(200, 1);
  gate_.set(false);
  Options with = options();
  with.commit_documents = 8;  // the request is seen at the first commit at the latest, long before the 200th object
  start(with);
  std::string id = submit(ids);
  ASSERT_TRUE(eventually([&] { return gate_.arrived == 2; }));
  ASSERT_TRUE(cancel(id).ok());
  gate_.set(true);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCanceled);
  EXPECT_LT(vectors_.documents("col_lines").size(), ids.size());
  EXPECT_EQ(object(ids.back()).at("status").as_string(), "PENDING");
  auto again = cancel(id);
  EXPECT_FALSE(again.ok());
  ASSERT_TRUE(retry(id).ok());
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  expect_lines("col_lines", ids, 1);
}

TEST_F(EngineTest, ABatchThatWaitsIsCanceledAtOnce) {
  add_bucket_collection("col_lines");
  std::string id = submit(add_objects(3));
  ASSERT_TRUE(cancel(id).ok());
  EXPECT_EQ(batch_status(batch(id)), TaskStatus::kCanceled);
  start();
  std::string other = submit(add_objects(1));
  EXPECT_EQ(wait_for_end(other), TaskStatus::kCompleted);
  EXPECT_EQ(vectors_.documents("col_lines").size(), 2u);
}

TEST_F(EngineTest, StopHandsBackAndTheNextEngineFinishes) {
  add_bucket_collection("col_lines");
  auto ids = add_objects(300, 1);
  Options first = options();
  first.commit_documents = 8;
  start(first);
  std::string id = submit(ids);
  ASSERT_TRUE(eventually([&] { return vectors_.documents("col_lines").size() >= 8; }));
  engine_->stop();
  TaskStatus status = batch_status(batch(id));
  EXPECT_TRUE(status == TaskStatus::kProcessing || status == TaskStatus::kCompleted);
  Options second = options();
  second.exclusive = false;  // no lease may be left behind
  second.lease_us = 3'600'000'000;
  start(second);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  expect_lines("col_lines", ids, 1);
  EXPECT_EQ(number_at(batch(id), "documents_written"), 300);
}

TEST_F(EngineTest, AnotherWorkerTakesOverWhenTheLeaseRunsOut) {
  add_bucket_collection("col_lines");
  auto ids = add_objects(3, 1);
  std::string id = submit(ids);
  ASSERT_TRUE(catalog_
                  ->write([&](catalog::Session& session) -> Status {  // a worker that claims and dies
                    QUARRY_ASSIGN_OR_RETURN(auto task, session.claim("dead", {}, 200'000, system_clock().now_us()));
                    return task ? Status(Ok{}) : Status(internal_error("nothing to claim"));
                  })
                  .ok());
  Options with = options();
  with.exclusive = false;
  start(with);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  expect_lines("col_lines", ids, 1);
}

TEST_F(EngineTest, AnObjectThatKillsEveryWorkerCostsOnlyItself) {
  add_bucket_collection("col_lines");
  auto ids = add_objects(4, 1);
  std::string id = submit(ids), task_id = tier_task_id(batch(id), 1);
  auto die = [&](const std::string& of) {  // a worker claims, notes what it begins, and is gone
    ASSERT_TRUE(catalog_
                    ->write([&](catalog::Session& session) -> Status {
                      QUARRY_ASSIGN_OR_RETURN(auto task, session.claim("dead", {}, 0, system_clock().now_us()));
                      if (!task) return internal_error("nothing to claim");
                      if (!of.empty()) suspect(*task, of);
                      return session.update_task(*task);
                    })
                    .ok());
  };
  for (int i = 0; i < 4; ++i) die("");

  gate_.set(false);  // the fifth life is careful: one object at a time, with a note
  start();
  ASSERT_TRUE(eventually([&] { return gate_.arrived == 1; }));
  const Task seen = task_of(task_id);
  ASSERT_TRUE(suspect_of(seen).has_value());
  EXPECT_EQ(suspect_of(seen)->item_id, ids[0]);
  EXPECT_EQ(suspect_of(seen)->tries, 1);
  EXPECT_EQ(gate_.arrived, 1);
  gate_.set(true);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);

  engine_.reset();
  std::string deadly = submit(ids);
  for (int i = 0; i < 5; ++i) die(ids[0]);
  start();
  EXPECT_EQ(wait_for_end(deadly), TaskStatus::kCompletedWithErrors);
  EXPECT_EQ(number_at(batch(deadly), "failed_object_count"), 1);
  EXPECT_EQ(object(ids[0]).at("status").as_string(), "FAILED");
  EXPECT_NE(object(ids[0]).at("error").as_string().find("the worker died"), std::string::npos);
  EXPECT_EQ(object(ids[3]).at("status").as_string(), "COMPLETED");
}

TEST_F(EngineTest, ReprocessingReplacesASourcesRows) {
  add_bucket_collection("col_lines");
  std::string id = add_object("one\ntwo\nthree");
  start();
  EXPECT_EQ(wait_for_end(submit({id})), TaskStatus::kCompleted);
  EXPECT_EQ(vectors_.documents("col_lines").size(), 3u);
  change_text(id, "only");
  std::string again = submit({id});
  EXPECT_EQ(wait_for_end(again), TaskStatus::kCompleted);
  EXPECT_EQ(vectors_.documents("col_lines").size(), 1u);
  EXPECT_EQ(number_at(batch(again), "documents_deleted"), 2);
}

TEST_F(EngineTest, DedupSkipLeavesWhatIsUpToDate) {
  add_bucket_collection("col_lines");
  auto ids = add_objects(3, 1);
  start();
  EXPECT_EQ(wait_for_end(submit(ids)), TaskStatus::kCompleted);
  gate_.calls = 0;
  ids.push_back(add_object("new"));
  EXPECT_EQ(wait_for_end(submit(ids, {{"dedup_strategy", "skip"}})), TaskStatus::kCompleted);
  EXPECT_EQ(gate_.calls, 1);
}

TEST_F(EngineTest, AnObjectDeletedBeforeItsTurnIsSkipped) {
  add_bucket_collection("col_lines");
  auto ids = add_objects(3, 1);
  std::string id = submit(ids);
  ASSERT_TRUE(catalog_->write([&](catalog::Session& s) { return s.remove(catalog::kind::kObject, scope_, ids[1]); }).ok());
  start();
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  EXPECT_EQ(number_at(batch(id).at("progress").as_object(), "objects_skipped"), 1);
  EXPECT_EQ(vectors_.documents("col_lines").size(), 2u);
}

TEST_F(EngineTest, AnObjectDeletedDuringExtractionLeavesNoDocuments) {
  add_bucket_collection("col_lines");
  auto ids = add_objects(3, 1);
  gate_.set(false);
  start();
  std::string id = submit(ids);
  ASSERT_TRUE(eventually([&] { return gate_.arrived == 2; }));  // both threads hold an object that they have read
  EXPECT_EQ(object(ids[0]).at("status").as_string(), "PROCESSING");
  ASSERT_TRUE(catalog_->write([&](catalog::Session& s) { return s.remove(catalog::kind::kObject, scope_, ids[0]); }).ok());
  gate_.set(true);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  EXPECT_EQ(vectors_.documents("col_lines").size(), 2u);
}

TEST_F(EngineTest, ADeletedBatchEndsItsTask) {
  add_bucket_collection("col_lines");
  std::string id = submit(add_objects(2));
  std::string task_id = tier_task_id(batch(id), 1);
  ASSERT_TRUE(catalog_->write([&](catalog::Session& s) { return s.remove(catalog::kind::kBatch, scope_, id); }).ok());
  start();
  EXPECT_TRUE(eventually([&] { return task_of(task_id).status == TaskStatus::kCanceled; }));
}

TEST_F(EngineTest, ADeletedCollectionIsLeftOut) {
  add_bucket_collection("col_lines");
  add_bucket_collection("col_gone");
  auto ids = add_objects(2, 1);
  std::string id = submit(ids);
  ASSERT_TRUE(catalog_->write([&](catalog::Session& s) { return s.remove(catalog::kind::kCollection, scope_, "col_gone"); }).ok());
  start();
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  expect_lines("col_lines", ids, 1);
  EXPECT_NE(json::serialize(batch(id).at("progress")).find("col_gone"), std::string::npos);
}

}  // namespace
}  // namespace quarry::pipeline
