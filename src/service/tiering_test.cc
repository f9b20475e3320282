// Tiering rules from the request that sets them to the events they leave, with an engine whose clock the test moves.
#include <gmock/gmock.h>

#include "service/test_ingest_world.h"

namespace quarry::service {
namespace {

using pipeline::kDayUs;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TieringRulesTest : public IngestWorld {
 protected:
  void SetUp() override {
    IngestWorld::SetUp();
    notes_ = direct_collection(client_, "notes");
    for (int i = 0; i < 3; ++i)
      add_document(client_, notes_, {{"document_id", "d" + std::to_string(i)}, {"n", i}, {"vectors", {{"v", {1.0, 0.1 * i, 0.0}}}}});
    ASSERT_TRUE(engine_->start().ok());
  }
  void adjust(pipeline::Options& options) override {
    options.clock = &clock_;
    options.tiering_interval_us = 2'000;
    options.query_flush_us = 1'000;
  }

  Call of_notes(json::value body = {}) { return {.path = {{"collection_identifier", "notes"}}, .body = std::move(body)}; }
  static json::object rule(std::string_view type, std::optional<int> days) {
    json::object out{{"rule_type", type}, {"enabled", true}};
    if (days) out["threshold_days"] = *days;
    return out;
  }
  void set_rules(std::initializer_list<json::object> rules) {
    const json::array wanted(rules.begin(), rules.end());
    EXPECT_EQ(ok(client_, "update_collection", of_notes({{"tiering_rules", wanted}}))["tiering_rules"], wanted);
  }
  json::object lifecycle() { return ok(client_, "get_lifecycle", of_notes()); }
  std::string state() { return std::string(string_member(lifecycle(), "lifecycle_state")); }
  void pass_days(int64_t count) { clock_.advance_us(count * kDayUs); }
  // The condition decides, the time only bounds a hang.
  testing::AssertionResult becomes(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return testing::AssertionFailure() << json::serialize(lifecycle());
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return testing::AssertionSuccess();
  }
  testing::AssertionResult becomes(std::string_view wanted) {
    return becomes([&] { return state() == wanted && !lifecycle().contains("task_id"); });
  }
  json::object question() {
    json::object search{{"feature_uri", "mixpeek://passthrough_extractor@v1/v"},
                        {"query", {{"input_mode", "vector"}, {"value", {1, 0, 0}}}},
                        {"top_k", 10}};
    json::object stage{
        {"stage_name", "find"},
        {"stage_type", "filter"},
        {"config", {{"stage_id", "feature_search"}, {"parameters", {{"searches", json::array{search}}, {"final_top_k", 10}}}}}};
    return {{"collection_identifiers", json::array{"notes"}}, {"stages", json::array{stage}}};
  }
  json::array search() {
    json::array found;
    const json::object reply = ok(client_, "execute_adhoc_retriever", {.body = question()});
    for (const auto& row : reply.at("results").as_array())
      found.push_back(json::array{row.at("document_id"), row.at("score"), row.at("_source_tier")});
    return found;
  }
  // Newest first.
  json::array events(json::object query = {}) {
    return ok(client_, "list_lifecycle_events", {.query = std::move(query)})["results"].as_array();
  }
  json::object plan() { return ok(client_, "plan_lifecycle"); }
  // auto_evict has moved it; auto_archive of ten days has announced its end.
  void announce_archive() {
    set_rules({rule(kAutoEvict, 1), rule(kAutoArchive, 10)});
    pass_days(1);
    ASSERT_TRUE(becomes("cold"));
    pass_days(3);
    ASSERT_TRUE(becomes([&] { return lifecycle().contains("archive_at"); }));
  }

  std::string notes_;
};

TEST_F(TieringRulesTest, EvictedAnswersTheSameAndAQueryBringsItBack) {
  set_rules({rule(kAutoEvict, 30), rule(kAutoRehydrate, {})});
  json::array before = search();
  ASSERT_EQ(before.size(), 3u);
  pass_days(30);
  ASSERT_TRUE(becomes("cold"));
  EXPECT_EQ(lifecycle()["vector_document_count"], 0);
  json::array moved = events();
  ASSERT_EQ(moved.size(), 1u);
  EXPECT_EQ(moved[0].at("reason"), "auto_evict");
  EXPECT_EQ(moved[0].at("explanation"), "no query for 30 days");
  EXPECT_EQ(moved[0].at("documents"), 3);
  EXPECT_GT(moved[0].at("bytes").to_number<int64_t>(), 0);
  EXPECT_GT(moved[0].at("memory_bytes").to_number<int64_t>(), 0);
  clock_.advance_us(1);
  json::array cold = search();
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(cold[i].at(2), "cold");
    EXPECT_EQ(cold[i].at(0), before[i].at(0));
    EXPECT_EQ(cold[i].at(1), before[i].at(1));
  }
  ASSERT_TRUE(becomes("active"));
  EXPECT_EQ(events()[0].at("reason"), "auto_rehydrate");
  EXPECT_EQ(search(), before);
}

TEST_F(TieringRulesTest, WhatCountsAsAQuery) {
  const std::pair<std::string, Call> counted[] = {
      {"get_document", {.path = {{"collection_identifier", "notes"}, {"document_id", "d0"}}}},
      {"list_documents", of_notes(json::object{})},
      {"count_documents", of_notes()},
      {"get_document_ns", {.path = {{"document_id", "d0"}}}},
      {"execute_adhoc_retriever", {.body = question()}},
  };
  for (const auto& [operation, request] : counted) {
    pass_days(1);
    ok(client_, operation, request);
    EXPECT_EQ(lifecycle()["last_queried_at"].as_string(), format_timestamp(clock_.now_us())) << operation;
  }
  const TimestampUs last = clock_.now_us();
  pass_days(1);
  ok(client_, "get_collection", of_notes());
  plan();
  add_document(client_, notes_, {{"document_id", "more"}});
  EXPECT_EQ(lifecycle()["last_queried_at"].as_string(), format_timestamp(last));
}

TEST_F(TieringRulesTest, AnswerFromTheCacheIsAQuery) {
  json::object body = question();
  body["retriever_name"] = "cached";
  body["cache_config"] = json::object{{"enabled", true}, {"ttl_seconds", 600}};
  const std::string id(string_member(ok(client_, "create_retriever", {.body = body}), "retriever_id"));
  const auto run = [&] { return ok(client_, "execute_retriever", {.path = {{"retriever_id", id}}, .body = json::object{}}); };
  EXPECT_EQ(run()["cache_hit"], false);
  clock_.advance_us(60'000'000);
  EXPECT_EQ(run()["cache_hit"], true);
  EXPECT_EQ(lifecycle()["last_queried_at"].as_string(), format_timestamp(clock_.now_us()));
}

TEST_F(TieringRulesTest, AnnouncedArchiveIsTakenBackByAQuery) {
  announce_archive();
  EXPECT_EQ(lifecycle()["archive_at"].as_string(), format_timestamp(clock_.now_us() + 7 * kDayUs));
  pass_days(6);
  EXPECT_EQ(search().size(), 3u);
  EXPECT_FALSE(lifecycle().contains("archive_at"));
  EXPECT_EQ(events()[0].at("event_type"), "lifecycle.archive_cancelled");
}

TEST_F(TieringRulesTest, ArchiveComesWhenNobodyAsks) {
  announce_archive();
  pass_days(7);
  ASSERT_TRUE(becomes("archived"));
  json::array all = events({{"collection_identifier", "notes"}});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].at("to"), "archived");
  EXPECT_EQ(all[0].at("reason"), "auto_archive");
  EXPECT_EQ(all[0].at("documents"), 3);
  EXPECT_EQ(all[1].at("event_type"), "lifecycle.archive_announced");
  EXPECT_EQ(all[1].at("documents"), 3);
  const auto context = context_of(client_).value();
  EXPECT_TRUE(becomes(
      [&] { return store_->list(pipeline::table_prefix(context.internal_id, context.namespace_id, notes_) + "/", "", 1)->empty(); }));
  EXPECT_THAT(plan()["actions"].as_array(), IsEmpty());
}

