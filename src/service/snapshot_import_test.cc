#include <cctype>
#include <stdexcept>

#include "objects/counting_store.h"
#include "service/test_snapshot_import_world.h"

namespace quarry::service {
namespace {

using SnapshotImportTest = SnapshotImportWorld;

TEST_F(SnapshotImportTest, BecomesASnapshotOfTheNamespace) {
  const Forgery source = taken();
  source.put(*vault_, folder("monday"));
  const json::object begun = ok(outside(), "create_snapshot_namespaces", importing("vault", folder("monday") + "/"));
  ASSERT_EQ(end_of_task(other_, begun), "COMPLETED");
  const json::object shown = ok(outside(), "get_snapshot_namespaces", of_import(begun));
  EXPECT_EQ(string_member(shown, "status"), "completed");
  EXPECT_TRUE(bool_member(shown, "s3_objects_copied"));
  const json::object& from = shown.at("imported_from").as_object();
  EXPECT_EQ(string_member(from, "bucket"), "vault");
  EXPECT_EQ(string_member(from, "prefix"), folder("monday"));
  EXPECT_EQ(string_member(from, "namespace_id"), client_.ns);
  EXPECT_EQ(string_member(from, "manifest_sha256"), sha256_hex(source.files().at("manifest.json")));
  Call deep = of_import(begun);
  deep.query = {{"deep", true}};
  const json::object checked = ok(outside(), "verify_snapshot_namespaces", std::move(deep));
  EXPECT_TRUE(bool_member(checked, "restorable")) << json::serialize(checked);
  EXPECT_TRUE(checked.at("issues").as_array().empty()) << json::serialize(checked);
  // It stands on its own: what it was copied from may go.
  ASSERT_TRUE(objects::remove_prefix(*vault_, internal_id_ + "/").ok());
  const json::object restored =
      ok(outside(), "restore_snapshot_namespaces", of_import(begun, {{"target_namespace_name", "restored"}}));
  EXPECT_EQ(end_of_task(other_, restored), "COMPLETED");
  Client copy = client_;
  copy.ns = string_member(restored, "target_namespace_id");
  const json::object collections = ok(copy, "list_collections", {.body = json::object{}});
  ASSERT_EQ(collections.at("results").as_array().size(), 1u);
  EXPECT_EQ(*integer_member(collections.at("results").as_array()[0].as_object(), "document_count"), 3);
  const json::object buckets = ok(copy, "list_buckets", {.body = json::object{}});
  const std::string bucket(string_member(buckets.at("results").as_array()[0].as_object(), "bucket_id"));
  const auto bytes = store_->list(internal_id_ + "/" + copy.ns + "/blobs/" + bucket + "/", "", 10).value();
  ASSERT_EQ(bytes.size(), 1u);
  EXPECT_EQ(bytes[0].size, 100'000u);
}

TEST_F(SnapshotImportTest, TheOwnStoreIsAPlaceToo) {
  const std::string snapshot = take();
  const json::object begun = ok(outside(), "create_snapshot_namespaces", importing("objects", prefix_of(snapshot)));
  EXPECT_EQ(end_of_task(other_, begun), "COMPLETED");
  // In place the ids would be those of the namespace that is still there: the restore fails and changes nothing.
  const json::object restored = ok(outside(), "restore_snapshot_namespaces", of_import(begun, {{"confirm_in_place", true}}));
  EXPECT_EQ(end_of_task(other_, restored), "FAILED");
  const json::object report = ok(outside(), "get_snapshot_namespaces", of_import(begun)).at("last_restore").as_object();
  EXPECT_NE(json::serialize(report).find("into a new namespace"), std::string::npos) << json::serialize(report);
  EXPECT_EQ(documents(), 3u);
  ok(outside(), "delete_namespace", {.path = {{"namespace_identifier", client_.ns}}});
  EXPECT_EQ(end_of_task(other_, ok(outside(), "restore_snapshot_namespaces", of_import(begun, {{"confirm_in_place", true}}))), "COMPLETED");
  client_.ns = other_.ns;
  EXPECT_EQ(documents(), 3u);
}

TEST_F(SnapshotImportTest, WhatCannotBeIsRefusedAtOnce) {
  Forgery source = taken();
  source.put(*vault_, folder("good"));
  source.put(*vault_, "0123456789abcdef01234567/imports/good");  // a stranger's folder
  const Client second = second_organization();
  const std::string second_id = context_of(second, Admission::Scope::kOrganization).value().internal_id;
  source.put(*vault_, second_id + "/good");
  const auto sealed_as = [&](const std::string& name, const std::function<void(json::object&)>& change) {
    Forgery forged = source;
    forged.change_manifest(change);
    forged.put(*vault_, folder(name));
    return folder(name);
  };
  const std::string newer = sealed_as("newer", [](json::object& m) { m["format"] = 2; });
  const std::string unnamed = sealed_as("unnamed", [](json::object& m) { m["namespace_id"] = "../x"; });
  const std::string climbing =
      sealed_as("climbing", [](json::object& m) { m["catalog_parts"].as_array()[0].as_object()["path"] = "../a"; });
  const std::string elsewhere =
      sealed_as("elsewhere", [](json::object& m) { m["file_parts"].as_array()[0].as_object()["path"] = "blobs/a.jsonl"; });
  const std::string long_part =
      sealed_as("long", [](json::object& m) { m["file_parts"].as_array()[0].as_object()["size"] = (32 << 20) + 1; });
  const std::string repeated = sealed_as("repeated", [](json::object& m) {
    json::array& parts = m["catalog_parts"].as_array();
    parts.push_back(json::value(parts[0]));
  });
  ASSERT_TRUE(vault_->put(folder("giant") + "/manifest.json", std::string((16 << 20) + 1, ' ')).ok());
  ASSERT_TRUE(vault_->put(folder("text") + "/manifest.json", "no JSON").ok());
  struct Case {
    std::string bucket, prefix, expected;
  };
  for (const Case& c : {Case{"vault", "0123456789abcdef01234567/imports/good", "begins with '" + internal_id_ + "/'"},
                        Case{"vault", second_id + "/good", "begins with"},
                        Case{"objects", second_id + "/ns_x/snapshots/snap_x/1", "begins with"},
                        Case{"vault", folder("../../" + second_id + "/good"), "'..'"},
                        Case{"vault", internal_id_, "begins with"},
                        Case{"vault", "/" + folder("good"), "empty segment"},
                        Case{"vault", "", "empty"},
                        Case{"cellar", folder("good"), "objects, vault"},
                        Case{"s3://elsewhere", folder("good"), "objects, vault"},
                        Case{"vault", folder("absent"), "no manifest.json"},
                        Case{"vault", newer, "format 2"},
                        Case{"vault", unnamed, "'namespace_id'"},
                        Case{"vault", climbing, "without path"},
                        Case{"vault", elsewhere, "'path'"},
                        Case{"vault", repeated, "'path'"},
                        Case{"vault", long_part, "'size'"},
                        Case{"vault", folder("giant"), "at most"},
                        Case{"vault", folder("text"), "no JSON"}}) {
    const auto refused = call(outside(), "create_snapshot_namespaces", importing(c.bucket, c.prefix));
    ASSERT_FALSE(refused.ok()) << c.bucket << " " << c.prefix;
    EXPECT_EQ(refused.error().kind, ErrorKind::kBadRequest) << c.prefix;
    EXPECT_NE(refused.error().message.find(c.expected), std::string::npos) << refused.error().message;
  }
  const std::string digest(64, '0');
  EXPECT_EQ(error_of(outside(), "create_snapshot_namespaces", importing("vault", folder("good"), {{"manifest_sha256", digest}})),
            ErrorKind::kBadRequest);
  Client writer = client_without_delete();
  writer.ns.clear();
  EXPECT_EQ(error_of(writer, "create_snapshot_namespaces", importing("vault", folder("good"))), ErrorKind::kForbidden);
  EXPECT_TRUE(imported_keys().empty());
  EXPECT_TRUE(ok(outside(), "list_snapshots_namespaces", importing("", "")).at("results").as_array().empty());
}

TEST_F(SnapshotImportTest, ADigestMayBeWrittenInCapitals) {
  const Forgery source = taken();
  source.put(*vault_, folder("monday"));
  std::string digest = sha256_hex(source.files().at("manifest.json"));
  for (char& c : digest) c = char(std::toupper(c));
  Call call = importing("vault", folder("monday"), {{"manifest_sha256", digest}});
  const json::object begun = ok(outside(), "create_snapshot_namespaces", std::move(call));
  EXPECT_EQ(end_of_task(other_, begun), "COMPLETED");
}

// Whatever throws, as nothing should, ends its task alone.
class ThrowingStore : public objects::CountingStore {
 public:
  using CountingStore::CountingStore;
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    if (key.ends_with(".jsonl")) throw std::out_of_range("a line that nobody thought of");
    return CountingStore::get_range(key, offset, length);
  }
};

TEST_F(SnapshotImportTest, AnExceptionEndsItsTaskAlone) {
  taken().put(*vault_, folder("monday"));
  ThrowingStore throwing(*vault_);
  deps_.import_places["throwing"] = &throwing;
  engine_->stop();
  start_engine_again();
  const json::object begun = ok(outside(), "create_snapshot_namespaces", importing("throwing", folder("monday")));
  EXPECT_EQ(end_of_task(other_, begun), "FAILED");
  EXPECT_NE(error_in(begun).find("nobody thought of"), std::string::npos) << error_in(begun);
  EXPECT_TRUE(imported_keys().empty());
  EXPECT_EQ(end_of_task(other_, ok(outside(), "create_snapshot_namespaces", importing("vault", folder("monday")))), "COMPLETED");
  engine_->stop();
}

TEST_F(SnapshotImportTest, ASnapshotOfANeighbourIsRefused) {
  const Client second = second_organization();
  Forgery forged = taken();
  const std::string theirs = context_of(second, Admission::Scope::kOrganization).value().internal_id;
  forged.change_manifest([&](json::object& m) { m["internal_id"] = theirs; });
  forged.put(*vault_, folder("theirs"));
  EXPECT_EQ(error_of(outside(), "create_snapshot_namespaces", importing("vault", folder("theirs"))), ErrorKind::kForbidden);
}

TEST_F(SnapshotImportTest, AManifestThatChangesMeanwhileIsNotTaken) {
  const Forgery source = taken();
  source.put(*vault_, folder("moving"));
  engine_->stop();
  const json::object begun = ok(outside(), "create_snapshot_namespaces", importing("vault", folder("moving")));
  Forgery changed = source;
  changed.change_manifest([](json::object& m) { m["namespace_name"] = "another"; });
  changed.put(*vault_, folder("moving"));
  start_engine_again();
  EXPECT_EQ(end_of_task(other_, begun), "FAILED");
  EXPECT_NE(error_in(begun).find("its manifest has the SHA-256"), std::string::npos) << error_in(begun);
}

TEST_F(SnapshotImportTest, AStoreThatFailsLeavesAllOrNothing) {
  taken().put(*vault_, folder("monday"));
  std::map<std::string, int> ends;
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    const auto faulty = objects::make_faulty_store(*store_, {.seed = seed, .fail_before = 0.06, .fail_after = 0.06, .tear = 0.06});
    engine_store_ = faulty.get();
    start_engine_again();
    const json::object begun = ok(outside(), "create_snapshot_namespaces", importing("vault", folder("monday")));
    const std::string end = end_of_task(other_, begun);
    ++ends[end];
    engine_store_ = nullptr;
    start_engine_again();
    Call deep = of_import(begun);
    deep.query = {{"deep", true}};
    const json::object checked = ok(outside(), "verify_snapshot_namespaces", std::move(deep));
    EXPECT_EQ(bool_member(checked, "restorable"), end == "COMPLETED") << "seed " << seed << ": " << json::serialize(checked);
    if (end != "COMPLETED")
      EXPECT_EQ(error_of(outside(), "restore_snapshot_namespaces", of_import(begun, {{"target_namespace_name", "another"}})),
                ErrorKind::kBadRequest);
    ok(outside(), "delete_snapshot_namespaces", of_import(begun));
    EXPECT_TRUE(imported_keys().empty()) << "seed " << seed;
  }
  EXPECT_GT(ends["COMPLETED"], 0);
  EXPECT_GT(ends["FAILED"], 0);
  EXPECT_EQ(ends["COMPLETED"] + ends["FAILED"], 24);
}

}  // namespace
}  // namespace quarry::service
