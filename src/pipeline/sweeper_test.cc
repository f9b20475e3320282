#include "pipeline/test_world.h"

namespace quarry::pipeline {
namespace {

class SweeperTest : public World {
 protected:
  void SetUp() override {
    World::SetUp();
    add("organization", "org_a", "", "", {{"organization_id", "org_a"}, {"internal_id", "internal"}});
    add("namespace", "ns_a", "org_a", "", {{"namespace_id", "ns_a"}});
  }
  void add(std::string_view kind, const std::string& id, const std::string& organization, const std::string& ns, json::object body) {
    catalog::Resource resource;
    resource.kind = kind;
    resource.id = id;
    resource.organization_id = organization;
    resource.namespace_id = ns;
    resource.body = std::move(body);
    ASSERT_TRUE(catalog_->insert(resource).ok());
  }
  std::string put(const std::string& owner, const std::string& name) {
    std::string key = blob_key("internal", "ns_a", "bkt_a", owner, name);
    EXPECT_TRUE(store_->put(key, "bytes").ok());
    return key;
  }
  std::string object_with(const std::string& key) {
    std::string id = "obj_" + secure_token(6);
    add_resource(catalog::kind::kObject, id, "bkt_a",
                 {{"object_id", id},
                  {"blobs", json::array{json::object{{"blob_id", "b"}, {"property", "p"}, {"type", "pdf"}, {"storage", {{"key", key}}}}}}});
    return id;
  }
  bool exists(const std::string& key) { return store_->head(key).ok(); }
};

TEST_F(SweeperTest, RemovesOnlyWhatNothingRefersTo) {
  std::string lost = put("obj_never_written", "blob_1");
  std::string id = "obj_kept";
  std::string used = put(id, "blob_used"), replaced = put(id, "blob_replaced");
  add_resource(catalog::kind::kObject, id, "bkt_a",
               {{"object_id", id},
                {"blobs", json::array{json::object{{"blob_id", "b"}, {"property", "p"}, {"type", "pdf"}, {"storage", {{"key", used}}}}}}});

  std::string waiting = put("upl_waiting", "data-1"), superseded = put("upl_waiting", "data-0");
  add_resource(catalog::kind::kUpload, "upl_waiting", "bkt_a", {{"upload_id", "upl_waiting"}, {"_internal", {{"key", waiting}}}});
  std::string taken = put("upl_row_gone", "data-2");
  object_with(taken);
  std::string elsewhere = "internal/ns_a/col_x/part-0.parquet";
  ASSERT_TRUE(store_->put(elsewhere, "table").ok());

  auto young = sweep_orphans(*catalog_, *store_, 0);  // nothing is that old
  ASSERT_TRUE(young.ok()) << young.error().message;
  EXPECT_EQ(young->removed, 0u);
  EXPECT_EQ(young->looked_at, 6u);
  auto swept = sweep_orphans(*catalog_, *store_, INT64_MAX);
  ASSERT_TRUE(swept.ok()) << swept.error().message;
  EXPECT_EQ(swept->removed, 3u);
  EXPECT_EQ(swept->removed_bytes, 15u);
  for (const std::string& key : {lost, replaced, superseded}) EXPECT_FALSE(exists(key)) << key;
  for (const std::string& key : {used, waiting, taken, elsewhere}) EXPECT_TRUE(exists(key)) << key;
}

}  // namespace
}  // namespace quarry::pipeline
