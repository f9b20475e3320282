#include "pipeline/snapshots/layout.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "pipeline/pipeline.h"
#include "pipeline/snapshots/renaming.h"

namespace quarry::pipeline {
namespace {

constexpr const char* kFolder = "0123456789abcdef01234567/ns_a/snapshots/snap_a/1";

// The folder that docs/formats/snapshot.md shows, byte by byte. A change of one of these texts is a change of the format.
constexpr const char* kCatalogPart =
    R"({"kind":"bucket","id":"bkt_aaaaaaaaaaaaaaaa","parent_id":"","name":"papers","created_at":1700000000000000,"updated_at":1700000000000001,"body":{"bucket_id":"bkt_aaaaaaaaaaaaaaaa"}})"
    "\n";
constexpr const char* kFilePart =
    R"({"path":"tables/col_aaaaaaaaaaaaaaaa/_delta_log/00000000000000000000.json","size":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"})"
    "\n";

std::string golden_manifest() {
  return fmt::format(
      R"({{"format":1,"snapshot_id":"snap_a","namespace_id":"ns_a","namespace_name":"research","internal_id":"0123456789abcdef01234567",)"
      R"("created_at":"2026-01-31T12:00:00.000000Z","include_vectors":true,"blobs_copied":false,"resources":{{"bucket":1}},)"
      R"("tables":[{{"collection_id":"col_aaaaaaaaaaaaaaaa","version":17,"documents":1024}}],"blobs":{{"count":2,"bytes":2048}},)"
      R"("files":{{"count":1,"bytes":3}},"catalog_parts":[{{"path":"catalog/00000001.jsonl","size":{},"sha256":"{}"}}],)"
      R"("file_parts":[{{"path":"files/00000001.jsonl","size":{},"sha256":"{}"}}]}})"
      "\n",
      std::string_view(kCatalogPart).size(), sha256_hex(kCatalogPart), std::string_view(kFilePart).size(), sha256_hex(kFilePart));
}

class SnapshotLayoutTest : public testing::Test {
 protected:
  Manifest write() {
    ListWriter catalog(*store_, kFolder, "catalog"), files(*store_, kFolder, "files");
    catalog::Resource bucket{.kind = "bucket",
                             .id = "bkt_aaaaaaaaaaaaaaaa",
                             .organization_id = "org_a",
                             .namespace_id = "ns_a",
                             .parent_id = "",
                             .name = "papers",
                             .body = {{"bucket_id", "bkt_aaaaaaaaaaaaaaaa"}},
                             .created_at = 1'700'000'000'000'000,
                             .updated_at = 1'700'000'000'000'001,
                             .revision = 4};
    EXPECT_TRUE(catalog.add(encode_resource(bucket)).ok());
    EXPECT_TRUE(files.add(encode_file({"tables/col_aaaaaaaaaaaaaaaa/_delta_log/00000000000000000000.json", 3, sha256_hex("abc")})).ok());
    Manifest m;
    m.snapshot_id = "snap_a";
    m.namespace_id = "ns_a";
    m.namespace_name = "research";
    m.internal_id = "0123456789abcdef01234567";
    m.created_at = "2026-01-31T12:00:00.000000Z";
    m.resources = {{"bucket", 1}};
    m.tables = {{"col_aaaaaaaaaaaaaaaa", 17, 1024}};
    m.blobs = 2;
    m.blob_bytes = 2048;
    m.files = 1;
    m.bytes = 3;
    m.catalog_parts = catalog.finish().value();
    m.file_parts = files.finish().value();
    return m;
  }

  std::unique_ptr<objects::ObjectStore> store_ = objects::make_memory_store();
};

TEST_F(SnapshotLayoutTest, WritesTheDocumentedBytes) {
  const Manifest m = write();
  EXPECT_EQ(store_->get(std::string(kFolder) + "/catalog/00000001.jsonl").value(), kCatalogPart);
  EXPECT_EQ(store_->get(std::string(kFolder) + "/files/00000001.jsonl").value(), kFilePart);
  EXPECT_EQ(encode_manifest(m), golden_manifest());
}

TEST_F(SnapshotLayoutTest, ReadsThemBack) {
  write();
  const auto m = parse_manifest(golden_manifest());
  ASSERT_TRUE(m.ok()) << m.error().message;
  EXPECT_EQ(encode_manifest(*m), golden_manifest());
  size_t resources = 0, files = 0;
  ASSERT_TRUE(for_each_line(*store_, kFolder, m->catalog_parts, [&](const json::object& line) -> Status {
                ++resources;
                return encode_resource(parse_resource(line).value()) == line ? Status(Ok{}) : Status(internal_error("differs"));
              }).ok());
  ASSERT_TRUE(for_each_line(*store_, kFolder, m->file_parts, [&](const json::object& line) -> Status {
                ++files;
                EXPECT_EQ(parse_file(line)->size, 3u);
                return Ok{};
              }).ok());
  EXPECT_EQ(resources, 1u);
  EXPECT_EQ(files, 1u);
}

