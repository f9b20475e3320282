#include <gtest/gtest.h>

#include "mvs/mvs.h"

namespace quarry::mvs {
namespace {

class VectorStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { reopen(); }

  void reopen() {
    store_.reset();
    store_ = std::move(VectorStore::open({.store = objects_.get(), .executor = &executor_, .commit_window_us = 0})).value();
  }

  TableSpec spec() const {
    return {"col_a", "org/ns/col_a", {{"text", "mixpeek://text_extractor@v1/m", 4, Metric::kCosine}},
            {{"title", FieldType::kString}, {"pages", FieldType::kInteger}, {"price", FieldType::kNumber}, {"ratio", FieldType::kFloat},
             {"ok", FieldType::kBoolean}, {"when", FieldType::kDatetime}, {"day", FieldType::kDate}}};
  }

  Document doc(std::string id, std::vector<float> v, json::object payload = {}) const {
    Document d;
    d.document_id = std::move(id);
    d.payload = std::move(payload);
    if (!v.empty()) d.vectors = {{"text", std::move(v)}};
    return d;
  }

  WriteResult write(WriteBatch batch) {
    auto result = store_->write("col_a", std::move(batch));
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return result.ok() ? *result : WriteResult{};
  }

  std::vector<std::string> ids(std::vector<float> q, size_t k = 10) {
    SearchRequest r;
    r.table_id = "col_a";
    r.vector_name = "text";
    r.vector = std::move(q);
    r.k = k;
    auto result = store_->search(r);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    std::vector<std::string> out;
    if (result.ok())
      for (const auto& h : result->hits) out.push_back(h.document.document_id);
    return out;
  }

  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
  Executor executor_{"mvs-test", 2, 64};
  std::unique_ptr<VectorStore> store_;
};

TEST_F(VectorStoreTest, WritesSearchesAndReopens) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  EXPECT_EQ(store_->create_table(spec()).error().kind, ErrorKind::kAlreadyExists);
  const auto r = write({.upserts = {doc("a", {1, 0, 0, 0}), doc("b", {0, 1, 0, 0}), doc("c", {1, 1, 0, 0}), doc("d", {})}});
  EXPECT_EQ(r.inserted, 4u);
  EXPECT_EQ(r.version, 1);
  EXPECT_EQ(ids({1, 0, 0, 0}), (std::vector<std::string>{"a", "c", "b"}));
  const auto r2 = write({.upserts = {doc("a", {0, 0, 1, 0})}, .deletes = {"b", "nope"}});
  EXPECT_EQ(r2.replaced, 1u);
  EXPECT_EQ(r2.deleted, 1u);
  EXPECT_EQ(r2.missing, (std::vector<std::string>{"nope"}));
  EXPECT_EQ(ids({1, 0, 0, 0}), (std::vector<std::string>{"c", "a"}));
  reopen();
  ASSERT_TRUE(store_->attach_table(spec()).ok());
  EXPECT_EQ(ids({1, 0, 0, 0}), (std::vector<std::string>{"c", "a"}));
  EXPECT_EQ(*store_->count("col_a", {}), 3u);
}

TEST_F(VectorStoreTest, GivesBackEveryPayloadAsItWas) {
  ASSERT_TRUE(store_->create_table(spec()).ok());
  const std::vector<std::string> payloads{
      R"({"title":"x","pages":3,"price":1.5,"ratio":2.0,"ok":true,"when":"2026-01-31T12:00:00.000000Z","day":"2026-01-31"})",
      R"({"title":7,"pages":3.0,"price":3,"ratio":2,"ok":"yes","when":"2026-01-31T12:00:00+02:00","day":"2026-01-31T00:00:00Z"})",
      R"({"title":null,"pages":null,"price":3.0,"ratio":null,"ok":null,"when":null,"day":null})",
      R"({"price":-0.0,"ratio":-0.0,"pages":18446744073709551615,"other":{"a":[1,2.0,{"b":null}],"a.b":1},"document_id":"mine","created_at":5})",
      R"({"Title":"twin","vector_text":1,"payload_json":"p","":1,"a\"b":2,"pages":9223372036854775807,"price":9007199254740993,"ratio":1e308})",
      R"({"price":0.1,"ratio":5e-324,"x":0.30000000000000004,"y":1.7976931348623157e308,"z":2.2250738585072014e-308})",
      R"({})"};
  WriteBatch batch;
  for (size_t i = 0; i < payloads.size(); ++i) batch.upserts.push_back(doc("d" + std::to_string(i), {1, 2, 3, 4}, json::parse(payloads[i]).as_object()));
  const auto expected = batch.upserts;
  write(std::move(batch));
  for (int round = 0; round < 2; ++round) {
    for (const auto& d : expected) {
      const auto got = store_->get("col_a", {d.document_id}, {});
      ASSERT_TRUE(got.ok());
      ASSERT_EQ(got->size(), 1u);
      EXPECT_EQ(json::serialize(json::value(got->front().payload)).size(), json::serialize(json::value(d.payload)).size()) << json::serialize(json::value(got->front().payload)) << " vs " << json::serialize(json::value(d.payload));
      EXPECT_EQ(json::value(got->front().payload), json::value(d.payload)) << json::serialize(json::value(got->front().payload));
    }
    reopen();
    ASSERT_TRUE(store_->attach_table(spec()).ok());
  }
}

}  // namespace
}  // namespace quarry::mvs
