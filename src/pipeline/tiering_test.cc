#include "pipeline/tiering.h"

#include <gmock/gmock.h>

#include <thread>

#include "pipeline/lifecycle.h"
#include "pipeline/test_world.h"
#include "pipeline/tiering_steps.h"

namespace quarry::pipeline {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

json::object rule(std::string_view type, std::optional<int> days) {
  json::object out{{"rule_type", type}, {"enabled", true}};
  if (days) out["threshold_days"] = *days;
  return out;
}

class TieringTest : public World {
 protected:
  void SetUp() override {
    World::SetUp();
    catalog::Resource organization;
    organization.kind = catalog::kind::kOrganization;
    organization.id = scope_.organization_id;
    organization.body = {{"organization_id", organization.id}, {"internal_id", "internal"}};
    ASSERT_TRUE(catalog_->insert(organization).ok());
    options_ = options();
    options_.clock = &clock_;
    begin_recording_now();
    tiering_ = make();
    add_watched("col_a", {});
  }
  void TearDown() override {
    tiering_.reset();
    World::TearDown();
  }

  std::unique_ptr<Tiering> make() {
    return std::make_unique<Tiering>(options_, [this] { ++enqueued_; });
  }
  void begin_recording_now() {
    write([&](catalog::Session& session) -> Status {
      QUARRY_RETURN_IF_ERROR(begin_recording(session, clock_.now_us()));
      return Ok{};
    });
  }
  void write(const std::function<Status(catalog::Session&)>& body) {
    const Status written = catalog_->write(body);
    ASSERT_TRUE(written.ok()) << written.error().message;
  }
  void add_watched(const std::string& id, std::vector<json::object> rules) {
    add_bucket_collection(id);
    ASSERT_TRUE(vectors_.create_table({.table_id = id}).ok());
    set_rules(id, std::move(rules));
    auto row = catalog_->get(catalog::kind::kCollection, scope_, id);
    ASSERT_TRUE(row.ok());
    row->created_at = row->updated_at = clock_.now_us();  // the catalog's own clock is the real one
    write([&](catalog::Session& session) -> Status {
      QUARRY_RETURN_IF_ERROR(session.remove(catalog::kind::kCollection, scope_, id));
      return session.insert(*row);
    });
  }
  void change(const std::string& id, const std::function<void(catalog::Resource&)>& how) {
    ASSERT_TRUE(catalog_
                    ->update(catalog::kind::kCollection, scope_, id,
                             [&](catalog::Resource& row) -> Status {
                               how(row);
                               return Ok{};
                             })
                    .ok());
  }
  void set_rules(const std::string& id, std::vector<json::object> rules) {
    change(id, [&](catalog::Resource& row) { row.body["tiering_rules"] = json::array(rules.begin(), rules.end()); });
  }
  Collection collection(const std::string& id = "col_a") {
    return parse_collection(catalog_->get(catalog::kind::kCollection, scope_, id)->body, scope_.organization_id, scope_.namespace_id)
        .value();
  }
  std::string state(const std::string& id = "col_a") { return std::string(to_string(collection(id).lifecycle)); }

  void pass_days(int64_t count) { clock_.advance_us(count * kDayUs); }
  void query(const std::string& id = "col_a") { tiering_->note_query(collection(id)); }
  // As the pipeline does in its own time.
  size_t run_tasks() {
    for (size_t count = 0;; ++count) {
      std::optional<Task> task;
      write([&](catalog::Session& session) -> Status {
        QUARRY_ASSIGN_OR_RETURN(task, session.claim("test", {std::string(kLifecycleTaskType)}, 30'000'000, clock_.now_us()));
        return Ok{};
      });
      if (!task) return count;
      TaskControl control;
      const Status ran = run_lifecycle_task(options_, control, std::move(*task));
      EXPECT_TRUE(ran.ok());
    }
  }
  // One look at everything, and what it began.
  void look() {
    tiering_->flush_queries();
    const Status looked = tiering_->look_at_all();
    ASSERT_TRUE(looked.ok()) << looked.error().message;
    run_tasks();
  }
  // Oldest first.
  std::vector<json::object> events(const std::string& id = "col_a") {
    catalog::ListQuery list{.kind = std::string(catalog::kind::kLifecycleEvent), .scope = scope_, .parent_id = id, .descending = false};
    const auto page = catalog_->list(list);
    EXPECT_TRUE(page.ok());
    std::vector<json::object> out;
    for (const auto& row : page->items) out.push_back(row.body);
    return out;
  }
  std::vector<std::string> event_names(const std::string& id = "col_a") {
    std::vector<std::string> out;
    for (const auto& event : events(id)) {
      const json::value* to = event.if_contains("to");
      out.push_back(to != nullptr ? std::string(to->as_string()) : std::string(event.at("event_type").as_string()));
    }
    return out;
  }
  // Cold under auto_archive with a day to go before the announcement.
  void begin_cold(int archive_after_days = 10) {
    set_rules("col_a", {rule(kAutoEvict, 1)});
    pass_days(1);
    look();
    ASSERT_EQ(state(), "cold");
    set_rules("col_a", {rule(kAutoArchive, archive_after_days)});
  }

