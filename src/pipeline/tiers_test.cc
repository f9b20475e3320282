#include "pipeline/test_world.h"

namespace quarry::pipeline {
namespace {

class TiersTest : public World {
 protected:
  Result<std::vector<std::vector<std::string>>> plan(const std::vector<std::string>& only = {}) {
    std::vector<std::vector<std::string>> tiers;
    QUARRY_RETURN_IF_ERROR(catalog_->read([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(tiers, plan_tiers(session, scope_, "bkt_a", only));
      return Ok{};
    }));
    return tiers;
  }
};

using Tiers = std::vector<std::vector<std::string>>;

TEST_F(TiersTest, LayersByTheLongestPath) {
  add_bucket_collection("col_a");
  add_bucket_collection("col_b");
  add_derived_collection("col_c", {"col_a"});
  add_derived_collection("col_d", {"col_b", "col_c"});
  add_derived_collection("col_elsewhere", {"col_unknown"});
  auto tiers = plan();
  ASSERT_TRUE(tiers.ok());
  EXPECT_EQ(*tiers, (Tiers{{"col_a", "col_b"}, {"col_c"}, {"col_d"}}));
}

TEST_F(TiersTest, NarrowsToACollectionAndWhatFeedsIt) {
  add_bucket_collection("col_a");
  add_bucket_collection("col_b");
  add_derived_collection("col_c", {"col_a"});
  EXPECT_EQ(*plan({"col_c"}), (Tiers{{"col_a"}, {"col_c"}}));
  EXPECT_EQ(*plan({"col_b"}), (Tiers{{"col_b"}}));
  EXPECT_EQ(plan({"col_none"}).error().kind, ErrorKind::kNotFound);
  add_collection("col_other", {{"type", "bucket"}, {"bucket_ids", {"bkt_other"}}});
  EXPECT_EQ(plan({"col_other"}).error().kind, ErrorKind::kBadRequest);
}

TEST_F(TiersTest, RefusesACircleAndNamesIt) {
  add_bucket_collection("col_a");
  add_derived_collection("col_b", {"col_a", "col_c"});
  add_derived_collection("col_c", {"col_b"});
  auto tiers = plan();
  ASSERT_FALSE(tiers.ok());
  EXPECT_EQ(tiers.error().kind, ErrorKind::kBadRequest);
  EXPECT_NE(tiers.error().message.find("col_b, col_c"), std::string::npos) << tiers.error().message;
}

TEST_F(TiersTest, DocumentsFlowThroughThreeTiers) {
  add_bucket_collection("col_a");
  add_derived_collection("col_b", {"col_a"});
  add_derived_collection("col_c", {"col_b"});
  auto ids = add_objects(30, 2);
  start();
  std::string id = submit(ids);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  for (const char* collection : {"col_a", "col_b", "col_c"}) EXPECT_EQ(vectors_.documents(collection).size(), 60u) << collection;
  json::object body = batch(id);
  EXPECT_EQ(integer_member(body, "total_tiers"), 3);
  EXPECT_EQ(integer_member(body, "current_tier"), 3);
  for (const json::value& tier : body.at("tier_tasks").as_array()) EXPECT_EQ(tier.as_object().at("status").as_string(), "COMPLETED");

  std::string in_a = derive_document_id("col_a", ids[0], 1), in_b = derive_document_id("col_b", in_a, 0);
  Document document = vectors_.documents("col_c").at(derive_document_id("col_c", in_b, 0));
  EXPECT_EQ(document.lineage.root_object_id, ids[0]);
  EXPECT_EQ(document.lineage.root_bucket_id, "bkt_a");
  EXPECT_EQ(document.lineage.source_type, "collection");
  EXPECT_EQ(document.lineage.source_collection_id, "col_b");
  EXPECT_EQ(document.lineage.source_document_id, in_b);
  EXPECT_EQ(document.lineage.source_object_id, "");
  EXPECT_EQ(document.lineage.lineage_path, "bkt_a/col_a/col_b/col_c");
  EXPECT_EQ(document.lineage.processing_tier, 3);
  EXPECT_TRUE(document.payload.contains("source"));
}

TEST_F(TiersTest, ShrinkingASourceDropsWhatLaterTiersMadeOfIt) {
  add_bucket_collection("col_a");
  add_derived_collection("col_b", {"col_a"});
  std::string object_id = add_object("one\ntwo\nthree");
  auto other = add_objects(2, 1);
  start();
  EXPECT_EQ(wait_for_end(submit({object_id, other[0], other[1]})), TaskStatus::kCompleted);
  EXPECT_EQ(vectors_.documents("col_b").size(), 5u);
  ASSERT_TRUE(catalog_
                  ->update(catalog::kind::kObject, scope_, object_id,
                           [](catalog::Resource& r) -> Status {
                             r.body["blobs"].as_array()[0].as_object()["value"] = "one";
                             return Ok{};
                           })
                  .ok());
  EXPECT_EQ(wait_for_end(submit({object_id})), TaskStatus::kCompleted);
  EXPECT_EQ(vectors_.documents("col_a").size(), 3u);
  EXPECT_EQ(vectors_.documents("col_b").size(), 3u);
}

TEST_F(TiersTest, ARetryOfTierOneFeedsTheLaterTiers) {
  add_bucket_collection("col_a");
  add_derived_collection("col_b", {"col_a"});
  std::string good = add_object("fine"), shaky = add_object("fail: storage");
  start();
  std::string id = submit({good, shaky});
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompletedWithErrors);
  EXPECT_EQ(vectors_.documents("col_b").size(), 1u);
  gate_.storage_fails = false;
  ASSERT_TRUE(retry(id).ok());
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted) << json::serialize(batch(id));
  EXPECT_EQ(vectors_.documents("col_b").size(), 2u);
  EXPECT_EQ(integer_member(batch(id), "failed_object_count"), 0);
}

