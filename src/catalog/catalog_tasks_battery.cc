// How every catalog keeps tasks, leases and work items.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <thread>

#include "catalog/catalog_battery.h"

namespace quarry::catalog {
namespace {

using testing::ElementsAre;

class CatalogTasks : public CatalogBattery {};

TEST_P(CatalogTasks, KeepsATaskWhole) {
  Task t;
  t.task_id = "task_1";
  t.task_type = "batch";
  t.organization_id = "org_1";
  t.namespace_id = "ns_1";
  t.status = TaskStatus::kDraft;
  t.inputs = {{"a", "'\"\\"}};
  t.additional_data = {{"n", json::array{1, 2}}};
  t.error = "it\xff broke";
  ASSERT_TRUE(write([&](Session& s) { return s.enqueue(t); }).ok());
  EXPECT_EQ(error_of(write([&](Session& s) { return s.enqueue(t); })), ErrorKind::kAlreadyExists);
  Task got = task("task_1");
  EXPECT_EQ(got.task_type, "batch");
  EXPECT_EQ(got.status, TaskStatus::kDraft);
  EXPECT_EQ(got.inputs, t.inputs);
  EXPECT_EQ(got.additional_data, t.additional_data);
  EXPECT_EQ(got.error, "it? broke");
  EXPECT_EQ(got.created_at, clock_.now_us());
  EXPECT_FALSE(claim("w1"));  // a draft waits for no one
  for (const Scope& scope : {Scope{"org_2", "ns_1"}, Scope{"org_1", "ns_2"}})
    EXPECT_EQ(error_of(catalog_->read([&](Session& s) -> Status {
                QUARRY_RETURN_IF_ERROR(s.get_task(scope, "task_1"));
                return Ok{};
              })),
              ErrorKind::kNotFound);
}

TEST_P(CatalogTasks, AreClaimedOldestFirstAndOnce) {
  enqueue("t1");
  enqueue("t2", "other");
  enqueue("t3");
  auto first = claim("w1");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->task_id, "t1");
  EXPECT_EQ(first->status, TaskStatus::kProcessing);
  EXPECT_EQ(first->lease_owner, "w1");
  EXPECT_EQ(first->lease_expires_at, clock_.now_us() + 1'000'000);
  EXPECT_EQ(first->attempts, 1);
  EXPECT_EQ(task("t1").lease_owner, "w1");
  EXPECT_EQ(claim("w2", {"nothing", "batch"})->task_id, "t3");
  EXPECT_FALSE(claim("w2", {"batch"}));
  EXPECT_EQ(claim("w2")->task_id, "t2");
  EXPECT_FALSE(claim("w2"));
}

TEST_P(CatalogTasks, ExpiredLeasesAreTakenOver) {
  enqueue("t1");
  Task old = *claim("w1");
  clock_.advance_us(999'999);
  EXPECT_FALSE(claim("w2"));
  clock_.advance_us(1);
  auto taken = claim("w2");
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->attempts, 2);
  EXPECT_EQ(error_of(write([&](Session& s) -> Status {
              QUARRY_RETURN_IF_ERROR(s.extend_lease("t1", "w1", 1'000'000, clock_.now_us()));
              return Ok{};
            })),
            ErrorKind::kConflict);
  old.status = TaskStatus::kCompleted;
  EXPECT_EQ(error_of(write([&](Session& s) { return s.update_task(old); })), ErrorKind::kConflict);
  EXPECT_EQ(task("t1").status, TaskStatus::kProcessing);
}

TEST_P(CatalogTasks, AnEarlierAttemptOfTheSameWorkerIsRefused) {
  enqueue("t1");
  Task old = *claim("w1");
  clock_.advance_us(2'000'000);
  ASSERT_EQ(claim("w1")->attempts, 2);
  EXPECT_EQ(error_of(write([&](Session& s) { return s.update_task(old); })), ErrorKind::kConflict);
}

TEST_P(CatalogTasks, LeasesAreExtended) {
  enqueue("t1");
  claim("w1");
  clock_.advance_us(900'000);
  Status extended = write([&](Session& s) -> Status {
    QUARRY_ASSIGN_OR_RETURN(Task t, s.extend_lease("t1", "w1", 1'000'000, clock_.now_us()));
    EXPECT_EQ(t.lease_expires_at, clock_.now_us() + 1'000'000);
    EXPECT_FALSE(t.cancel_requested);
    return Ok{};
  });
  ASSERT_TRUE(extended.ok());
  clock_.advance_us(900'000);
  EXPECT_FALSE(claim("w2"));
  EXPECT_EQ(error_of(write([&](Session& s) -> Status {
              QUARRY_RETURN_IF_ERROR(s.extend_lease("none", "w1", 1, clock_.now_us()));
              return Ok{};
            })),
            ErrorKind::kNotFound);
}

TEST_P(CatalogTasks, ACancelIsSeenAndNotOverwritten) {
  enqueue("t1");
  Task held = *claim("w1");
  ASSERT_TRUE(write([&](Session& s) { return s.request_cancel("t1"); }).ok());
  held.additional_data["progress"] = 0.5;
  ASSERT_TRUE(write([&](Session& s) { return s.update_task(held); }).ok());
  EXPECT_TRUE(task("t1").cancel_requested);
  EXPECT_EQ(task("t1").additional_data.at("progress"), 0.5);
  held.status = TaskStatus::kCanceled;
  ASSERT_TRUE(write([&](Session& s) { return s.update_task(held); }).ok());
  EXPECT_EQ(task("t1").status, TaskStatus::kCanceled);
  clock_.advance_us(10'000'000);
  EXPECT_FALSE(claim("w2"));
  EXPECT_EQ(error_of(write([&](Session& s) { return s.request_cancel("none"); })), ErrorKind::kNotFound);
}

TEST_P(CatalogTasks, AFinishedTaskCanBeginAnew) {
  enqueue("t1");
  Task held = *claim("w1");
  ASSERT_TRUE(write([&](Session& s) { return s.request_cancel("t1"); }).ok());
  held.status = TaskStatus::kFailed;
  held.error = "no";
  ASSERT_TRUE(write([&](Session& s) { return s.update_task(held); }).ok());
  Task again = task("t1");
  EXPECT_EQ(again.error, "no");
  again.status = TaskStatus::kPending;
  again.error.clear();
  again.cancel_requested = false;
  ASSERT_TRUE(write([&](Session& s) { return s.update_task(again); }).ok());
  EXPECT_FALSE(task("t1").cancel_requested);
  EXPECT_EQ(task("t1").lease_owner, "");
  auto taken = claim("w2");
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->attempts, 2);
}

TEST_P(CatalogTasks, ReleasedLeasesAreClaimedAtOnce) {
  enqueue("t1");
  enqueue("t2");
  claim("dead", {}, 1'000'000'000);
  uint64_t released = 0;
  ASSERT_TRUE(write([&](Session& s) -> Status {
                QUARRY_ASSIGN_OR_RETURN(released, s.release_leases());
                return Ok{};
              }).ok());
  EXPECT_EQ(released, 1u);
  auto taken = claim("w1");
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->task_id, "t1");
  EXPECT_EQ(taken->attempts, 2);
}

TEST_P(CatalogTasks, RacingWorkersShareTheWork) {
  constexpr int kTasks = 40;
  for (int i = 0; i < kTasks; ++i) enqueue(fmt::format("t{:02}", i));
  std::mutex mutex;
  std::map<std::string, int> claims;
  std::vector<std::thread> workers;
  for (int w = 0; w < 4; ++w)
    workers.emplace_back([&, w] {
      while (auto got = claim("w" + std::to_string(w), {}, 1'000'000'000)) {
        std::lock_guard lock(mutex);
        ++claims[got->task_id];
      }
    });
  for (auto& w : workers) w.join();
  EXPECT_EQ(claims.size(), size_t{kTasks});
  for (const auto& [id, n] : claims) EXPECT_EQ(n, 1) << id;
}

TEST_P(CatalogTasks, AreListed) {
  enqueue("t1");
  enqueue("t2", "other");
  enqueue("t3");
  claim("w1");
  auto list = [&](TaskQuery query) {
    std::vector<std::string> out;
    query.scope = scope_;
    EXPECT_TRUE(catalog_
                    ->read([&](Session& s) -> Status {
                      uint64_t total = 0;
                      QUARRY_ASSIGN_OR_RETURN(auto tasks, s.list_tasks(query, &total));
                      for (const Task& t : tasks) out.push_back(t.task_id);
                      out.push_back(std::to_string(total));
                      return Ok{};
                    })
                    .ok());
    return out;
  };
  EXPECT_THAT(list({}), ElementsAre("t3", "t2", "t1", "3"));
  EXPECT_THAT(list({.scope = {}, .statuses = {TaskStatus::kPending}}), ElementsAre("t3", "t2", "2"));
  EXPECT_THAT(list({.scope = {}, .statuses = {TaskStatus::kPending, TaskStatus::kProcessing}, .task_type = "batch"}),
              ElementsAre("t3", "t1", "2"));
  EXPECT_THAT(list({.scope = {}, .statuses = {}, .task_type = "", .offset = 1, .limit = 1}), ElementsAre("t2", "3"));
}

TEST_P(CatalogTasks, GoWithTheirNamespace) {
  enqueue("t1");
  Task elsewhere;
  elsewhere.task_id = "t2";
  elsewhere.task_type = "batch";
  elsewhere.organization_id = "org_1";
  elsewhere.namespace_id = "ns_2";
  ASSERT_TRUE(write([&](Session& s) -> Status {
                QUARRY_RETURN_IF_ERROR(s.enqueue(elsewhere));
                QUARRY_RETURN_IF_ERROR(s.add_items("t1", {"a", "b"}));
                return s.add_items("t2", {"a"});
              }).ok());
  ASSERT_TRUE(claim("w1"));
  ASSERT_TRUE(write([&](Session& s) { return s.remove_tasks(scope_); }).ok());
  EXPECT_EQ(error_of(write([&](Session& s) -> Status {
              QUARRY_RETURN_IF_ERROR(s.extend_lease("t1", "w1", 1'000'000, clock_.now_us()));
              return Ok{};
            })),
            ErrorKind::kNotFound);
  ASSERT_TRUE(catalog_
                  ->read([&](Session& s) -> Status {
                    QUARRY_ASSIGN_OR_RETURN(ItemCounts gone, s.count_items("t1"));
                    QUARRY_ASSIGN_OR_RETURN(ItemCounts kept, s.count_items("t2"));
                    EXPECT_EQ(gone.total(), 0u);
                    EXPECT_EQ(kept.total(), 1u);
                    return Ok{};
                  })
                  .ok());
  EXPECT_EQ(task("t2").namespace_id, "ns_2");
}

class CatalogItems : public CatalogBattery {
 protected:
  ItemCounts counts() {
    ItemCounts out;
    EXPECT_TRUE(catalog_
                    ->read([&](Session& s) -> Status {
                      QUARRY_ASSIGN_OR_RETURN(out, s.count_items("t1"));
                      return Ok{};
                    })
                    .ok());
    return out;
  }
  std::vector<WorkItem> items(std::optional<ItemStatus> status = std::nullopt, size_t offset = 0, size_t limit = 100) {
    std::vector<WorkItem> out;
    EXPECT_TRUE(catalog_
                    ->read([&](Session& s) -> Status {
                      QUARRY_ASSIGN_OR_RETURN(out, s.list_items("t1", status, offset, limit));
                      return Ok{};
                    })
                    .ok());
    return out;
  }
  std::vector<std::string> item_ids(std::optional<ItemStatus> status = std::nullopt, size_t offset = 0, size_t limit = 100) {
    std::vector<std::string> out;
    for (const auto& item : items(status, offset, limit)) out.push_back(item.item_id);
    return out;
  }
};

TEST_P(CatalogItems, AreAddedOnceInOrder) {
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t1", {"o3", "o1", "o2"}); }).ok());
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t1", {"o1", "o4"}); }).ok());
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t2", {"o1"}); }).ok());
  EXPECT_THAT(item_ids(), ElementsAre("o3", "o1", "o2", "o4"));
  EXPECT_THAT(item_ids(std::nullopt, 1, 2), ElementsAre("o1", "o2"));
  EXPECT_GT(items()[3].position, items()[2].position);
  EXPECT_EQ(counts().pending, 4u);
  EXPECT_EQ(error_of(write([&](Session& s) { return s.add_items("t1", {""}); })), ErrorKind::kBadRequest);
}

TEST_P(CatalogItems, FinishAndBeginAgain) {
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t1", {"a", "b", "c", "d"}); }).ok());
  ASSERT_TRUE(write([&](Session& s) {
                return s.finish_items("t1", {{"a", 0, ItemStatus::kDone, {{"documents_written", 3}}},
                                             {"b", 0, ItemStatus::kFailed, {{"message", "bad"}}},
                                             {"d", 0, ItemStatus::kSkipped, {}}});
              }).ok());
  ItemCounts after = counts();
  EXPECT_EQ(after.pending, 1u);
  EXPECT_EQ(after.done, 1u);
  EXPECT_EQ(after.failed, 1u);
  EXPECT_EQ(after.skipped, 1u);
  EXPECT_EQ(after.total(), 4u);
  EXPECT_THAT(item_ids(ItemStatus::kPending), ElementsAre("c"));
  EXPECT_EQ(items(ItemStatus::kFailed)[0].outcome.at("message"), "bad");
  ASSERT_TRUE(write([&](Session& s) { return s.reset_items("t1", ItemStatus::kFailed); }).ok());
  EXPECT_THAT(item_ids(ItemStatus::kPending), ElementsAre("b", "c"));
  EXPECT_TRUE(items(ItemStatus::kPending)[0].outcome.empty());
  EXPECT_EQ(items(ItemStatus::kDone)[0].outcome.at("documents_written"), 3);
}

TEST_P(CatalogItems, AddedAgainTheyBeginAgain) {
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t1", {"a", "b", "c"}); }).ok());
  ASSERT_TRUE(write([&](Session& s) {
                return s.finish_items("t1", {{"a", 0, ItemStatus::kDone, {{"documents_written", 3}}}, {"c", 0, ItemStatus::kDone, {}}});
              }).ok());
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t1", {"a", "d"}); }).ok());
  EXPECT_THAT(item_ids(ItemStatus::kPending), ElementsAre("a", "b", "d"));
  EXPECT_TRUE(items(ItemStatus::kPending)[0].outcome.empty());
  EXPECT_THAT(item_ids(ItemStatus::kDone), ElementsAre("c"));
}

TEST_P(CatalogItems, AnUnknownItemUndoesTheTransaction) {
  ASSERT_TRUE(write([&](Session& s) { return s.add_items("t1", {"a"}); }).ok());
  Status status = write([&](Session& s) {
    return s.finish_items("t1", {{"a", 0, ItemStatus::kDone, {}}, {"x", 0, ItemStatus::kDone, {}}});
  });
  EXPECT_EQ(error_of(status), ErrorKind::kNotFound);
  EXPECT_EQ(counts().pending, 1u);
}

QUARRY_CATALOG_SUITE(CatalogTasks);
QUARRY_CATALOG_SUITE(CatalogItems);

}  // namespace
}  // namespace quarry::catalog
