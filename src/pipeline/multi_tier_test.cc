// What a retry, a change, a deletion or a crash at one tier does to the tiers after it, and to what was read too early.
#include <gmock/gmock.h>

#include "pipeline/batch_ledger.h"
#include "pipeline/test_world.h"

namespace quarry::pipeline {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// The collections of later tiers have a gate of their own; the extractor "failing" fails while `x_fails_`.
class MultiTierTest : public World {
 protected:
  class Failing final : public extract::BoundExtractor {
   public:
    Failing(const std::atomic<bool>& fails, LineExtractor::Gate& gate) : fails_(fails), lines_(gate) {}
    const std::vector<extract::FeatureOutput>& outputs() const override { return lines_.outputs(); }
    ObjectSchema output_fields() const override { return {}; }
    Result<extract::ExtractOutput> extract(const extract::SourceItem& item, const extract::Runtime& runtime) const override {
      if (fails_) return Error{ErrorKind::kExtraction, "not today"};
      return lines_.extract(item, runtime);
    }

   private:
    const std::atomic<bool>& fails_;
    LineExtractor lines_;
  };

  void add(const std::string& id, const std::string& extractor, json::object source) {
    add_resource(catalog::kind::kCollection, id, "",
                 {{"collection_id", id},
                  {"collection_name", id},
                  {"source", std::move(source)},
                  {"feature_extractor", {{"feature_extractor_name", extractor}, {"version", "v1"}}},
                  {"lifecycle_state", "active"},
                  {"enabled", true}});
  }
  void add_first_tier(const std::string& id, const std::string& extractor = "lines") {
    add(id, extractor, {{"type", "bucket"}, {"bucket_ids", {"bkt_a"}}});
  }
  void add_later_tier(const std::string& id, const std::string& from) {
    add(id, "later", {{"type", "collection"}, {"collection_ids", {from}}});
  }

  Options with_extractors() {
    Options out = options();
    out.bind = [this](const ExtractorConfig& config) -> Result<std::shared_ptr<const extract::BoundExtractor>> {
      std::shared_ptr<const extract::BoundExtractor> bound;
      if (config.name == "failing")
        bound = std::make_shared<Failing>(x_fails_, gate_);
      else
        bound = std::make_shared<LineExtractor>(config.name == "later" ? later_gate_ : gate_);
      return bound;
    };
    return out;
  }

  void remove_object(const std::string& object_id) {
    ASSERT_TRUE(delete_object_documents(*catalog_, vectors_, scope_, "internal", {object_id}).ok());
    ASSERT_TRUE(catalog_->write([&](catalog::Session& s) { return s.remove(catalog::kind::kObject, scope_, object_id); }).ok());
  }

  // A worker that claims the oldest task and is not heard of again.
  Task claim(int64_t lease_us = 0) {
    Task out;
    EXPECT_TRUE(catalog_
                    ->write([&](catalog::Session& session) -> Status {
                      QUARRY_ASSIGN_OR_RETURN(auto task, session.claim("dead", {}, lease_us, system_clock().now_us()));
                      if (!task) return internal_error("nothing to claim");
                      out = std::move(*task);
                      return Ok{};
                    })
                    .ok());
    return out;
  }

  std::vector<std::string> lines(const std::string& collection_id) {
    std::vector<std::string> out;
    for (const auto& [id, document] : vectors_.documents(collection_id)) out.emplace_back(document.payload.at("line").as_string());
    std::sort(out.begin(), out.end());
    return out;
  }

  std::atomic<bool> x_fails_{true};
  LineExtractor::Gate later_gate_;
};

TEST_F(MultiTierTest, ARetryRunsWhatFollowsFromItAgain) {
  add_first_tier("col_a");
  add_first_tier("col_x", "failing");
  add_later_tier("col_b", "col_a");
  add_later_tier("col_c", "col_b");
  start(with_extractors());
  std::string changing = add_object("one\ntwo\nthree"), other = add_object("fine");
  std::string id = submit({changing, other});
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompletedWithErrors);
  EXPECT_EQ(lines("col_c").size(), 4u);
  x_fails_ = false;
  change_text(changing, "changed");
  ASSERT_TRUE(retry(id).ok());
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted) << json::serialize(batch(id));
  for (const char* collection : {"col_a", "col_x", "col_b", "col_c"}) EXPECT_THAT(lines(collection), ElementsAre("changed", "fine"));
}

// What is not run again stays, although another collection of its tier lost rows of the same object.
TEST_F(MultiTierTest, ARetryLeavesTheDescendantsOfOtherSources) {
  add_first_tier("col_a");
  add_first_tier("col_x", "failing");
  add_later_tier("col_b", "col_a");
  add_later_tier("col_y", "col_x");
  x_fails_ = false;
  start(with_extractors());
  std::string object_id = add_object("one\ntwo");
  EXPECT_EQ(wait_for_end(submit({object_id})), TaskStatus::kCompleted);
  x_fails_ = true;
  change_text(object_id, "one");
  EXPECT_EQ(wait_for_end(submit({object_id})), TaskStatus::kCompletedWithErrors);
  EXPECT_THAT(lines("col_b"), ElementsAre("one"));
  EXPECT_THAT(lines("col_y"), ElementsAre("one", "two"));
}

TEST_F(MultiTierTest, ObjectsThatFailInOneCollectionOnlyGoOn) {
  add_first_tier("col_a");
  add_first_tier("col_x", "failing");
  add_later_tier("col_b", "col_a");
  start(with_extractors());
  std::string object_id = add_object("one");
  std::string id = submit({object_id});
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompletedWithErrors);
  EXPECT_EQ(object(object_id).at("status").as_string(), "COMPLETED_WITH_ERRORS");
  EXPECT_EQ(integer_member(batch(id), "failed_object_count"), 1);
  EXPECT_THAT(lines("col_b"), ElementsAre("one"));
}

