// Single changes with the power going at each of their requests in turn, and what tasks and rules do after it.
#include "model/collection.h"
#include "service/simulation/world.h"

namespace quarry::service::simulation {
namespace {

constexpr uint64_t kMostRequests = 500;

class RecoveryTest : public FaultyWorld {
 protected:
  RecoveryTest() : FaultyWorld(1) {}
  void adjust(pipeline::Options& options) override {
    FaultyWorld::adjust(options);
    if (gives_up_) options.max_attempts = 0;
  }

  // Calls `attempt` again and again, each time with the power going one request later, until it gets through; no file is left that no
  // row knows.
  void wherever_the_power_goes(const std::function<void(uint64_t requests)>& attempt) {
    for (uint64_t requests = 0; !HasFailure(); ++requests) {
      ASSERT_LT(requests, kMostRequests);
      attempt(requests);
      const bool is_through = !power_->is_off();
      crash(Weather::kGood);
      sweep();
      check_files();
      if (is_through) return;
    }
  }
  Call of_collection(const std::string& name) {
    return {.path = {{"collection_identifier", name}}, .body = {}, .query = {}, .headers = {}};
  }
  Call of_namespace(const Client& ns) {
    return {.path = {{"namespace_identifier", ns.ns}}, .body = {}, .query = {}, .headers = {}};
  }
  json::object restore(const std::string& snapshot_id) {
    return ok(outside(), "restore_snapshot_namespaces", on(snapshot_id, {{"confirm_in_place", true}}));
  }
  json::object lifecycle() { return ok(client_, "get_lifecycle", of_collection(collection_)); }

