#include <gmock/gmock.h>

#include <set>
#include <thread>

#include "service/test_service_world.h"

namespace quarry::service {
namespace {

using testing::HasSubstr;

class DocumentsTest : public ServiceWorld {
 protected:
  void SetUp() override {
    ServiceWorld::SetUp();
    client_ = with_namespace(first_, "books");
    notes_ = direct_collection(client_, "notes");
  }
  Call of(const std::string& collection, json::value body = {}, json::object query = {}) {
    return {.path = {{"collection_identifier", collection}}, .body = std::move(body), .query = std::move(query)};
  }
  Call at(const std::string& id, json::value body = {}, json::object query = {}) {
    return {.path = {{"collection_identifier", notes_}, {"document_id", id}}, .body = std::move(body), .query = std::move(query)};
  }
  void fill(size_t count) {
    for (size_t i = 0; i < count; ++i)
      add_document(client_, notes_,
                   {{"document_id", "d" + std::to_string(i)},
                    {"n", i},
                    {"parity", i % 2 ? "odd" : "even"},
                    {"text", "Number " + std::to_string(i)}});
  }
  static std::vector<std::string> ids_of(const json::object& reply) {
    std::vector<std::string> ids;
    for (const auto& row : reply.at("results").as_array()) ids.emplace_back(row.at("document_id").as_string());
    return ids;
  }
  static json::object filter(std::string field, std::string op, json::value value) {
    return {{"AND", json::array{json::object{{"field", field}, {"operator", op}, {"value", std::move(value)}}}}};
  }

