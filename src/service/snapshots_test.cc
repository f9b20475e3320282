#include <fmt/format.h>

#include "service/test_snapshot_world.h"

namespace quarry::service {
namespace {

using SnapshotsTest = SnapshotWorld;

TEST_F(SnapshotsTest, ReplacedTablesAreDroppedOnceTheyAreOld) {
  const std::string taken = take();
  add(3);
  EXPECT_EQ(documents(), 4u);
  EXPECT_EQ(end_of_task(ok(outside(), "restore_snapshot_namespaces", on(taken, {{"confirm_in_place", true}}))), "COMPLETED");
  EXPECT_EQ(documents(), 3u);
  EXPECT_EQ(table_folders().size(), 2u);
  ASSERT_TRUE(pipeline::drop_all_retired(*catalog_, *vectors_, *store_, 0).ok());  // none is that old
  EXPECT_EQ(table_folders().size(), 2u);
  ASSERT_TRUE(pipeline::drop_all_retired(*catalog_, *vectors_, *store_, INT64_MAX).ok());
  EXPECT_EQ(table_folders().size(), 1u);
  add(4);
  EXPECT_EQ(documents(), 4u);
  EXPECT_TRUE(ok(client_, "delete_collection", {.path = {{"collection_identifier", collection_}}}).at("success").as_bool());
  EXPECT_TRUE(table_folders().empty());
}

TEST_F(SnapshotsTest, DeletingANamespaceTakesReplacedTablesAndLeavesSnapshots) {
  const std::string taken = take();
  EXPECT_EQ(end_of_task(ok(outside(), "restore_snapshot_namespaces", on(taken, {{"confirm_in_place", true}}))), "COMPLETED");
  ok(outside(), "delete_namespace", {.path = {{"namespace_identifier", client_.ns}}});
  EXPECT_TRUE(table_folders().empty());
  EXPECT_TRUE(ok(outside(), "verify_snapshot_namespaces", on(taken)).at("restorable").as_bool());
  ok(outside(), "delete_snapshot_namespaces", on(taken));
  EXPECT_TRUE(store_->list("", "", 10).value().empty());
}

TEST_F(SnapshotsTest, TheSnapshotsOfANamespaceAreLimited) {
  Status filled = catalog_->write([&](catalog::Session& session) -> Status {
    for (uint64_t i = 0; i < pipeline::kMaxSnapshots; ++i)
      QUARRY_RETURN_IF_ERROR(
          pipeline::begin_snapshot(session, {client_.organization_id, client_.ns}, "internal", {client_.ns, "ingest"}, 1));
    return Ok{};
  });
  ASSERT_TRUE(filled.ok());
  EXPECT_EQ(error_of(outside(), "create_snapshot_namespaces", on("", {})), ErrorKind::kBadRequest);
}

TEST_F(SnapshotsTest, OthersFindNothing) {
  const std::string taken = take();
  const Client other = second_organization();
  for (const char* operation : {"get_snapshot_namespaces", "verify_snapshot_namespaces", "delete_snapshot_namespaces",
                                "list_snapshots_namespaces", "create_snapshot_namespaces"})
    EXPECT_EQ(error_of(other, operation, on(taken)), ErrorKind::kNotFound) << operation;
  EXPECT_EQ(error_of(other, "restore_snapshot_namespaces", on(taken, {{"confirm_in_place", true}})), ErrorKind::kNotFound);
}

TEST_F(SnapshotsTest, EachDayHasOneAndExpiredOnesGo) {
  constexpr int64_t kDay = 86'400'000'000;
  const TimestampUs start = clock_.now_us();
  const auto begin = [&](TimestampUs now) {
    const size_t begun = pipeline::begin_daily_snapshots(*catalog_, 2 * kDay, now).value();
    engine_->notify();
    return begun;
  };
  const auto snapshots = [&] { return ok(outside(), "list_snapshots_namespaces", on("")).at("results").as_array(); };
  take();  // one that was asked for is none of them, and stays
  EXPECT_EQ(begin(start), 1u);
  EXPECT_EQ(begin(start + kDay - 1), 0u);
  EXPECT_EQ(begin(start + kDay + 1), 1u);
  ASSERT_EQ(snapshots().size(), 3u);
  for (const json::value& row : snapshots()) {
    EXPECT_EQ(end_of_task(row.as_object()), "COMPLETED");
    if (string_member(row.as_object(), "snapshot_type") == "manual") continue;
    EXPECT_EQ(string_member(row.as_object(), "snapshot_type"), "daily");
    EXPECT_EQ(parse_timestamp(string_member(row.as_object(), "expires_at")).value() -
                  parse_timestamp(string_member(row.as_object(), "created_at")).value(),
              2 * kDay);
  }
  EXPECT_EQ(pipeline::drop_expired_snapshots(*catalog_, *store_, start + 2 * kDay - 1).value(), 0u);
  EXPECT_EQ(pipeline::drop_expired_snapshots(*catalog_, *store_, start + 2 * kDay).value(), 1u);
  EXPECT_EQ(snapshots().size(), 2u);
  // The last one stays until there is a newer one, or the namespace is gone.
  EXPECT_EQ(pipeline::drop_expired_snapshots(*catalog_, *store_, start + 9 * kDay).value(), 0u);
  engine_->stop();
  EXPECT_EQ(begin(start + 9 * kDay), 1u);
  EXPECT_EQ(pipeline::drop_expired_snapshots(*catalog_, *store_, start + 9 * kDay).value(), 0u);  // nothing is completed yet
  make_engine();
  reopen_api();
  ASSERT_TRUE(engine_->start().ok());
  for (const json::value& row : snapshots()) EXPECT_EQ(end_of_task(row.as_object()), "COMPLETED");
  EXPECT_EQ(pipeline::drop_expired_snapshots(*catalog_, *store_, start + 9 * kDay).value(), 1u);
  EXPECT_EQ(snapshots().size(), 2u);
  ok(outside(), "delete_namespace", {.path = {{"namespace_identifier", client_.ns}}});
  EXPECT_EQ(pipeline::drop_expired_snapshots(*catalog_, *store_, start + 11 * kDay).value(), 1u);
  ASSERT_EQ(snapshots().size(), 1u);
  EXPECT_EQ(string_member(snapshots()[0].as_object(), "snapshot_type"), "manual");
}

TEST_F(SnapshotsTest, AWrongClockAndAnEarlierNamespaceGiveNoDailyOne) {
  constexpr int64_t kDay = 86'400'000'000, kMinute = 60'000'000;
  const TimestampUs start = clock_.now_us();
  const auto begin = [&](TimestampUs now) { return pipeline::begin_daily_snapshots(*catalog_, kDay, now).value(); };
  engine_->stop();
  EXPECT_EQ(pipeline::begin_daily_snapshots(*catalog_, kDay, start, [] { return true; }).value(), 0u);
  EXPECT_EQ(begin(start + 30 * kDay), 1u);
  EXPECT_EQ(begin(start + kMinute), 1u);
  EXPECT_EQ(begin(start), 0u) << "another server's clock is a minute behind";
  EXPECT_EQ(begin(start + kDay), 0u);
  const auto made_anew = catalog_->write([&](catalog::Session& session) -> Status {
    const catalog::Scope scope{client_.organization_id, ""};
    QUARRY_ASSIGN_OR_RETURN(catalog::Resource ns, session.get(catalog::kind::kNamespace, scope, client_.ns));
    QUARRY_RETURN_IF_ERROR(session.remove(catalog::kind::kNamespace, scope, client_.ns));
    ns.created_at = start + 2 * kMinute;
    return session.insert(ns);
  });
  ASSERT_TRUE(made_anew.ok());
  EXPECT_EQ(begin(start + 3 * kMinute), 1u);
  EXPECT_EQ(begin(start + 4 * kMinute), 0u);
}

TEST_F(SnapshotsTest, AnExpiredOneStaysWhileATaskWorksOnIt) {
  engine_->stop();
  const json::object begun = ok(outside(), "create_snapshot_namespaces", on("", {}));
  const catalog::Scope scope{client_.organization_id, client_.ns};
  const auto expire = [](catalog::Resource& row) -> Status {
    row.body["expires_at"] = format_timestamp(1);
    return Ok{};
  };
  const auto changed = catalog_->update(catalog::kind::kSnapshot, scope, string_member(begun, "snapshot_id"), expire);
  ASSERT_TRUE(changed.ok());
  EXPECT_EQ(pipeline::drop_expired_snapshots(*catalog_, *store_, INT64_MAX).value(), 0u);
}

class PreDeleteTest : public SnapshotWorld {
 protected:
  static constexpr int64_t kKeepUs = 86'400'000'000;

