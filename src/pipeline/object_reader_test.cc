#include "pipeline/object_reader.h"

#include <gtest/gtest.h>

#include "pipeline/pipeline.h"

namespace quarry::pipeline {
namespace {

class CannedFetcher final : public objects::Fetcher {
 public:
  Result<objects::Fetched> get(const std::string& url) override {
    ++calls;
    if (failures > 0) {
      --failures;
      return storage_error("connection reset");
    }
    if (url != "https://example.org/a.txt") return storage_error("404");
    return objects::Fetched{"from the web", "text/plain", "a.txt"};
  }
  int calls = 0, failures = 0;
};

class ObjectReaderTest : public testing::Test {
 protected:
  static json::object blob(std::string_view property, std::string_view type, json::object rest) {
    json::object out{{"blob_id", "blob_" + std::string(property)}, {"property", property}, {"type", type}};
    for (auto& [name, value] : rest) out[name] = value;
    return out;
  }
  static json::object object_of(std::initializer_list<json::object> blobs) {
    json::array list;
    for (const json::object& b : blobs) list.push_back(b);
    return {{"object_id", "obj_1"},
            {"bucket_id", "bkt_1"},
            {"status", "PENDING"},
            {"blobs", std::move(list)},
            {"year", 1999},
            {"metadata", {{"k", "v"}}},
            {"_internal", {{"content_hash", "x"}}}};
  }
  Result<ReadObject> read(const json::object& body) {
    return ObjectReader(*store_, &fetcher_, control_, {3, 100}).read(body, {"int", "ns", "bkt_1"}, all_);
  }

  std::unique_ptr<objects::ObjectStore> store_ = objects::make_memory_store();
  CannedFetcher fetcher_;
  TaskControl control_;
  BlobDemand all_{.all = true, .properties = {}, .types = {}};
};

TEST_F(ObjectReaderTest, PlainValuesBecomeFieldsAndTextsBlobsToo) {
  auto read_object = read(object_of({blob("title", "string", {{"value", "Emma"}}), blob("pages", "integer", {{"value", 480}}),
                                     blob("tag", "string", {{"value", "a"}}), blob("tag", "string", {{"value", "b"}})}));
  ASSERT_TRUE(read_object.ok()) << read_object.error().message;
  const json::object& fields = read_object->item.fields;
  EXPECT_EQ(fields.at("title"), "Emma");
  EXPECT_EQ(fields.at("pages"), 480);
  EXPECT_EQ(fields.at("year"), 1999);
  EXPECT_EQ(fields.at("tag"), (json::array{"a", "b"}));
  EXPECT_FALSE(fields.contains("_internal"));
  EXPECT_FALSE(fields.contains("status"));
  ASSERT_EQ(read_object->item.blobs.size(), 3u);
  EXPECT_EQ(read_object->item.blobs[0].data, "Emma");
  EXPECT_EQ(read_object->document_fields.at("metadata"), (json::object{{"k", "v"}}));
}

TEST_F(ObjectReaderTest, BytesComeFromTheStoreAndAreDescribed) {
  ASSERT_TRUE(store_->put("int/ns/blobs/bkt_1/obj_1/b", "%PDF-1.4 bytes").ok());
  auto read_object =
      read(object_of({blob("file", "pdf", {{"storage", {{"key", "int/ns/blobs/bkt_1/obj_1/b"}}}, {"details", {{"filename", "x.pdf"}}}})}));
  ASSERT_TRUE(read_object.ok()) << read_object.error().message;
  EXPECT_EQ(read_object->item.blobs[0].data, "%PDF-1.4 bytes");
  EXPECT_EQ(read_object->document_fields.at("content_type"), "application/pdf");
  const json::object& described = read_object->document_fields.at("source_blobs").as_array()[0].as_object();
  EXPECT_EQ(described.at("key"), "int/ns/blobs/bkt_1/obj_1/b");
  EXPECT_EQ(described.at("property"), "file");
  EXPECT_EQ(described.at("size_bytes"), 14);
}

TEST_F(ObjectReaderTest, AUrlIsReadOnceAndMirrored) {
  fetcher_.failures = 1;
  json::object body = object_of({blob("page", "text", {{"storage", {{"url", "https://example.org/a.txt"}}}})});
  auto read_object = read(body);
  ASSERT_TRUE(read_object.ok()) << read_object.error().message;
  EXPECT_EQ(fetcher_.calls, 2);
  ASSERT_EQ(read_object->mirrored.size(), 1u);
  EXPECT_EQ(read_object->mirrored[0].key, "int/ns/blobs/bkt_1/obj_1/blob_page");
  EXPECT_EQ(*store_->get(read_object->mirrored[0].key), "from the web");
  EXPECT_EQ(read_object->document_fields.at("source").as_object().at("url"), "https://example.org/a.txt");
}

TEST_F(ObjectReaderTest, ErrorsNameTheBlob) {
  auto missing = read(object_of({blob("file", "pdf", {{"storage", {{"key", "int/gone"}}}})}));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  EXPECT_NE(missing.error().message.find("'file'"), std::string::npos);

  ASSERT_TRUE(store_->put("int/text", "plain words").ok());
  auto wrong = read(object_of({blob("file", "pdf", {{"storage", {{"key", "int/text"}}}})}));
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().kind, ErrorKind::kExtraction);
  EXPECT_NE(wrong.error().message.find("declared as pdf"), std::string::npos);

  ASSERT_TRUE(store_->put("int/empty", "").ok());
  auto empty = read(object_of({blob("file", "text", {{"storage", {{"key", "int/empty"}}}})}));
  ASSERT_FALSE(empty.ok());
  EXPECT_NE(empty.error().message.find("is empty"), std::string::npos);
}

TEST_F(ObjectReaderTest, BlobsThatNobodyAskedForAreNotRead) {
  BlobDemand texts{.all = false, .properties = {}, .types = {FieldType::kText}};
  json::object body = object_of({blob("film", "video", {{"storage", {{"key", "int/not there"}}}, {"details", {{"size_bytes", 900}}}}),
                                 blob("words", "text", {{"value", "here"}})});
  auto read_object = ObjectReader(*store_, &fetcher_, control_, {1, 1}).read(body, {"int", "ns", "bkt_1"}, texts);
  ASSERT_TRUE(read_object.ok());
  EXPECT_EQ(read_object->item.blobs.size(), 1u);
  EXPECT_EQ(read_object->document_fields.at("source_blobs").as_array().size(), 1u);
  auto blobs = parse_blobs(body);
  ASSERT_TRUE(blobs.ok());
  EXPECT_EQ(expected_bytes(*blobs, texts), 0u);
  EXPECT_EQ(expected_bytes(*blobs, all_), 900u);
}

TEST_F(ObjectReaderTest, ABlobWithoutAPlaceIsOurFaultAndNamesTheObject) {
  auto read_object = read(object_of({blob("file", "pdf", {})}));
  ASSERT_FALSE(read_object.ok());
  EXPECT_EQ(read_object.error().kind, ErrorKind::kInternal);
  EXPECT_NE(read_object.error().message.find("obj_1"), std::string::npos);
}

}  // namespace
}  // namespace quarry::pipeline