  Client client_;
  std::string notes_;
};

TEST_F(DocumentsTest, OfRacingCreatesOneWins) {
  std::atomic<int> made{0}, refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      auto reply = call(client_, "create_document", of(notes_, {{"document_id", "one"}, {"n", t}}));
      made += reply.ok();
      refused += !reply.ok() && reply.error().kind == ErrorKind::kAlreadyExists &&
                 reply.error().message == "collection 'notes' has a document 'one' already";
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(refused, 7);
}

TEST_F(DocumentsTest, CreateAndRead) {
  json::object made = add_document(client_, notes_, {{"title", "first"}, {"metadata", {{"a", 1}}}, {"vectors", {{"v", {1, 2, 3}}}}});
  std::string id(string_member(made, "document_id"));
  EXPECT_TRUE(id.starts_with("doc_"));
  json::object read = ok(client_, "get_document", at(id));
  EXPECT_EQ(read["title"], "first");
  EXPECT_EQ(string_member(read, "collection_id"), notes_);
  EXPECT_EQ(string_member(read, "lineage_path"), notes_);
  EXPECT_FALSE(read.contains("vectors"));
  EXPECT_EQ(string_member(read, "created_at"), format_timestamp(clock_.now_us()));
  EXPECT_FALSE(read["_internal"].as_object().contains("internal_id"));
  json::object with_vectors = ok(client_, "get_document", at(id, {}, {{"return_vectors", true}}));
  EXPECT_EQ(with_vectors["vectors"].as_object()["v"], (json::array{1.0, 2.0, 3.0}));
  EXPECT_EQ(ok(client_, "get_document", at(id, {}, {{"return_vector_names", "true"}}))["vector_names"], (json::array{"v"}));
}

TEST_F(DocumentsTest, CreateRefuses) {
  auto create = [&](json::object body) { return error_of(client_, "create_document", of(notes_, std::move(body))); };
  EXPECT_EQ(create({{"vectors", {{"v", {1, 2}}}}}), ErrorKind::kBadRequest);
  EXPECT_EQ(create({{"vectors", {{"w", {1, 2, 3}}}}}), ErrorKind::kBadRequest);
  EXPECT_EQ(create({{"document_id", "a/b"}}), ErrorKind::kValidation);
  EXPECT_EQ(create({{"collection_id", "col_other"}}), ErrorKind::kBadRequest);
  add_document(client_, notes_, {{"document_id", "a"}});
  EXPECT_EQ(create({{"document_id", "a"}}), ErrorKind::kAlreadyExists);
}

TEST_F(DocumentsTest, PatchReachesIntoObjectsAndRemoves) {
  add_document(client_, notes_,
               {{"document_id", "a"}, {"title", "t"}, {"author", {{"name", "Ann"}, {"age", 7}}}, {"vectors", {{"v", {1, 0, 0}}}}});
  json::object patched =
      ok(client_, "patch_document", at("a", {{"author.name", "Bob"}, {"title", nullptr}, {"new", 1}, {"vectors", {{"v", {0, 1, 0}}}}}));
  EXPECT_EQ(patched["author"], (json::object{{"name", "Bob"}, {"age", 7}}));
  EXPECT_FALSE(patched.contains("title"));
  EXPECT_EQ(ok(client_, "get_document", at("a", {}, {{"return_vectors", true}}))["vectors"].as_object()["v"], (json::array{0.0, 1.0, 0.0}));
  EXPECT_EQ(error_of(client_, "patch_document", at("none", {{"x", 1}})), ErrorKind::kNotFound);
}

TEST_F(DocumentsTest, PutReplacesThePayloadAndKeepsVectors) {
  add_document(client_, notes_, {{"document_id", "a"}, {"title", "t"}, {"old", 1}, {"vectors", {{"v", {1, 0, 0}}}}});
  json::object whole = ok(client_, "get_document", at("a"));
  whole.erase("old");
  whole["title"] = "u";
  json::object put = ok(client_, "update_document", at("a", whole));
  EXPECT_EQ(put["title"], "u");
  EXPECT_FALSE(put.contains("old"));
  EXPECT_TRUE(ok(client_, "get_document", at("a", {}, {{"return_vectors", true}}))["vectors"].as_object().contains("v"));
}

TEST_F(DocumentsTest, ReservedFieldsAreProtected) {
  add_document(client_, notes_, {{"document_id", "a"}});
  for (std::string name : {"document_id", "collection_id", "root_object_id", "created_at", "_internal", "source_blobs", "lineage_path"}) {
    EXPECT_EQ(error_of(client_, "patch_document", at("a", json::object{{name, "x"}})), ErrorKind::kValidation) << name;
    EXPECT_EQ(error_of(client_, "bulk_update", of(notes_, {{"update_data", json::object{{name, "x"}}}})), ErrorKind::kValidation) << name;
  }
  ok(client_, "patch_document", at("a", {{"document_id", "a"}, {"x", 1}}));
}

TEST_F(DocumentsTest, DeleteOnceThenNotFound) {
  add_document(client_, notes_, {{"document_id", "a"}});
  ok(client_, "delete_document", at("a"));
  EXPECT_EQ(error_of(client_, "delete_document", at("a")), ErrorKind::kNotFound);
  EXPECT_EQ(error_of(client_, "get_document", at("a")), ErrorKind::kNotFound);
}

TEST_F(DocumentsTest, ListFiltersSortsAndSelects) {
  fill(10);
  json::object page = ok(
      client_, "list_documents",
      of(notes_, {{"filters", filter("n", "gte", 3)}, {"sort", {{"field", "n"}, {"direction", "desc"}}}, {"limit", 3}, {"select", {"n"}}}));
  EXPECT_EQ(ids_of(page), (std::vector<std::string>{"d9", "d8", "d7"}));
  EXPECT_EQ(page["pagination"].as_object()["total"], 7);
  json::object row = page["results"].as_array()[0].as_object();
  EXPECT_EQ(row, (json::object{{"document_id", "d9"}, {"collection_id", notes_}, {"n", 9}}));
  json::object query{{"filters", json::serialize(filter("parity", "eq", "odd"))}, {"sort", "-n"}, {"limit", 2}};
  EXPECT_EQ(ids_of(ok(client_, "list_documents_0", of(notes_, {}, query))), (std::vector<std::string>{"d9", "d7"}));
  EXPECT_EQ(error_of(client_, "list_documents_0", of(notes_, {}, {{"filters", "{not json"}})), ErrorKind::kValidation);
}

TEST_F(DocumentsTest, CursorsVisitEachDocumentOnce) {
  fill(23);
  for (json::object base : {json::object{{"limit", 5}}, json::object{{"limit", 5}, {"sort", {{"field", "n"}, {"direction", "desc"}}}},
                            json::object{{"limit", 5}, {"search", "number"}}}) {
    std::set<std::string> seen;
    json::object body = base;
    size_t pages = 0;
    for (;; ++pages) {
      json::object page = ok(client_, "list_documents", of(notes_, body));
      for (auto& id : ids_of(page)) EXPECT_TRUE(seen.insert(id).second) << id;
      const json::value* next = page["pagination"].as_object().if_contains("next_cursor");
      if (!next || pages > 10) break;
      body = base;
      body["cursor"] = *next;
    }
    EXPECT_EQ(seen.size(), 23u) << json::serialize(base);
    EXPECT_EQ(pages, 4u);
  }
  EXPECT_EQ(error_of(client_, "list_documents", of(notes_, {{"cursor", "made-up"}})), ErrorKind::kValidation);
}

TEST_F(DocumentsTest, SearchIgnoresCaseAndLooksInside) {
  add_document(client_, notes_, {{"document_id", "a"}, {"deep", {{"list", {"x", "The Whale"}}}}});
  add_document(client_, notes_, {{"document_id", "b"}, {"title", "nothing"}});
  EXPECT_EQ(ids_of(ok(client_, "list_documents", of(notes_, {{"search", "whale"}}))), (std::vector<std::string>{"a"}));
}

TEST_F(DocumentsTest, PartitionsAreDisjointAndComplete) {
  fill(20);
  std::set<std::string> seen;
  for (int i = 0; i < 3; ++i)
    for (auto& id : ids_of(ok(client_, "list_documents", of(notes_, {{"limit", 100}, {"partition", {{"index", i}, {"count", 3}}}}))))
      EXPECT_TRUE(seen.insert(id).second);
  EXPECT_EQ(seen.size(), 20u);
}

TEST_F(DocumentsTest, GroupsCountAll) {
  fill(9);
  json::object reply = ok(client_, "list_documents", of(notes_, {{"group_by", "parity"}}));
  auto groups = reply["groups"].as_array();
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].as_object()["group_key"], "even");
  EXPECT_EQ(groups[0].as_object()["count"], 5);
  EXPECT_EQ(groups[1].as_object()["documents"].as_array().size(), 4u);
  EXPECT_EQ(reply["stats"].as_object()["total_groups"], 2);
}

