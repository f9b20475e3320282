#include "pipeline/snapshots.h"

#include "service/test_ingest_world.h"

namespace quarry::service {
namespace {

class SnapshotsTest : public IngestWorld {
 protected:
  void SetUp() override {
    IngestWorld::SetUp();
    ASSERT_TRUE(engine_->start().ok());
    collection_ = direct_collection(client_, "papers");
    for (int i = 0; i < 3; ++i) add(i);
  }

  void add(int number) { add_document(client_, collection_, {{"title", "paper"}, {"number", number}}); }

  Call on(const std::string& snapshot_id, json::object body = {}) {
    return {.path = {{"namespace_identifier", client_.ns}, {"snapshot_id", snapshot_id}}, .body = std::move(body)};
  }

  std::string take() {
    json::object begun = ok(outside(), "create_snapshot_namespaces", on("", {}));
    EXPECT_EQ(end_of_task(begun), "COMPLETED");
    return std::string(string_member(begun, "snapshot_id"));
  }

  Client outside() const {
    Client out = client_;
    out.ns.clear();
    return out;
  }

  std::string end_of_task(const json::object& begun) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (;;) {
      json::object task = ok(client_, "get_task", {.path = {{"task_id", std::string(string_member(begun, "task_id"))}}});
      std::string status(string_member(task, "status"));
      if (is_terminal(parse_task_status(status))) return status;
      if (std::chrono::steady_clock::now() > deadline) return status + " after 30 s";
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  std::vector<std::string> table_folders() {
    std::set<std::string> out;
    for (const auto& object : store_->list("", "", 100'000).value())
      if (size_t at = object.key.find("/_delta_log/"); at != std::string::npos && object.key.find("/snapshots/") == std::string::npos)
        out.insert(object.key.substr(0, at));
    return {out.begin(), out.end()};
  }

  uint64_t documents() {
    return uint64_t(*integer_member(ok(client_, "get_collection", {.path = {{"collection_identifier", collection_}}}), "document_count"));
  }

  std::string collection_;
};

TEST_F(SnapshotsTest, ReplacedTablesAreDroppedOnceTheyAreOld) {
  const std::string taken = take();
  add(3);
  EXPECT_EQ(documents(), 4u);
  EXPECT_EQ(end_of_task(ok(outside(), "restore_snapshot_namespaces", on(taken, {{"confirm_in_place", true}}))), "COMPLETED");
  EXPECT_EQ(documents(), 3u);
  EXPECT_EQ(table_folders().size(), 2u);
  const auto drop = [&](const catalog::Resource& row) -> Status {
    Status dropped = vectors_->drop_table(row.id);
    if (!dropped.ok() && dropped.error().kind != ErrorKind::kNotFound) return dropped;
    return objects::remove_prefix(*store_, std::string(string_member(row.body, "prefix")) + "/");
  };
  ASSERT_TRUE(pipeline::drop_retired_tables(*catalog_, drop, 0).ok());  // none is that old
  EXPECT_EQ(table_folders().size(), 2u);
  ASSERT_TRUE(pipeline::drop_retired_tables(*catalog_, drop, INT64_MAX).ok());
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

}  // namespace
}  // namespace quarry::service