  ManualClock clock_;
  Options options_;
  std::unique_ptr<Tiering> tiering_;
  std::atomic<int> enqueued_{0};
};

TEST_F(TieringTest, EvictsAfterTheDaysWithoutAQuery) {
  set_rules("col_a", {rule(kAutoEvict, 30)});
  pass_days(29);
  look();
  EXPECT_EQ(state(), "active");
  query();
  pass_days(29);
  look();
  EXPECT_EQ(state(), "active");
  EXPECT_EQ(enqueued_, 0);
  pass_days(1);
  look();
  EXPECT_EQ(state(), "cold");
  EXPECT_EQ(enqueued_, 1);
  ASSERT_THAT(event_names(), ElementsAre("cold"));
  const json::object event = events()[0];
  EXPECT_EQ(event.at("reason"), "auto_evict");
  EXPECT_EQ(event.at("explanation"), "no query for 30 days");
  EXPECT_EQ(event.at("documents"), 0);
  look();
  EXPECT_THAT(event_names(), ElementsAre("cold"));
}

TEST_F(TieringTest, TimesOfQueriesOutliveTheProcess) {
  set_rules("col_a", {rule(kAutoEvict, 2)});
  pass_days(1);
  query();
  tiering_->flush_queries();
  tiering_ = make();
  pass_days(1);
  look();
  EXPECT_EQ(state(), "active");
  pass_days(1);
  look();
  EXPECT_EQ(state(), "cold");
}

TEST_F(TieringTest, LaterTimeStaysWhicheverIsWrittenLast) {
  const TimestampUs later = clock_.now_us() + kDayUs;
  TimestampUs read = 0;
  write([&](catalog::Session& session) -> Status {
    for (TimestampUs at : {later, later - 1}) QUARRY_RETURN_IF_ERROR(store_query_time(session, scope_, "col_a", at));
    QUARRY_ASSIGN_OR_RETURN(read, load_query_time(session, scope_, "col_a"));
    return Ok{};
  });
  EXPECT_EQ(read, later);
}

TEST_F(TieringTest, CollectionThatIsGoneLeavesNoTime) {
  query();
  write([&](catalog::Session& session) { return session.remove(catalog::kind::kCollection, scope_, "col_a"); });
  tiering_->flush_queries();
  EXPECT_THAT(catalog_->list({.kind = std::string(catalog::kind::kQueryTime), .scope = scope_})->items, IsEmpty());
}

// A catalog of an earlier release tells nothing of the time before.
TEST_F(TieringTest, IdleTimeBeginsWithTheRecording) {
  write([&](catalog::Session& session) { return session.remove(catalog::kind::kQueryTime, {}, "recorded"); });
  set_rules("col_a", {rule(kAutoEvict, 3)});
  pass_days(100);
  begin_recording_now();
  look();
  EXPECT_EQ(state(), "active");
  pass_days(3);
  look();
  EXPECT_EQ(state(), "cold");
}

TEST_F(TieringTest, ArchivesOnlyAfterTheAnnouncedDelay) {
  begin_cold(10);
  pass_days(3);
  look();
  ASSERT_THAT(event_names(), ElementsAre("cold", "lifecycle.archive_announced"));
  EXPECT_EQ(events()[1].at("archive_at").as_string(), format_timestamp(clock_.now_us() + 7 * kDayUs));
  EXPECT_TRUE(collection().archive_announced);
  for (int day = 0; day < 6; ++day) {
    pass_days(1);
    look();
  }
  clock_.advance_us(kDayUs - 1);
  look();
  EXPECT_EQ(state(), "cold");
  EXPECT_TRUE(vectors_.count("col_a", Filter{}).ok());
  clock_.advance_us(1);
  look();
  EXPECT_EQ(state(), "archived");
  EXPECT_FALSE(vectors_.count("col_a", Filter{}).ok());
  EXPECT_FALSE(collection().archive_announced);
  ASSERT_THAT(event_names(), ElementsAre("cold", "lifecycle.archive_announced", "archived"));
  EXPECT_EQ(events()[2].at("reason"), "auto_archive");
  pass_days(1'000);
  look();
  EXPECT_EQ(events().size(), 3u);
}

TEST_F(TieringTest, QueryTakesAnAnnouncementBackAtOnce) {
  begin_cold(10);
  pass_days(3);
  look();
  ASSERT_TRUE(collection().archive_announced);
  pass_days(7);  // due, but the query comes first
  query();
  EXPECT_FALSE(collection().archive_announced);
  ASSERT_THAT(event_names(), ElementsAre("cold", "lifecycle.archive_announced", "lifecycle.archive_cancelled"));
  EXPECT_EQ(events()[2].at("explanation"), "queried after the announcement");
  tiering_ = make();  // what was not flushed is not needed
  look();
  EXPECT_EQ(state(), "cold");
  pass_days(3);
  look();
  EXPECT_EQ(event_names().back(), "lifecycle.archive_announced");
}

TEST_F(TieringTest, RulesThatGoTakeTheAnnouncementWithThem) {
  begin_cold(10);
  pass_days(3);
  look();
  set_rules("col_a", {});
  look();
  EXPECT_FALSE(collection().archive_announced);
  pass_days(100);
  look();
  EXPECT_EQ(state(), "cold");
}

TEST_F(TieringTest, QueryOfAColdCollectionBringsItBack) {
  set_rules("col_a", {rule(kAutoEvict, 1), rule(kAutoRehydrate, {})});
  pass_days(1);
  look();
  ASSERT_EQ(state(), "cold");
  look();
  ASSERT_EQ(state(), "cold");
  clock_.advance_us(1);
  query();
  look();
  EXPECT_EQ(state(), "active");
  EXPECT_EQ(events().back().at("reason"), "auto_rehydrate");
  look();
  EXPECT_EQ(state(), "active");
}

TEST_F(TieringTest, QueryWakesTheThread) {
  set_rules("col_a", {rule(kAutoEvict, 1), rule(kAutoRehydrate, {})});
  pass_days(1);
  look();
  options_.tiering_interval_us = 3'600'000'000;  // not by a look at everything
  options_.query_flush_us = 0;
  tiering_ = make();
  enqueued_ = 0;
  ASSERT_TRUE(tiering_->start().ok());
  clock_.advance_us(1);
  query();
  EXPECT_TRUE(eventually([&] { return enqueued_ == 1; }));
  run_tasks();
  EXPECT_EQ(state(), "active");
}

TEST_F(TieringTest, FrozenIsLeftAlone) {
  set_rules("col_a", {rule(kAutoEvict, 1), rule(kAutoArchive, 1), rule(kAutoRehydrate, {})});
  write([&](catalog::Session& session) -> Status {
    QUARRY_RETURN_IF_ERROR(begin_lifecycle_change(session, scope_, "internal", {"col_a", LifecycleState::kFrozen}, clock_.now_us()));
    return Ok{};
  });
  pass_days(100);
  query();
  look();
  EXPECT_EQ(state(), "frozen");
  EXPECT_THAT(event_names(), ElementsAre("frozen"));
}

TEST_F(TieringTest, BatchHoldsTheArchiveUp) {
  begin_cold(10);
  pass_days(3);
  look();
  const std::string batch_id = submit(add_objects(1));
  pass_days(7);
  look();
  EXPECT_EQ(state(), "cold");
  ASSERT_TRUE(cancel(batch_id).ok());
  look();
  EXPECT_EQ(state(), "archived");
}

TEST_F(TieringTest, MoveThatWasCancelledIsTriedAgainLater) {
  set_rules("col_a", {rule(kAutoEvict, 1)});
  pass_days(1);
  ASSERT_TRUE(tiering_->look_at_all().ok());
  write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(const auto tasks, session.list_tasks({.scope = scope_}, nullptr));
    return session.request_cancel(tasks.at(0).task_id);
  });
  EXPECT_EQ(run_tasks(), 1u);
  ASSERT_EQ(state(), "active");
  look();
  EXPECT_EQ(enqueued_, 1);
  clock_.advance_us(3'600'000'000);
  look();
  EXPECT_EQ(enqueued_, 2);
  EXPECT_EQ(state(), "cold");
}

TEST_F(TieringTest, SeveralProcessesTakeAStepOnce) {
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) {
    ids.push_back("col_" + std::to_string(i));
    add_watched(ids.back(), {rule(kAutoEvict, 1)});
  }
  pass_days(1);
  std::vector<std::unique_ptr<Tiering>> processes;
  for (int i = 0; i < 4; ++i) processes.push_back(make());
  std::vector<std::thread> threads;
  for (auto& process : processes) threads.emplace_back([&] { EXPECT_TRUE(process->look_at_all().ok()); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(run_tasks(), ids.size());
  for (const std::string& id : ids) EXPECT_THAT(event_names(id), ElementsAre("cold")) << id;
}

TEST_F(TieringTest, PlanTellsWhatComesNext) {
  set_rules("col_a", {rule(kAutoEvict, 30)});
  add_watched("col_b", {});
  const auto plan = plan_tiering(*catalog_, scope_, clock_.now_us());
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  ASSERT_EQ(plan->size(), 1u);
  EXPECT_EQ(plan->at(0).collection.collection_id, "col_a");
  ASSERT_EQ(plan->at(0).actions.size(), 1u);
  EXPECT_EQ(plan->at(0).actions[0].step, TieringStep::kEvict);
  EXPECT_EQ(plan->at(0).actions[0].due_at, clock_.now_us() + 30 * kDayUs);
  look();
  EXPECT_EQ(state(), "active");
}

}  // namespace
}  // namespace quarry::pipeline