TEST_F(SnapshotLayoutTest, NoFlippedByteOfAManifestIsReadAsAnother) {
  const std::string text = golden_manifest();
  catalog::Resource row;
  row.body = {{"s3_prefix", kFolder}, {kInternalMember, {{"manifest_sha256", sha256_hex(text)}}}};
  ASSERT_TRUE(store_->put(std::string(kFolder) + "/manifest.json", text).ok());
  ASSERT_TRUE(read_manifest(*store_, row).ok());
  for (size_t at = 0; at < text.size(); ++at) {
    std::string flipped = text;
    flipped[at] = char(flipped[at] ^ (1 << (at % 8)));
    ASSERT_TRUE(store_->put(std::string(kFolder) + "/manifest.json", flipped).ok());
    const auto read = read_manifest(*store_, row);
    ASSERT_FALSE(read.ok()) << "byte " << at;
    EXPECT_EQ(read.error().kind, ErrorKind::kCorruption);
    (void)parse_manifest(flipped);  // must not crash on what a row vouches for wrongly
  }
}

TEST_F(SnapshotLayoutTest, DamageOfAListIsNamed) {
  const Manifest m = write();
  const std::string key = std::string(kFolder) + "/catalog/00000001.jsonl";
  ASSERT_TRUE(store_->put(key, std::string(kCatalogPart) + " ").ok());
  const auto visit = [](const json::object&) { return Status(Ok{}); };
  const Status damaged = for_each_line(*store_, kFolder, m.catalog_parts, visit);
  ASSERT_FALSE(damaged.ok());
  EXPECT_NE(damaged.error().message.find(key), std::string::npos);
  ASSERT_TRUE(store_->remove(key).ok());
  EXPECT_EQ(for_each_line(*store_, kFolder, m.catalog_parts, visit).error().kind, ErrorKind::kCorruption);
  EXPECT_EQ(parse_manifest(R"({"format":2})").error().kind, ErrorKind::kNotImplemented);
  EXPECT_EQ(parse_manifest("[]").error().kind, ErrorKind::kCorruption);
}

TEST_F(SnapshotLayoutTest, LongListsHaveSeveralParts) {
  ListWriter writer(*store_, kFolder, "files");
  constexpr size_t kLines = 60'000;
  for (size_t i = 0; i < kLines; ++i)
    ASSERT_TRUE(writer.add(encode_file({fmt::format("tables/col_a/quarry-{:060}.parquet", i), i, std::string(64, 'a')})).ok());
  const auto parts = writer.finish().value();
  EXPECT_GT(parts.size(), 1u);
  size_t next = 0;
  ASSERT_TRUE(for_each_line(*store_, kFolder, parts, [&](const json::object& line) -> Status {
                EXPECT_EQ(parse_file(line)->size, next++);
                return Ok{};
              }).ok());
  EXPECT_EQ(next, kLines);
  for (const SnapshotFile& part : parts) EXPECT_LE(part.size, kPartBytes);
}

TEST(Renaming, ChangesIdsOfTheSnapshotAndNothingElse) {
  Renaming renaming("task_1", "int/ns_a/", "int/ns_b/");
  renaming.add("bkt_aaaaaaaaaaaaaaaa");
  const std::string bucket = renaming.text("bkt_aaaaaaaaaaaaaaaa"), object = renaming.text("obj_0123456789abcdef");
  EXPECT_NE(bucket, "bkt_aaaaaaaaaaaaaaaa");
  EXPECT_EQ(bucket.size(), 20u);
  EXPECT_NE(object, "obj_0123456789abcdef");
  EXPECT_EQ(renaming.text("bkt_aaaaaaaaaaaaaaaa/obj_0123456789abcdef"), bucket + "/" + object);
  for (const char* kept :
       {"bkt_bbbbbbbbbbbbbbbb", "xbkt_aaaaaaaaaaaaaaaa", "bkt_aaaaaaaaaaaaaaaab", "bkt_aaaaaaaaaaaaaaa", "", "bkt_", "a text"})
    EXPECT_EQ(renaming.text(kept), kept);
  EXPECT_EQ(renaming.key("int/ns_a/blobs/bkt_aaaaaaaaaaaaaaaa/obj_0123456789abcdef/blob_1"),
            "int/ns_b/blobs/" + bucket + "/" + object + "/blob_1");
  EXPECT_EQ(Renaming("task_2", "", "").text("obj_0123456789abcdef") == object, false);
}

TEST(Renaming, LeavesWhatUsersWrote) {
  Renaming renaming("task_1", "int/ns_a/", "int/ns_b/");
  const std::string old = "obj_0123456789abcdef", now = renaming.text(old);
  catalog::Resource object;
  object.kind = "object";
  object.id = old;
  object.body = {{"object_id", old}, {"see_also", old}};
  object.body["blobs"] = json::array{json::object{{"value", old}, {"storage", {{"key", "int/ns_a/blobs/b/" + old + "/x"}}}}};
  renaming.apply(object);
  EXPECT_EQ(object.id, now);
  EXPECT_EQ(object.body.at("object_id").as_string(), now);
  EXPECT_EQ(object.body.at("see_also").as_string(), old);
  const json::object& blob = object.body.at("blobs").as_array()[0].as_object();
  EXPECT_EQ(blob.at("value").as_string(), old);
  EXPECT_EQ(blob.at("storage").as_object().at("key").as_string(), "int/ns_b/blobs/b/" + now + "/x");
}

}  // namespace
}  // namespace quarry::pipeline