  void SetUp() override {
    clock_.advance_us(system_clock().now_us() - clock_.now_us());  // snapshots are dated by the engine's clock, the system's
    deps_.pre_delete_keep_us = kKeepUs;
    SnapshotWorld::SetUp();
  }
  // A removal whose time is over before it begins to wait.
  void expect_timeout() {
    auto context = context_of(outside(), Admission::Scope::kOrganization).value();
    context.deadline_us = INT64_MIN;
    Request request;
    request.path = {{"namespace_identifier", client_.ns}};
    const auto timed_out = (*api_->find("delete_namespace"))(context, request);
    ASSERT_FALSE(timed_out.ok());
    EXPECT_EQ(timed_out.error().kind, ErrorKind::kTimeout);
  }
  std::vector<std::string> snapshot_ids() {
    std::vector<std::string> out;
    const json::object listed = ok(outside(), "list_snapshots_namespaces", on(""));
    for (const json::value& row : listed.at("results").as_array()) out.emplace_back(string_member(row.as_object(), "snapshot_id"));
    return out;
  }
  // The snapshot that a removal at `now` would wait for; one that it would begin is not kept.
  std::string wanted_for_removal(TimestampUs now) {
    const std::string internal_id = context_of(client_).value().internal_id;
    std::string id;
    EXPECT_FALSE(catalog_
                     ->write([&](catalog::Session& session) -> Status {
                       QUARRY_ASSIGN_OR_RETURN(
                           const auto row, pipeline::begin_pre_delete_snapshot(session, {client_.organization_id, client_.ns}, internal_id,
                                                                               "ingest", kKeepUs, now));
                       id = row.id;
                       return bad_request("roll back");
                     })
                     .ok());
    return id;
  }
  Call of_namespace(bool force = false) {
    Call out{.path = {{"namespace_identifier", client_.ns}}};
    if (force) out.query = {{"force", true}};
    return out;
  }
};

TEST_F(PreDeleteTest, ADeletedNamespaceComesBackWithItsBytes) {
  const std::string bucket = text_bucket();
  create_object(bucket, object_body(std::string(100'000, 'x')));
  const std::string taken(string_member(ok(outside(), "delete_namespace", of_namespace()), "snapshot_id"));
  EXPECT_EQ(error_of(outside(), "get_namespace", of_namespace()), ErrorKind::kNotFound);
  const json::object shown = ok(outside(), "get_snapshot_namespaces", on(taken));
  EXPECT_EQ(string_member(shown, "snapshot_type"), "pre_delete");
  EXPECT_TRUE(shown.contains("expires_at"));
  EXPECT_EQ(error_of(outside(), "restore_snapshot_namespaces", on(taken)), ErrorKind::kBadRequest);
  ok(outside(), "restore_snapshot_namespaces", on(taken, {{"confirm_in_place", true}}));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!ok(outside(), "get_snapshot_namespaces", on(taken)).contains("last_restore") && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(documents(), 3u);
  const auto context = context_of(client_).value();
  EXPECT_EQ(store_->list(fmt::format("{}/{}/blobs/{}/", context.internal_id, client_.ns, bucket), "", 10).value().size(), 1u);
}

TEST_F(PreDeleteTest, AnotherTryWaitsForTheSameSnapshot) {
  engine_->stop();
  expect_timeout();
  EXPECT_EQ(documents(), 3u);
  make_engine();
  reopen_api();
  ASSERT_TRUE(engine_->start().ok());
  const std::string taken(string_member(ok(outside(), "delete_namespace", of_namespace()), "snapshot_id"));
  EXPECT_EQ(snapshot_ids(), std::vector{taken});
}

TEST_F(PreDeleteTest, ASnapshotServesOneRemoval) {
  engine_->stop();
  expect_timeout();
  make_engine();
  reopen_api();
  ASSERT_TRUE(engine_->start().ok());
  ASSERT_EQ(snapshot_ids().size(), 1u);
  const std::string first = snapshot_ids()[0];
  ASSERT_EQ(end_of_task(ok(outside(), "get_snapshot_namespaces", on(first))), "COMPLETED");
  const auto chosen = [&](int64_t later_us) { return wanted_for_removal(system_clock().now_us() + later_us); };
  EXPECT_EQ(chosen(0), first);  // it was completed after the request had given up: the next one need not take another
  EXPECT_NE(chosen(600'000'001), first);
  EXPECT_NE(chosen(-3'600'000'000), first);  // completed in times to come: a clock was wrong
  const catalog::Scope scope{client_.organization_id, client_.ns};
  ASSERT_TRUE(catalog_->write([&](catalog::Session& s) { return pipeline::use_pre_delete_snapshot(s, scope, first); }).ok());
  EXPECT_NE(chosen(0), first);
}

TEST_F(PreDeleteTest, WithoutASnapshotItStaysUnlessForced) {
  for (const auto& object : store_->list("", "", 1'000).value())
    if (object.key.ends_with(".parquet")) ASSERT_TRUE(store_->remove(object.key).ok());
  const auto refused = call(outside(), "delete_namespace", of_namespace());
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("the namespace is still there"), std::string::npos) << refused.error().message;
  ok(outside(), "get_namespace", of_namespace());
  EXPECT_FALSE(ok(outside(), "delete_namespace", of_namespace(true)).contains("snapshot_id"));
  EXPECT_EQ(error_of(outside(), "get_namespace", of_namespace()), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace quarry::service