TEST_F(TieringRulesTest, ChangesByHandLeaveTheirTraceToo) {
  ok(client_, "transition_lifecycle", of_notes({{"lifecycle_state", "cold"}, {"async_transition", false}}));
  clock_.advance_us(1);
  ok(client_, "transition_lifecycle", of_notes({{"lifecycle_state", "archived"}, {"async_transition", false}}));
  json::array all = events();
  ASSERT_EQ(all.size(), 2u);
  for (const auto& event : all) {
    EXPECT_EQ(event.at("reason"), "request");
    EXPECT_EQ(event.at("documents"), 3);
    EXPECT_GT(event.at("bytes").to_number<int64_t>(), 0);
  }
  EXPECT_GT(all[1].at("memory_bytes").to_number<int64_t>(), 0);
}

TEST_F(TieringRulesTest, PlanShowsStepsSavingsAndCosts) {
  EXPECT_THAT(plan()["actions"].as_array(), IsEmpty());
  search();
  set_rules({rule(kAutoEvict, 30)});
  json::object shown = plan();
  ASSERT_EQ(shown["actions"].as_array().size(), 1u);
  json::object evict = shown["actions"].as_array()[0].as_object();
  EXPECT_EQ(evict["action"], "evict");
  EXPECT_EQ(evict["collection_name"], "notes");
  EXPECT_EQ(evict["is_due"], false);
  EXPECT_EQ(evict["due_at"].as_string(), format_timestamp(clock_.now_us() + 30 * kDayUs));
  EXPECT_EQ(evict["documents"], 3);
  EXPECT_GT(evict["memory_bytes_freed"].to_number<int64_t>(), 0);
  EXPECT_GT(evict["bytes_read_back"].to_number<int64_t>(), 0);
  EXPECT_EQ(shown["due"].as_object()["actions"], 0);
  EXPECT_EQ(state(), "active");
}

