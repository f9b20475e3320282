#include "pipeline/snapshots/foreign.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "model/ids.h"
#include "objects/counting_store.h"

namespace quarry::pipeline {
namespace {

constexpr const char* kPrefix = "0123456789abcdef01234567/monday";

Manifest a_manifest() {
  Manifest m;
  m.snapshot_id = "snap_a";
  m.namespace_id = "ns_a";
  m.namespace_name = "research";
  m.internal_id = "0123456789abcdef01234567";
  m.created_at = "2026-01-31T12:00:00.000000Z";
  m.blobs_copied = true;
  m.resources = {{"bucket", 1}};
  m.tables = {{"col_a", 17, 1024}};
  m.catalog_parts = {{"catalog/00000001.jsonl", 3, sha256_hex("abc")}};
  m.file_parts = {{"files/00000001.jsonl", 3, sha256_hex("abc")}};
  return m;
}

class ForeignManifestTest : public testing::Test {
 protected:
  Result<ForeignManifest> read(const std::string& text, const std::string& digest = {}) {
    EXPECT_TRUE(store_->put(std::string(kPrefix) + "/manifest.json", text).ok());
    return read_foreign_manifest(*store_, {"vault", kPrefix, digest});
  }

  std::unique_ptr<objects::ObjectStore> store_ = objects::make_memory_store();
};

TEST_F(ForeignManifestTest, IsReadAndNamedByItsDigest) {
  const std::string text = encode_manifest(a_manifest());
  const auto found = read(text);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(encode_manifest(found->manifest), text);
  EXPECT_EQ(found->sha256, sha256_hex(text));
  EXPECT_TRUE(read(text, sha256_hex(text)).ok());
  EXPECT_EQ(read(text + "\n", sha256_hex(text)).error().kind, ErrorKind::kBadRequest);
}

TEST_F(ForeignManifestTest, WhateverBitFlipsItSaysNothingThatLeadsElsewhere) {
  const std::string text = encode_manifest(a_manifest());
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = char(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto found = read(flipped);
    if (!found.ok()) {
      ASSERT_EQ(found.error().kind, ErrorKind::kBadRequest) << "bit " << bit;
      continue;
    }
    const Manifest& m = found->manifest;
    for (const std::string& name : {m.internal_id, m.namespace_id, m.snapshot_id}) ASSERT_TRUE(is_safe_name(name, 128)) << "bit " << bit;
    for (const SnapshotFile& part : m.catalog_parts) ASSERT_TRUE(part.path.starts_with("catalog/")) << "bit " << bit;
    for (const SnapshotFile& part : m.file_parts) ASSERT_TRUE(part.path.starts_with("files/")) << "bit " << bit;
  }
}

// Tells another size than an object has, as a place may whose objects change while they are read.
class LyingStore : public objects::CountingStore {
 public:
  LyingStore(ObjectStore& inner, uint64_t told) : CountingStore(inner), told_(told) {}
  Result<objects::ObjectInfo> head(std::string_view key) override { return objects::ObjectInfo{std::string(key), told_, 0}; }

 private:
  const uint64_t told_;
};

TEST(ForeignFiles, NoMoreIsReadThanTheSizeSaysAndAByte) {
  const auto store = objects::make_memory_store();
  const std::string giant(1 << 20, 'x'), folder(kPrefix);
  ASSERT_TRUE(store->put(folder + "/catalog/00000001.jsonl", giant).ok());
  ASSERT_TRUE(store->put(folder + "/manifest.json", giant).ok());
  LyingStore place(*store, 3);
  const auto read = [&](std::string_view bytes) {
    return read_foreign_file(place, folder, {"catalog/00000001.jsonl", 3, sha256_hex(bytes)});
  };
  EXPECT_EQ(read(giant).error().kind, ErrorKind::kCorruption);
  EXPECT_EQ(read("xxx").error().kind, ErrorKind::kCorruption);  // not its beginning alone either
  EXPECT_EQ(read_foreign_manifest(place, {"vault", folder, {}}).error().kind, ErrorKind::kBadRequest);
  EXPECT_EQ(place.counts().bytes_read, 3 * 4u);
}

TEST(ForeignRows, BecomeTheNamespacesOwn) {
  const Manifest from = a_manifest();
  Manifest to;
  to.internal_id = "mine";
  to.namespace_id = "ns_b";
  to.namespace_name = "copy";
  ForeignRows rows(from, to);
  catalog::Resource ns, bucket, object;
  ns.kind = "namespace";
  ns.id = "ns_a";
  ns.body = {{"namespace_id", "ns_a"}, {"description", "kept"}};
  bucket.kind = "bucket";
  bucket.id = "bkt_a";
  bucket.body = {{"bucket_id", "bkt_a"}};
  object.kind = "object";
  object.id = "obj_a";
  object.parent_id = "bkt_a";
  object.body = {{"object_id", "obj_a"}};
  object.body["blobs"] = json::array{json::object{
      {"property", "content"}, {"type", "text"}, {"storage", {{"key", "0123456789abcdef01234567/ns_a/blobs/bkt_a/obj_a/blob_1"}}}}};
  EXPECT_EQ(rows.adopt(object).error().kind, ErrorKind::kCorruption);  // its bucket was not there yet
  for (catalog::Resource* row : {&ns, &bucket, &object}) ASSERT_TRUE(rows.adopt(*row).ok()) << row->kind;
  EXPECT_EQ(ns.id, "ns_b");
  EXPECT_EQ(ns.name, "copy");
  EXPECT_EQ(ns.body.at("description").as_string(), "kept");
  EXPECT_EQ(object.body.at("blobs").as_array()[0].at("storage").at("key").as_string(), "mine/ns_b/blobs/bkt_a/obj_a/blob_1");
  EXPECT_EQ(rows.finish().error().kind, ErrorKind::kCorruption);  // its table's collection is missing
  EXPECT_TRUE(rows.check_path("tables/col_a/_delta_log/00000000000000000000.json").ok());
  EXPECT_TRUE(rows.check_path("blobs/bkt_a/obj_a/blob_1").ok());
  for (const char* path : {"tables/col_b/x", "blobs/bkt_b/x", "catalog/00000001.jsonl", "manifest.json", "tables/col_a", ""})
    EXPECT_EQ(rows.check_path(path).error().kind, ErrorKind::kCorruption) << path;
}

}  // namespace
}  // namespace quarry::pipeline
