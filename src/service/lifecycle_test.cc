#include <gmock/gmock.h>

#include "service/test_ingest_world.h"

namespace quarry::service {
namespace {

using testing::HasSubstr;

class LifecycleTest : public IngestWorld {
 protected:
  void SetUp() override {
    IngestWorld::SetUp();
    notes_ = direct_collection(client_, "notes");
    letters_ = direct_collection(client_, "letters");
    for (int i = 0; i < 6; ++i) add(i % 2 == 0 ? notes_ : letters_, i);
  }

  void add(const std::string& collection, int i) {
    add_document(client_, collection, {{"document_id", "d" + std::to_string(i)}, {"n", i}, {"vectors", {{"v", {1.0, 0.1 * i, 0.0}}}}});
  }

  // The service anew over another object store, as after a restart.
  void reopen(objects::ObjectStore& store, int64_t cold_timeout_us = 60'000'000) {
    engine_.reset();
    api_.reset();
    vectors_ = mvs::VectorStore::open({.store = &store, .executor = &executor_, .cold_cache_bytes = 0, .cold_timeout_us = cold_timeout_us})
                   .value();
    deps_.vectors = vectors_.get();
    reopen_api();
  }

  Call of(const std::string& collection, json::value body = {}) {
    return {.path = {{"collection_identifier", collection}}, .body = std::move(body)};
  }
  Call to(const std::string& collection, std::string_view state, bool async) {
    return of(collection, {{"lifecycle_state", state}, {"async_transition", async}});
  }
  json::object move(const std::string& collection, std::string_view state) {
    return ok(client_, "transition_lifecycle", to(collection, state, false));
  }
  std::string begin(const std::string& collection, std::string_view state) {
    return std::string(string_member(ok(client_, "transition_lifecycle", to(collection, state, true)), "task_id"));
  }
  std::string state_of(const std::string& collection) {
    return std::string(string_member(ok(client_, "get_lifecycle", of(collection)), "lifecycle_state"));
  }
  json::object end_of_task(const std::string& task_id) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (;;) {
      json::object task = ok(client_, "get_task", {.path = {{"task_id", task_id}}});
      if (is_terminal(parse_task_status(string_member(task, "status"))) || std::chrono::steady_clock::now() > deadline) return task;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  json::object question(std::vector<std::string> collections, json::object more = {}) {
    json::object search{{"feature_uri", "mixpeek://passthrough_extractor@v1/v"},
                        {"query", {{"input_mode", "vector"}, {"value", {1, 0, 0}}}},
                        {"top_k", 10}};
    json::object stage{{"stage_name", "find"},
                       {"stage_type", "filter"},
                       {"config",
                        {{"stage_id", "feature_search"}, {"parameters", {{"searches", json::array{search}}, {"final_top_k", 10}}}}}};
    more["collection_identifiers"] = json::value_from(collections);
    more["stages"] = json::array{stage};
    return more;
  }
  json::object search(std::vector<std::string> collections, json::object more = {}) {
    return ok(client_, "execute_adhoc_retriever", {.body = question(std::move(collections), std::move(more))});
  }
  // {id, score, tier} per result.
  static json::array results_of(const json::object& reply, bool with_tier = true) {
    json::array out;
    for (const auto& row : reply.at("results").as_array()) {
      out.push_back(json::array{row.at("document_id"), row.at("score")});
      if (with_tier) out.back().as_array().push_back(row.at("_source_tier"));
    }
    return out;
  }
  static json::object metadata_of(const json::object& reply) {
    return reply.at("stage_statistics").at("stages").as_array().at(0).at("metadata").as_object();
  }
  mvs::TableUsage usage_of(const std::string& collection) {
    for (const auto& usage : vectors_->usage())
      if (usage.table_id == collection) return usage;
    return {};
  }

  std::unique_ptr<objects::ObjectStore> faulty_;  // outlives vectors_, which TearDown ends
  std::string notes_, letters_;
};

TEST_F(LifecycleTest, ColdAnswersAsActiveAndSaysSo) {
  ASSERT_TRUE(engine_->start().ok());
  const json::object before = search({notes_, letters_});
  json::object moved = move(notes_, "cold");
  EXPECT_EQ(moved["lifecycle_state"], "cold");
  EXPECT_EQ(moved["vector_document_count"], 0);
  EXPECT_EQ(moved["s3_vector_count"], 3);
  EXPECT_TRUE(moved.contains("last_transitioned_at"));
  EXPECT_EQ(usage_of(notes_).tier, mvs::Tier::kCold);
  EXPECT_EQ(usage_of(notes_).memory_bytes, 0u);
  const json::object after = search({notes_, letters_});
  EXPECT_EQ(results_of(after, false), results_of(before, false));
  EXPECT_EQ(metadata_of(after).at("source_tiers"), (json::object{{"active", 3}, {"cold", 3}}));
  for (const auto& row : after.at("results").as_array())
    EXPECT_EQ(row.at("_source_tier"), row.at("collection_id").as_string() == notes_ ? "cold" : "active");
  json::object shown = ok(client_, "get_collection", of(notes_));
  EXPECT_EQ(shown["document_count"], 3);
  EXPECT_EQ(shown["vector_count"], 3);
  EXPECT_FALSE(shown.contains("_internal"));
  add(notes_, 6);
  EXPECT_EQ(search({notes_})["results"].as_array().size(), 4u);
  EXPECT_EQ(usage_of(notes_).tier, mvs::Tier::kCold);
  json::object back = move(notes_, "active");
  EXPECT_EQ(back["vector_document_count"], 4);
  EXPECT_FALSE(back.contains("warning"));
  EXPECT_GT(usage_of(notes_).memory_bytes, 0u);
}

TEST_F(LifecycleTest, StepsThatExistAndThoseThatDoNot) {
  ASSERT_TRUE(engine_->start().ok());
  const std::string states[] = {"active", "cold", "frozen", "archived"};
  for (const auto& from : states)
    for (const auto& next : states) {
      SCOPED_TRACE(from + " to " + next);
      std::string id = direct_collection(client_, from + "_" + next);
      if (from != "active") move(id, from);
      auto reply = call(client_, "transition_lifecycle", to(id, next, false));
      const bool exists = from == next || (from != "archived" && !(from == "frozen" && next == "archived"));
      ASSERT_EQ(reply.ok(), exists) << (reply.ok() ? "" : reply.error().message);
      EXPECT_EQ(state_of(id), exists ? next : from);
      if (!exists) {
        EXPECT_EQ(reply.error().kind, ErrorKind::kBadRequest);
      }
    }
}

TEST_F(LifecycleTest, FrozenRefusesWritesAndServesTheTierItHad) {
  ASSERT_TRUE(engine_->start().ok());
  for (const std::string tier : {"active", "cold"}) {
    move(notes_, tier);
    move(notes_, "frozen");
    Error refused_write = refused("create_document", of(notes_, {{"n", 1}}));
    EXPECT_EQ(refused_write.kind, ErrorKind::kBadRequest);
    EXPECT_THAT(refused_write.message, HasSubstr("'notes' is frozen"));
    EXPECT_EQ(metadata_of(search({notes_})).at("source_tiers"), (json::object{{tier, 3}}));
    EXPECT_EQ(ok(client_, "get_lifecycle", of(notes_))["vector_document_count"], tier == "cold" ? 0 : 3);
  }
  reopen(*store_);  // and after a restart
  EXPECT_EQ(metadata_of(search({notes_})).at("source_tiers"), (json::object{{"cold", 3}}));
}

TEST_F(LifecycleTest, TasksRepeatsAndConflicts) {
  const std::string task = begin(notes_, "cold");
  EXPECT_EQ(begin(notes_, "cold"), task);
  EXPECT_EQ(string_member(ok(client_, "get_lifecycle", of(notes_)), "task_id"), task);
  Error other = refused("transition_lifecycle", to(notes_, "archived", true));
  EXPECT_EQ(other.kind, ErrorKind::kConflict);
  EXPECT_EQ(string_member(other.details, "task_id"), task);
  EXPECT_EQ(state_of(notes_), "active");
  ASSERT_TRUE(engine_->start().ok());
  json::object ended = end_of_task(task);
  EXPECT_EQ(ended["status"], "COMPLETED");
  EXPECT_EQ(ended["additional_data"].as_object()["operation"], "lifecycle_transition");
  EXPECT_EQ(state_of(notes_), "cold");
  json::object repeat = ok(client_, "transition_lifecycle", to(notes_, "cold", true));
  EXPECT_FALSE(repeat.contains("task_id"));
}

TEST_F(LifecycleTest, TaskThatWasCancelledBeforeItBeganChangesNothing) {
  const std::string task = begin(notes_, "cold");
  ok(client_, "kill_task", {.path = {{"task_id", task}}});
  ASSERT_TRUE(engine_->start().ok());
  EXPECT_EQ(end_of_task(task)["status"], "CANCELED");
  EXPECT_EQ(state_of(notes_), "active");
  EXPECT_EQ(move(notes_, "cold")["lifecycle_state"], "cold");
}

TEST_F(LifecycleTest, BatchThatRunsHoldsBackFreezingAndArchiving) {
  const std::string bucket = text_bucket(), texts = bucket_collection("texts", bucket);
  const std::string object = object_id_of(create_object(bucket, object_body("a text")));
  const std::string batch(string_member(create_batch(bucket, {{"object_ids", {object}}}), "batch_id"));
  ok(client_, "submit_batch_buckets_batches", {.path = {{"bucket_identifier", bucket}, {"batch_id", batch}}});
  for (std::string_view state : {"frozen", "archived"}) {
    Error held = refused("transition_lifecycle", to(texts, state, true));
    EXPECT_EQ(held.kind, ErrorKind::kConflict);
    EXPECT_EQ(string_member(held.details, "batch_id"), batch);
  }
  const std::string task = begin(texts, "cold");  // what a batch writes lands in the warm tier either way
  ASSERT_TRUE(engine_->start().ok());
  EXPECT_EQ(end_of_task(task)["status"], "COMPLETED");
  EXPECT_EQ(end_of(bucket, batch), "COMPLETED");
  EXPECT_EQ(documents_in(texts), 1u);
  EXPECT_EQ(move(texts, "frozen")["lifecycle_state"], "frozen");
}

TEST_F(LifecycleTest, ArchivingTakesTheDataAndLeavesTheRest) {
  ASSERT_TRUE(engine_->start().ok());
  json::object moved = move(notes_, "archived");
  EXPECT_EQ(moved["lifecycle_state"], "archived");
  EXPECT_EQ(moved["s3_vector_count"], 0);
  const auto context = context_of(client_).value();
  EXPECT_TRUE(store_->list(pipeline::table_prefix(context.internal_id, context.namespace_id, notes_) + "/", "", 1)->empty());
  json::object shown = ok(client_, "get_collection", of(notes_));
  EXPECT_EQ(shown["document_count"], 0);
  EXPECT_EQ(shown["collection_name"], "notes");
  EXPECT_EQ(error_of(client_, "create_document", of(notes_, {{"n", 1}})), ErrorKind::kBadRequest);
  ok(client_, "delete_collection", of(notes_));
}

TEST_F(LifecycleTest, ArchivingNeedsThePermissionToDelete) {
  const Client writer = client_without_delete();
  EXPECT_EQ(error_of(writer, "transition_lifecycle", to(notes_, "archived", true)), ErrorKind::kForbidden);
  EXPECT_EQ(state_of(notes_), "active");
}

TEST_F(LifecycleTest, EmptyRehydrateWarns) {
  ASSERT_TRUE(engine_->start().ok());
  const std::string empty = direct_collection(client_, "empty");
  move(empty, "cold");
  EXPECT_EQ(move(empty, "active")["warning"], "No vectors found in warm tier to rehydrate");
}

TEST_F(LifecycleTest, ArchivedCollectionsAreRefusedOrSkipped) {
  ASSERT_TRUE(engine_->start().ok());
  move(notes_, "archived");
  Error alone = refused("execute_adhoc_retriever", {.body = question({notes_})});
  EXPECT_EQ(alone.kind, ErrorKind::kBadRequest);
  EXPECT_THAT(alone.message, HasSubstr("Cannot search archived collections"));
  EXPECT_EQ(alone.details.at("archived_collection_ids"), (json::array{notes_}));
  json::object partly = search({notes_, letters_});
  EXPECT_EQ(partly["results"].as_array().size(), 3u);
  EXPECT_EQ(metadata_of(partly).at("warnings"), (json::array{"Skipped archived collections: " + notes_}));
  const json::object cache{{"enabled", true}, {"ttl_seconds", 60}};
  json::object body = question({notes_, letters_}, {{"retriever_name", "both"}, {"cache_config", cache}});
  std::string id(string_member(ok(client_, "create_retriever", {.body = body}), "retriever_id"));
  json::object cached = ok(client_, "execute_retriever", {.path = {{"retriever_id", id}}, .body = json::object{}});
  EXPECT_EQ(cached["results"].as_array().size(), 3u);
}

TEST_F(LifecycleTest, FailingColdCollectionCostsAWarning) {
  ASSERT_TRUE(engine_->start().ok());
  move(notes_, "cold");
  const auto context = context_of(client_).value();
  const std::string prefix = pipeline::table_prefix(context.internal_id, context.namespace_id, notes_) + "/";
  faulty_ = objects::make_faulty_store(*store_, {.seed = 1, .fail_before = 1, .prefix = prefix});
  reopen(*faulty_);
  json::object rest = search({notes_, letters_});
  EXPECT_EQ(rest["results"].as_array().size(), 3u);
  EXPECT_EQ(rest["status"], "COMPLETED_WITH_ERRORS");
  const std::string warning(metadata_of(rest).at("warnings").as_array().at(0).as_string());
  EXPECT_THAT(warning, HasSubstr("Cold search failed for collection " + notes_ + ": "));
  EXPECT_THAT(warning, HasSubstr("injected fault"));
  EXPECT_EQ(metadata_of(rest).at("source_tiers"), (json::object{{"active", 3}}));
  EXPECT_EQ(refused("execute_adhoc_retriever", {.body = question({notes_})}).kind, ErrorKind::kStorage);
}

TEST_F(LifecycleTest, SlowColdCollectionCostsAWarning) {
  ASSERT_TRUE(engine_->start().ok());
  move(notes_, "cold");
  const auto context = context_of(client_).value();
  const std::string prefix = pipeline::table_prefix(context.internal_id, context.namespace_id, notes_) + "/";
  faulty_ = objects::make_faulty_store(*store_, {.prefix = prefix, .read_delay_us = 700'000});
  reopen(*faulty_, 50'000);
  json::object rest = search({notes_, letters_});
  EXPECT_EQ(rest["results"].as_array().size(), 3u);
  EXPECT_EQ(metadata_of(rest).at("warnings"), (json::array{"Cold search failed for collection " + notes_ + ": timeout"}));
}

TEST_F(LifecycleTest, RestartServesEachFromItsTier) {
  ASSERT_TRUE(engine_->start().ok());
  move(notes_, "cold");
  reopen(*store_);
  EXPECT_EQ(metadata_of(search({notes_, letters_})).at("source_tiers"), (json::object{{"active", 3}, {"cold", 3}}));
  EXPECT_EQ(usage_of(notes_).memory_bytes, 0u);
}

TEST_F(LifecycleTest, TaskOfADeadProcessIsTakenUp) {
  const std::string task = begin(notes_, "cold");
  ASSERT_TRUE(catalog_
                  ->write([&](catalog::Session& session) -> Status {
                    QUARRY_ASSIGN_OR_RETURN(auto claimed, session.claim("the dead", {std::string(pipeline::kLifecycleTaskType)},
                                                                        3'600'000'000, clock_.now_us()));
                    EXPECT_TRUE(claimed.has_value());
                    return Ok{};
                  })
                  .ok());
  ASSERT_TRUE(engine_->start().ok());
  EXPECT_EQ(end_of_task(task)["status"], "COMPLETED");
  EXPECT_EQ(state_of(notes_), "cold");
}

TEST_F(LifecycleTest, AnotherProcessFollows) {
  ASSERT_TRUE(engine_->start().ok());
  auto other_vectors = mvs::VectorStore::open({.store = store_.get(), .executor = &executor_, .cold_cache_bytes = 0}).value();
  Dependencies other_deps = deps_;
  other_deps.vectors = other_vectors.get();
  other_deps.engine = nullptr;
  const auto other = Api::make(other_deps);
  auto look = [&] {
    RequestContext context = context_of(client_).value();
    Request request;
    request.body = question({notes_});
    auto reply = (*other->find("execute_adhoc_retriever"))(context, request);
    EXPECT_TRUE(reply.ok()) << reply.error().message;
    return other_vectors->usage().at(0);
  };
  EXPECT_GT(look().memory_bytes, 0u);
  clock_.advance_us(1);
  move(notes_, "cold");
  EXPECT_EQ(look().tier, mvs::Tier::kCold);
  EXPECT_EQ(look().memory_bytes, 0u);
  clock_.advance_us(1);
  move(notes_, "active");
  EXPECT_EQ(look().tier, mvs::Tier::kActive);
}

}  // namespace
}  // namespace quarry::service