TEST_F(TieringRulesTest, OthersSeeNothing) {
  announce_archive();
  const Client other = with_namespace(second_organization(), "theirs");
  EXPECT_THAT(ok(other, "list_lifecycle_events")["results"].as_array(), IsEmpty());
  EXPECT_THAT(ok(other, "plan_lifecycle")["actions"].as_array(), IsEmpty());
  EXPECT_EQ(error_of(other, "list_lifecycle_events", {.query = {{"collection_identifier", notes_}}}), ErrorKind::kNotFound);
}

TEST_F(TieringRulesTest, RulesThatAreRefused) {
  json::object twice{{"tiering_rules", json::array{rule(kAutoEvict, 1), rule(kAutoEvict, 2)}}};
  EXPECT_EQ(error_of(client_, "update_collection", of_notes(twice)), ErrorKind::kValidation);
  EXPECT_EQ(error_of(client_, "update_collection", of_notes({{"tiering_rules", json::array{rule(kAutoArchive, {})}}})),
            ErrorKind::kValidation);
}

TEST_F(TieringRulesTest, AutoArchiveNeedsThePermissionToDelete) {
  const Client writer = client_without_delete();
  json::array archive{rule(kAutoArchive, 30)};
  auto refused = call(writer, "update_collection", of_notes({{"tiering_rules", archive}}));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kForbidden);
  EXPECT_THAT(refused.error().message, HasSubstr("'delete'"));
  ok(writer, "update_collection", of_notes({{"tiering_rules", json::array{rule(kAutoEvict, 30)}}}));
  set_rules({rule(kAutoArchive, 30)});
  ok(writer, "update_collection", of_notes({{"tiering_rules", archive}, {"description", "sent back"}}));
  EXPECT_EQ(error_of(writer, "update_collection", of_notes({{"tiering_rules", json::array{rule(kAutoArchive, 1)}}})),
            ErrorKind::kForbidden);
}

TEST_F(TieringRulesTest, DeletedCollectionLeavesNothing) {
  search();
  lifecycle();
  ok(client_, "delete_collection", of_notes());
  const auto context = context_of(client_).value();
  const catalog::Scope scope{context.organization_id, context.namespace_id};
  for (std::string_view kind : {catalog::kind::kQueryTime, catalog::kind::kLifecycleEvent})
    EXPECT_THAT(catalog_->list({.kind = std::string(kind), .scope = scope})->items, IsEmpty()) << kind;
}

}  // namespace
}  // namespace quarry::service