TEST_F(DocumentsTest, BatchUpdateReportsEach) {
  fill(3);
  json::array updates{json::object{{"document_id", "d0"}, {"update_data", {{"x", 1}}}},
                      json::object{{"document_id", "gone"}, {"update_data", {{"x", 1}}}},
                      json::object{{"document_id", "d1"}, {"update_data", {{"created_at", "x"}}}}};
  json::object reply = ok(client_, "batch_update", of(notes_, {{"updates", updates}}));
  EXPECT_EQ(reply["updated_count"], 1);
  EXPECT_EQ(reply["failed_count"], 2);
  EXPECT_EQ(reply["results"].as_array()[1].as_object()["success"], false);
  EXPECT_EQ(ok(client_, "get_document", at("d0"))["x"], 1);
  json::object by_filter =
      ok(client_, "batch_update", of(notes_, {{"filters", filter("parity", "eq", "even")}, {"update_data", {{"y", 2}}}}));
  EXPECT_EQ(by_filter["updated_count"], 2);
  EXPECT_EQ(error_of(client_, "batch_update", of(notes_, json::object{})), ErrorKind::kValidation);
}

TEST_F(DocumentsTest, BulkUpdateByFilterOrAll) {
  fill(5);
  EXPECT_EQ(ok(client_, "bulk_update", of(notes_, {{"filters", filter("n", "lt", 2)}, {"update_data", {{"z", 1}}}}))["updated_count"], 2);
  EXPECT_EQ(ok(client_, "bulk_update", of(notes_, {{"update_data", {{"z", 2}}}}))["updated_count"], 5);
  EXPECT_EQ(error_of(client_, "bulk_update", of(notes_, {{"update_data", json::object{}}})), ErrorKind::kValidation);
}