  bool gives_up_ = false;
};

TEST_F(RecoveryTest, AMadeCollectionIsThereOrLeavesNoFiles) {
  wherever_the_power_goes([&](uint64_t requests) {
    power_->fail_after(requests);
    (void)ask(client_, "create_collection", {.body = direct_collection_body(fmt::format("col-{}", requests))});
  });
}

TEST_F(RecoveryTest, ADeletedCollectionLeavesNoFiles) {
  wherever_the_power_goes([&](uint64_t requests) {
    const std::string id = direct_collection(client_, fmt::format("col-{}", requests));
    add_document(client_, id, {{"number", 1}});
    power_->fail_after(requests);
    (void)ask(client_, "delete_collection", of_collection(id));
  });
}

TEST_F(RecoveryTest, ADeletedNamespaceLeavesNoFiles) {
  wherever_the_power_goes([&](uint64_t requests) {
    const Client other = with_namespace(first_, fmt::format("other-{}", requests));
    add_document(other, direct_collection(other, "notes"), {{"number", 1}});
    power_->fail_after(requests);
    (void)ask(outside(), "delete_namespace", of_namespace(other));
  });
}

TEST_F(RecoveryTest, ADeletedSnapshotIsWholeOrGoesWithTheSweep) {
  wherever_the_power_goes([&](uint64_t requests) {
    const std::string id = take();
    power_->fail_after(requests);
    (void)ask(outside(), "delete_snapshot_namespaces", on(id));
  });
  for (const catalog::Resource& row : rows(catalog::kind::kSnapshot)) {
    Call deep = on(row.id);
    deep.query = {{"deep", true}};
    EXPECT_TRUE(ok(outside(), "verify_snapshot_namespaces", std::move(deep)).at("restorable").as_bool());
  }
}

TEST_F(RecoveryTest, ARestoreThatIsGivenUpLeavesNoFiles) {
  const std::string taken = take();
  int failed = 0;
  for (uint64_t requests = 5; requests < 60; requests += 5) {
    gives_up_ = false;
    restart(Weather::kGood);
    power_->fail_after(requests);
    const auto begun = ask(outside(), "restore_snapshot_namespaces", on(taken, {{"confirm_in_place", true}}));
    if (!begun) continue;
    const std::string task_id(string_member(*begun, "task_id"));
    while (!power_->is_off() && !is_terminal(find_task(task_id).value().status)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    gives_up_ = true;
    crash(Weather::kGood);
    failed += end_of_task(*begun) == "FAILED" ? 1 : 0;
    sweep();
    check_files();
  }
  EXPECT_GT(failed, 0);
}

TEST_F(RecoveryTest, ASnapshotThatANamespaceWasDeletedUnderLeavesNoFiles) {
  engine_.reset();  // nobody takes it
  reopen_api();
  const RequestContext context = context_of(client_).value();
  catalog::Resource row;
  ASSERT_TRUE(catalog_
                  ->write([&](catalog::Session& session) -> Status {
                    const pipeline::NewSnapshot wanted{.namespace_id = client_.ns, .namespace_name = "ingest"};
                    QUARRY_ASSIGN_OR_RETURN(row, pipeline::begin_snapshot(session, {context.organization_id, client_.ns},
                                                                          context.internal_id, wanted, clock_.now_us()));
                    return Ok{};
                  })
                  .ok());
  ASSERT_TRUE(store_->put(fmt::format("{}/{}/snapshots/{}/1/catalog/00000001.jsonl", context.internal_id, client_.ns, row.id), "{}").ok());
  ok(outside(), "delete_namespace", of_namespace(client_));
  EXPECT_TRUE(rows(catalog::kind::kSnapshot).empty());
  sweep();
  check_files();
}

TEST_F(RecoveryTest, WhatAnArchiveLeftGoesWithTheRestoreThatReplacesIt) {
  const std::string taken = take();
  ASSERT_TRUE(catalog_
                  ->update(catalog::kind::kCollection, {client_.organization_id, client_.ns}, collection_,
                           [](catalog::Resource& row) -> Status {
                             row.body["lifecycle_state"] = "archived";
                             row.body[pipeline::kInternalMember] = json::object{{"storage", {{"data_left", true}}}};
                             return Ok{};
                           })
                  .ok());
  EXPECT_EQ(end_of_task(restore(taken)), "COMPLETED");
  EXPECT_EQ(documents(), 3u);
  sweep();
  check_files();
}

// The snapshot was taken after the archive had been announced, and is brought back after its time.
TEST_F(RecoveryTest, ARestoredCollectionIsNotArchivedByAnOldAnnouncement) {
  json::array rules{json::object{{"rule_type", kAutoArchive}, {"enabled", true}, {"threshold_days", 10}}};
  Call change = of_collection(collection_);
  change.body = json::object{{"tiering_rules", rules}};
  ok(client_, "update_collection", std::move(change));
  Call move = of_collection(collection_);
  move.body = json::object{{"lifecycle_state", "cold"}, {"async_transition", false}};
  ok(client_, "transition_lifecycle", std::move(move));
  const auto becomes = [&](const std::function<bool(const json::object&)>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition(lifecycle())) {
      if (std::chrono::steady_clock::now() > deadline) return testing::AssertionFailure() << json::serialize(lifecycle());
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return testing::AssertionSuccess();
  };
  clock_.advance_us(4 * pipeline::kDayUs);
  ASSERT_TRUE(becomes([](const json::object& shown) { return shown.contains("archive_at"); }));
  const std::string taken = take();
  clock_.advance_us(8 * pipeline::kDayUs);
  ASSERT_TRUE(becomes([](const json::object& shown) {
    return string_member(shown, "lifecycle_state") == "archived" && !shown.contains("task_id");
  }));
  EXPECT_EQ(end_of_task(restore(taken)), "COMPLETED");
  EXPECT_FALSE(lifecycle().contains("archive_at"));
  const auto plan = pipeline::plan_tiering(*catalog_, {client_.organization_id, client_.ns}, clock_.now_us()).value();
  ASSERT_EQ(plan.size(), 1u);
  EXPECT_EQ(plan[0].actions.at(0).step, pipeline::TieringStep::kAnnounceArchive);
  EXPECT_EQ(plan[0].actions.at(0).due_at, plan[0].state.watched_since + 3 * pipeline::kDayUs);
  EXPECT_EQ(plan[0].state.watched_since, clock_.now_us());
  EXPECT_EQ(string_member(lifecycle(), "lifecycle_state"), "cold");
}

}  // namespace
}  // namespace quarry::service::simulation