TEST_F(TiersTest, SkippedObjectsStillFeedANewCollection) {
  add_bucket_collection("col_a");
  auto ids = add_objects(3, 2);
  start();
  EXPECT_EQ(wait_for_end(submit(ids)), TaskStatus::kCompleted);
  add_derived_collection("col_b", {"col_a"});
  gate_.calls = 0;
  EXPECT_EQ(wait_for_end(submit(ids, {{"dedup_strategy", "skip"}})), TaskStatus::kCompleted);
  EXPECT_EQ(gate_.calls, 6);  // each document once, no object
  EXPECT_EQ(vectors_.documents("col_b").size(), 6u);
}

TEST_F(TiersTest, DeletingAnObjectsDocumentsReachesEveryTier) {
  add_bucket_collection("col_a");
  add_derived_collection("col_b", {"col_a"});
  auto ids = add_objects(2, 2);
  start();
  EXPECT_EQ(wait_for_end(submit(ids)), TaskStatus::kCompleted);
  ASSERT_TRUE(delete_object_documents(*catalog_, vectors_, scope_, "internal", {ids[0]}).ok());
  EXPECT_EQ(vectors_.documents("col_a").size(), 2u);
  EXPECT_EQ(vectors_.documents("col_b").size(), 2u);
}

TEST_F(TiersTest, SubmittingNeedsObjectsACollectionAndADraft) {
  auto attempt = [&](const std::vector<std::string>& objects) {
    return catalog_->write([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(auto batch, create_batch(session, scope_, {"bkt_a", objects, {}}, 1));
      QUARRY_ASSIGN_OR_RETURN(Task task, submit_batch(session, scope_, "internal", batch.id, {}, 1));
      auto twice = submit_batch(session, scope_, "internal", batch.id, {}, 1);
      return twice.ok() ? Status(internal_error("submitted twice")) : Status(std::move(twice).error());
    });
  };
  std::string id = add_object("text");
  EXPECT_NE(attempt({id}).error().message.find("No collection takes"), std::string::npos);
  add_bucket_collection("col_a");
  EXPECT_NE(attempt({}).error().message.find("has no objects"), std::string::npos);
  EXPECT_NE(attempt({id}).error().message.find("only a DRAFT"), std::string::npos);
}

}  // namespace
}  // namespace quarry::pipeline