TEST_F(DocumentsTest, BatchDeleteByIdsOrFilter) {
  fill(6);
  json::object reply = ok(client_, "batch_delete", of(notes_, {{"document_ids", {"d0", "gone"}}}));
  EXPECT_EQ(reply["deleted_count"], 1);
  EXPECT_EQ(reply["failed_count"], 1);
  EXPECT_EQ(ok(client_, "batch_delete", of(notes_, {{"filters", filter("parity", "eq", "odd")}}))["deleted_count"], 3);
  EXPECT_EQ(ok(client_, "count_documents", of(notes_))["count"], 2);
  EXPECT_EQ(error_of(client_, "batch_delete", of(notes_, json::object{})), ErrorKind::kValidation);  // never everything by accident
}

TEST_F(DocumentsTest, DistinctValues) {
  fill(5);
  json::object reply = ok(client_, "distinct_document_values", of(notes_, {{"field", "parity"}}));
  EXPECT_EQ(reply["total_distinct"], 2);
  EXPECT_EQ(reply["values"].as_array()[0], (json::object{{"value", "even"}, {"count", 3}}));
  json::object limited =
      ok(client_, "distinct_document_values", of(notes_, {{"field", "n"}, {"limit", 2}, {"filters", filter("n", "gt", 0)}}));
  EXPECT_EQ(limited["total_distinct"], 4);
  EXPECT_EQ(limited["values"].as_array().size(), 2u);
}

TEST_F(DocumentsTest, Aggregation) {
  fill(5);
  json::array functions{json::object{{"function", "sum"}, {"field", "n"}, {"alias", "total"}},
                        json::object{{"function", "first"}, {"field", "document_id"}, {"alias", "one"}}};
  json::object reply = ok(client_, "aggregate_documents",
                          of(notes_, {{"group_by", json::array{json::object{{"field", "parity"}}}},
                                      {"aggregations", functions},
                                      {"filters", filter("n", "gt", 0)},
                                      {"sort_by", "total"}}));
  auto results = reply["results"].as_array();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].as_object(), (json::object{{"group", {{"parity", "even"}}}, {"metrics", {{"total", 6}, {"one", "d2"}}}}));
  EXPECT_EQ(error_of(client_, "aggregate_documents",
                     of(notes_, {{"aggregations", json::array{json::object{{"function", "median"}, {"alias", "m"}}}}})),
            ErrorKind::kValidation);
}