// A worker took rows away and died before it removed what had been made of them.
TEST_F(MultiTierTest, OrphansOfACrashAreFound) {
  add_first_tier("col_a");
  add_later_tier("col_b", "col_a");
  add_later_tier("col_c", "col_b");
  start(with_extractors());
  std::string object_id = add_object("one\ntwo");
  EXPECT_EQ(wait_for_end(submit({object_id})), TaskStatus::kCompleted);
  engine_.reset();
  change_text(object_id, "one");
  std::string id = submit({object_id});
  claim();
  mvs::WriteBatch crashed;
  crashed.deletes = {derive_document_id("col_a", object_id, 1)};
  ASSERT_TRUE(vectors_.write("col_a", crashed).ok());
  start(with_extractors());
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  EXPECT_THAT(lines("col_b"), ElementsAre("one"));
  EXPECT_THAT(lines("col_c"), ElementsAre("one"));
}

TEST_F(MultiTierTest, AnObjectDeletedDuringALaterTierLeavesNoDocuments) {
  add_first_tier("col_a");
  add_later_tier("col_b", "col_a");
  later_gate_.set(false);
  start(with_extractors());
  std::string object_id = add_object("one"), other = add_object("other");
  std::string id = submit({object_id, other});
  ASSERT_TRUE(eventually([&] { return later_gate_.arrived == 2; }));  // both documents have been read
  remove_object(object_id);
  later_gate_.set(true);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  EXPECT_THAT(lines("col_b"), ElementsAre("other"));
}

// A worker wrote the documents of an object that had just been deleted, and died before it noticed.
TEST_F(MultiTierTest, DocumentsOfADeletedObjectGoAfterACrash) {
  add_first_tier("col_a");
  std::string object_id = add_object("one");
  std::string id = submit({object_id});
  claim();
  ASSERT_TRUE(vectors_.create_table({.table_id = "col_a"}).ok());
  remove_object(object_id);
  Document late;
  late.document_id = derive_document_id("col_a", object_id, 0);
  late.lineage.root_object_id = late.lineage.source_object_id = object_id;
  late.payload["line"] = "one";
  mvs::WriteBatch written;
  written.upserts.push_back(std::move(late));
  ASSERT_TRUE(vectors_.write("col_a", written).ok());
  start(with_extractors());
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  EXPECT_THAT(lines("col_a"), IsEmpty());
}

TEST_F(MultiTierTest, AnObjectThatChangesWhileItIsReadIsReadAgain) {
  add_first_tier("col_a");
  add_later_tier("col_b", "col_a");
  gate_.set(false);
  start(with_extractors());
  std::string object_id = add_object("old\nolder");
  std::string id = submit({object_id});
  ASSERT_TRUE(eventually([&] { return gate_.arrived == 1; }));
  change_text(object_id, "new");
  gate_.set(true);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  EXPECT_EQ(gate_.calls, 2);
  EXPECT_THAT(lines("col_a"), ElementsAre("new"));
  EXPECT_THAT(lines("col_b"), ElementsAre("new"));
  EXPECT_EQ(object(object_id).at("status").as_string(), "COMPLETED");
  EXPECT_EQ(integer_member(batch(id).at("progress").as_object(), "total"), 1);
}

// Else dedup_strategy "skip" would take content for newer than it is.
TEST_F(MultiTierTest, DocumentsAreAsNewAsWhatWasRead) {
  add_first_tier("col_a");
  gate_.set(false);
  start(with_extractors());
  std::string object_id = add_object("one");
  std::string id = submit({object_id});
  ASSERT_TRUE(eventually([&] { return gate_.arrived == 1; }));
  TimestampUs read_before = system_clock().now_us();
  gate_.set(true);
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompleted);
  EXPECT_LE(vectors_.documents("col_a").begin()->second.updated_at, read_before);
}

TEST_F(MultiTierTest, ACancelAfterACrashReleasesTheObjects) {
  add_first_tier("col_a");
  std::string object_id = add_object("one");
  std::string id = submit({object_id});
  TaskControl control;
  BatchLedger crashed(*catalog_, system_clock(), control, claim(3'600'000'000), RetryPolicy{1, 1'000});
  ASSERT_TRUE(crashed.begin().ok());
  ASSERT_TRUE(crashed.mark_processing({object_id}).ok());
  ASSERT_TRUE(cancel(id).ok());
  EXPECT_EQ(batch_status(batch(id)), TaskStatus::kProcessing);
  start(with_extractors());
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCanceled);
  EXPECT_EQ(object(object_id).at("status").as_string(), "PENDING");
}

TEST_F(MultiTierTest, ACancelAtTheEndOfATierReachesTheNext) {
  add_first_tier("col_a");
  add_first_tier("col_x", "failing");
  add_later_tier("col_b", "col_a");
  start(with_extractors());
  std::string id = submit({add_object("one"), add_object("two")});
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCompletedWithErrors);
  engine_.reset();
  ASSERT_TRUE(retry(id).ok());
  TaskControl control;
  BatchLedger ledger(*catalog_, system_clock(), control, claim(3'600'000'000), RetryPolicy{1, 1'000});
  ASSERT_TRUE(ledger.begin().ok());
  ASSERT_TRUE(cancel(id).ok());
  ASSERT_TRUE(ledger.finish().ok());
  EXPECT_FALSE(is_terminal(batch_status(batch(id))));
  start(with_extractors());
  EXPECT_EQ(wait_for_end(id), TaskStatus::kCanceled);
}

}  // namespace
}  // namespace quarry::pipeline