TEST_F(DocumentsTest, NamespaceWideReads) {
  std::string other = direct_collection(client_, "others");
  fill(3);
  add_document(client_, other, {{"document_id", "d1"}, {"n", 100}});
  add_document(client_, other, {{"document_id", "e1"}, {"n", 101}});
  Call anywhere{.path = {{"document_id", "e1"}}};
  EXPECT_EQ(string_member(ok(client_, "get_document_ns", anywhere), "collection_id"), other);
  anywhere.body = {{"n", 102}};
  EXPECT_EQ(ok(client_, "patch_document_ns", anywhere)["n"], 102);
  EXPECT_EQ(ok(client_, "update_document_ns", anywhere)["n"], 102);
  json::object got = ok(client_, "batch_get", {.body = {{"document_ids", {"e1", "d0", "zz"}}}});
  EXPECT_EQ(got["documents"].as_array().size(), 2u);
  EXPECT_EQ(got["not_found"], (json::array{"zz"}));
  json::object all = ok(client_, "list_documents_ns", {.body = {{"limit", 10}}});
  EXPECT_EQ(ids_of(all), (std::vector<std::string>{"d0", "d1", "d1", "d2", "e1"}));
  json::object some = ok(client_, "list_documents_ns",
                         {.body = {{"collection_ids", {"others", "col_none"}}, {"sort", {{"field", "n"}, {"direction", "desc"}}}}});
  EXPECT_EQ(ids_of(some), (std::vector<std::string>{"e1", "d1"}));
  EXPECT_EQ(some["unknown_collection_ids"], (json::array{"col_none"}));
  json::object by_collection = ok(client_, "list_documents_ns", {.body = {{"filters", filter("collection_id", "eq", json::value(other))}}});
  EXPECT_EQ(ids_of(by_collection), (std::vector<std::string>{"d1", "e1"}));
}

TEST_F(DocumentsTest, NamespaceWideCursorDoesNotLoseTwins) {
  std::string other = direct_collection(client_, "others");
  for (const auto& collection : {notes_, other})
    for (std::string id : {"a", "b", "c"}) add_document(client_, collection, {{"document_id", id}});
  size_t seen = 0;
  json::object body{{"limit", 1}};
  for (int i = 0; i < 10; ++i) {
    json::object page = ok(client_, "list_documents_ns", {.body = body});
    seen += page["results"].as_array().size();
    const json::value* next = page["pagination"].as_object().if_contains("next_cursor");
    if (!next) break;
    body["cursor"] = *next;
  }
  EXPECT_EQ(seen, 6u);
}

TEST_F(DocumentsTest, ListBatchKeepsErrorsApart) {
  fill(2);
  json::array queries{json::object{{"key", "good"}, {"request", {{"limit", 1}}}},
                      json::object{{"key", "bad"}, {"request", {{"sort", {{"field", ""}}}}}}};
  auto results = ok(client_, "list_documents_batch", {.body = {{"queries", queries}}})["results"].as_array();
  EXPECT_TRUE(results[0].as_object().contains("response"));
  EXPECT_TRUE(results[1].as_object().contains("error"));
}

TEST_F(DocumentsTest, BlobKeysStayInside) {
  auto context = context_of(client_).value();
  std::string own = context.internal_id + "/" + context.namespace_id + "/blobs/x";
  Document document;
  document.document_id = "made";
  document.lineage.root_object_id = "obj_1";
  document.lineage.root_bucket_id = "bkt_1";
  document.payload = {{"source", json::object{{"filename", "a.pdf"}}},
                      {"source_blobs", json::array{json::object{{"property", "file"}, {"type", "pdf"}, {"key", own}},
                                                   json::object{{"property", "other"}, {"key", "other-internal-id/ns/blobs/y"}}}}};
  mvs::WriteBatch batch;
  batch.upserts.push_back(document);
  ASSERT_TRUE(vectors_->write(notes_, std::move(batch)).ok());
  json::object plain = ok(client_, "get_document", at("made"));
  EXPECT_EQ(json::serialize(plain).find(context.internal_id), std::string::npos);
  EXPECT_EQ(plain["source"].as_object()["url"], "http://127.0.0.1:8765/v1/buckets/bkt_1/objects/obj_1");
  json::object signed_urls = ok(client_, "get_document", at("made", {}, {{"return_presigned_urls", true}}));
  auto blobs = signed_urls["document_blobs"].as_array();
  EXPECT_THAT(std::string(blobs[0].as_object()["presigned_url"].as_string()), HasSubstr("signature="));
  EXPECT_FALSE(blobs[1].as_object().contains("presigned_url"));
}

}  // namespace
}  // namespace quarry::service
