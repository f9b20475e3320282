#include <fmt/format.h>
#include <gmock/gmock.h>

#include "service/test_service_world.h"

namespace quarry::service {
namespace {

using testing::HasSubstr;

class CollectionsTest : public ServiceWorld {
 protected:
  void SetUp() override {
    ServiceWorld::SetUp();
    client_ = with_namespace(first_, "books");
    bucket_ = insert_bucket(client_, "inbox",
                            {{"content", {{"type", "text"}}},
                             {"year", {{"type", "integer"}}},
                             {"author", {{"type", "object"}, {"properties", {{"name", {{"type", "string"}}}}}}}});
  }
  json::object text_collection(const std::string& name, json::object more = {}) {
    json::object body{{"collection_name", name}, {"source", {{"type", "bucket"}, {"bucket_ids", {bucket_}}}}};
    body["feature_extractor"] = json::object{
        {"feature_extractor_name", "text_extractor"},
        {"version", "v1"},
        {"input_mappings", {{"text", "content"}}},
        {"field_passthrough",
         json::array{json::object{{"source_path", "year"}}, json::object{{"source_path", "author.name"}, {"target_path", "writer"}}}}};
    for (const auto& member : more) body[member.key()] = member.value();
    return ok(client_, "create_collection", {.body = std::move(body)});
  }
  std::string add_object(const std::string& bucket, int year) {
    catalog::Resource object = row(catalog::kind::kObject, new_id("obj"));
    object.parent_id = bucket;
    object.body = {{"object_id", object.id},
                   {"bucket_id", bucket},
                   {"year", year},
                   {"blobs", json::array{json::object{{"blob_id", "b"}, {"property", "content"}, {"type", "text"}, {"value", "words"}}}}};
    EXPECT_TRUE(catalog_->insert(object).ok());
    return object.id;
  }
  catalog::Resource row(std::string_view kind, const std::string& id) {
    auto context = context_of(client_).value();
    catalog::Resource out;
    out.kind = kind;
    out.id = id;
    out.organization_id = context.organization_id;
    out.namespace_id = context.namespace_id;
    out.created_at = out.updated_at = clock_.now_us();
    return out;
  }
  Call of(const std::string& collection, json::value body = {}) {
    return {.path = {{"collection_identifier", collection}}, .body = std::move(body)};
  }

  Client client_;
  std::string bucket_;
};

TEST_F(CollectionsTest, ShowsWhatItWillMake) {
  json::object made = text_collection("texts");
  json::object fields = made["output_schema"].as_object()["properties"].as_object();
  EXPECT_EQ(fields["year"].as_object()["type"], "integer");
  EXPECT_EQ(fields["writer"].as_object()["type"], "string");
  json::object index = made["vector_indexes"].as_array()[0].as_object();
  EXPECT_EQ(index["feature_uri"], "mixpeek://text_extractor@v1/all_minilm_l6_v2_v1");
  EXPECT_EQ(index["index"].as_object()["dimensions"], 16);
  EXPECT_EQ(made["feature_extractor"].as_object()["feature_extractor_id"], "text_extractor_v1");
  EXPECT_EQ(made["source"].as_object()["bucket_ids"], (json::array{bucket_}));
  EXPECT_EQ(made["source_lineage"].as_array().size(), 1u);
  EXPECT_EQ(made["lifecycle_state"], "active");
  EXPECT_EQ(made["document_count"], 0);
  EXPECT_FALSE(made.contains("internal_id"));
  EXPECT_EQ(ok(client_, "get_collection", of("texts"))["index_signature"], made["index_signature"]);
}

TEST_F(CollectionsTest, MoreThanCanBeReadAreRefused) {
  auto context = context_of(client_).value();
  Status filled = catalog_->write([&](catalog::Session& session) -> Status {
    for (size_t i = 0; i < 1'000; ++i) {
      catalog::Resource row;
      row.kind = catalog::kind::kCollection;
      row.id = fmt::format("col_{}", i);
      row.organization_id = context.organization_id;
      row.namespace_id = context.namespace_id;
      QUARRY_RETURN_IF_ERROR(session.insert(row));
    }
    return Ok{};
  });
  ASSERT_TRUE(filled.ok());
  auto create = [&] {
    return call(client_, "create_collection",
                {.body = {{"collection_name", "one more"},
                          {"source", {{"type", "none"}}},
                          {"feature_extractor", {{"feature_extractor_name", "passthrough_extractor"}, {"version", "v1"}}}}});
  };
  auto refused = create();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kBadRequest);
  EXPECT_THAT(refused.error().message, HasSubstr("has 1000 collections, the most there can be"));
  ASSERT_TRUE(catalog_
                  ->write([&](catalog::Session& s) {
                    return s.remove(catalog::kind::kCollection, {context.organization_id, context.namespace_id}, "col_7");
                  })
                  .ok());
  EXPECT_TRUE(create().ok());
}

TEST_F(CollectionsTest, IndexSignatureFollowsTheDocuments) {
  std::string id = direct_collection(client_, "notes");
  auto signature = [&] { return std::string(string_member(ok(client_, "get_collection", of(id)), "index_signature")); };
  std::string before = signature();
  EXPECT_EQ(before, signature());
  add_document(client_, id, {{"document_id", "a"}, {"vectors", {{"v", {1, 0, 0}}}}});
  EXPECT_NE(before, signature());
}

TEST_F(CollectionsTest, FeaturesShorthandAndExtractorForms) {
  for (std::string feature :
       {"text_extractor", "text_extractor_v1", "text_extractor@v1", "text", "mixpeek://text_extractor@v1/embedding"}) {
    json::object body{{"collection_name", "by-" + sha256_hex(feature).substr(0, 8)},
                      {"source", {{"type", "bucket"}, {"bucket_ids", {"inbox"}}}},
                      {"features", {feature}}};
    json::object made = ok(client_, "create_collection", {.body = body});
    EXPECT_EQ(made["feature_extractor"].as_object()["feature_extractor_name"], "text_extractor") << feature;
  }
  json::object two{{"collection_name", "two"}, {"source", {{"type", "none"}}}, {"features", {"text_extractor", "passthrough_extractor"}}};
  EXPECT_EQ(error_of(client_, "create_collection", {.body = two}), ErrorKind::kBadRequest);
}

TEST_F(CollectionsTest, BadDefinitions) {
  auto create = [&](json::object body) { return call(client_, "create_collection", {.body = std::move(body)}); };
  auto kind_of = [&](json::object body) { return create(std::move(body)).error().kind; };
  EXPECT_EQ(kind_of({{"collection_name", "features"}, {"source", {{"type", "none"}}}}), ErrorKind::kValidation);
  EXPECT_EQ(kind_of({{"collection_name", "c-1"}, {"source", {{"type", "bucket"}}}}), ErrorKind::kValidation);
  EXPECT_EQ(kind_of({{"collection_name", "c-1"}, {"source", {{"type", "bucket"}, {"bucket_ids", {"bkt_none"}}}}}), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of({{"collection_name", "c-1"}, {"source", {{"type", "taxonomy"}}}}), ErrorKind::kNotImplemented);
  EXPECT_EQ(kind_of({{"collection_name", "c-1"}, {"source", {{"type", "collection"}, {"collection_id", "c-1"}}}}), ErrorKind::kBadRequest);
  EXPECT_EQ(kind_of({{"collection_name", "c-1"}, {"source", {{"type", "none"}}}, {"schedule", {{"trigger_type", "cron"}}}}),
            ErrorKind::kNotImplemented);
  auto unknown = create({{"collection_name", "c-1"},
                         {"source", {{"type", "none"}}},
                         {"feature_extractor", {{"feature_extractor_name", "magic"}, {"version", "v1"}}}});
  EXPECT_THAT(unknown.error().message, HasSubstr("text_extractor@v1"));
  json::object bad_filter{
      {"type", "bucket"},
      {"bucket_ids", {bucket_}},
      {"source_filters", {{"filters", {{"AND", json::array{json::object{{"field", "a"}, {"operator", "like"}, {"value", 1}}}}}}}}};
  EXPECT_EQ(kind_of({{"collection_name", "c-1"}, {"source", bad_filter}}), ErrorKind::kValidation);
  EXPECT_EQ(ok(client_, "list_collections_get")["total_count"], 0);
}

TEST_F(CollectionsTest, SourcesNeverCrossNamespaces) {
  Client other = with_namespace(first_, "other");
  json::object source{{"type", "bucket"}, {"bucket_ids", {bucket_}}, {"source_namespace_id", client_.ns}};
  EXPECT_EQ(error_of(other, "create_collection", {.body = {{"collection_name", "stolen"}, {"source", source}}}), ErrorKind::kBadRequest);
  source.erase("source_namespace_id");
  EXPECT_EQ(error_of(other, "create_collection", {.body = {{"collection_name", "stolen"}, {"source", source}}}), ErrorKind::kNotFound);
}

TEST_F(CollectionsTest, TiersInheritSchemasAndBuckets) {
  text_collection("texts");
  json::object body{{"collection_name", "second"}, {"source", {{"type", "collection"}, {"collection_id", "texts"}}}};
  json::object second = ok(client_, "create_collection", {.body = body});
  EXPECT_EQ(second["source"].as_object()["inherited_bucket_ids"], (json::array{bucket_}));
  EXPECT_EQ(second["source_lineage"].as_array().size(), 2u);
  EXPECT_TRUE(second["input_schema"].as_object()["properties"].as_object().contains("year"));
  ok(client_, "delete_collection", of("texts"));
  json::object orphan = ok(client_, "get_collection", of("second"));
  EXPECT_EQ(orphan["enabled"], false);
  EXPECT_EQ(orphan["disabled_reason"].as_object()["code"], "source_collection_deleted");
}

TEST_F(CollectionsTest, PatchChangesOnlyWhatMayChange) {
  text_collection("texts");
  json::object rules{{"rule_type", "auto_evict"}, {"enabled", true}, {"threshold_days", 30}};
  json::object changed =
      ok(client_, "update_collection",
         of("texts",
            {{"description", "all"}, {"metadata", {{"team", "a"}}}, {"tiering_rules", json::array{rules}}, {"collection_name", "prose"}}));
  EXPECT_EQ(changed["collection_name"], "prose");
  EXPECT_EQ(changed["tiering_rules"], (json::array{rules}));
  EXPECT_EQ(
      error_of(client_, "update_collection", of("prose", {{"feature_extractor", {{"feature_extractor_name", "passthrough_extractor"}}}})),
      ErrorKind::kBadRequest);
  EXPECT_EQ(error_of(client_, "update_collection", of("prose", {{"enabled", "yes"}})), ErrorKind::kValidation);
  EXPECT_EQ(error_of(client_, "update_collection", of("prose", {{"tiering_rules", json::array{json::object{{"rule_type", "burn"}}}}})),
            ErrorKind::kValidation);
  auto unknown = call(client_, "update_collection", of("prose", {{"descripton", "x"}}));
  EXPECT_THAT(unknown.error().message, HasSubstr("'description'"));
  json::object whole = ok(client_, "get_collection", of("prose"));
  json::object back{{"feature_extractor", whole["feature_extractor"]}, {"description", "again"}};
  EXPECT_EQ(ok(client_, "update_collection", of("prose", back))["description"], "again");
}

TEST_F(CollectionsTest, NamesAreUnique) {
  text_collection("texts");
  EXPECT_EQ(error_of(client_, "create_collection", {.body = {{"collection_name", "texts"}, {"source", {{"type", "none"}}}}}),
            ErrorKind::kAlreadyExists);
  direct_collection(client_, "notes");
  EXPECT_EQ(error_of(client_, "update_collection", of("notes", {{"collection_name", "texts"}})), ErrorKind::kAlreadyExists);
}

TEST_F(CollectionsTest, CloneCopiesTheDefinition) {
  json::object made = text_collection("texts", {{"description", "first"}});
  json::object reply = ok(client_, "clone_collection", of("texts", {{"collection_name", "copy"}, {"description", "second"}}));
  EXPECT_EQ(reply["source_collection_id"], made["collection_id"]);
  json::object copy = reply["collection"].as_object();
  EXPECT_NE(copy["collection_id"], made["collection_id"]);
  EXPECT_EQ(copy["description"], "second");
  EXPECT_EQ(copy["vector_indexes"], made["vector_indexes"]);
  EXPECT_EQ(copy["feature_extractor"].as_object()["input_mappings"], made["feature_extractor"].as_object()["input_mappings"]);
}

TEST_F(CollectionsTest, DeletedCollectionIsGone) {
  std::string id = direct_collection(client_, "notes");
  add_document(client_, id, {{"document_id", "a"}});
  ok(client_, "delete_collection", of("notes"));
  EXPECT_EQ(error_of(client_, "get_collection", of(id)), ErrorKind::kNotFound);
  EXPECT_EQ(vectors_->stats(id).error().kind, ErrorKind::kNotFound);
  direct_collection(client_, "notes");
}

TEST_F(CollectionsTest, FilesOfATableThatWasNotTouchedSinceTheStartGoToo) {
  std::string id = direct_collection(client_, "notes");
  add_document(client_, id, {{"document_id", "a"}});
  const auto files = [&] {
    const auto all = store_->list("", "", 10'000).value();
    return std::count_if(all.begin(), all.end(), [&](const auto& object) { return object.key.find(id) != std::string::npos; });
  };
  EXPECT_GT(files(), 0);
  api_.reset();
  vectors_ = mvs::VectorStore::open({.store = store_.get(), .executor = &executor_}).value();
  open_api();
  ok(client_, "delete_collection", of("notes"));
  EXPECT_EQ(files(), 0);
}

TEST_F(CollectionsTest, MappingToAnUnknownPropertyWarns) {
  json::object extractor{{"feature_extractor_name", "text_extractor"}, {"version", "v1"}, {"input_mappings", {{"text", "contents"}}}};
  json::object made = text_collection("texts", {{"feature_extractor", extractor}});
  EXPECT_THAT(json::serialize(made["warnings"]), HasSubstr("'contents'"));
}

TEST_F(CollectionsTest, TriggerNeedsObjects) {
  text_collection("texts");
  EXPECT_EQ(error_of(client_, "trigger_collection", of("texts")), ErrorKind::kBadRequest);
  direct_collection(client_, "notes");
  EXPECT_EQ(error_of(client_, "trigger_collection", of("notes")), ErrorKind::kBadRequest);
  EXPECT_EQ(error_of(client_, "trigger_collection", of("texts", {{"object_ids", {"obj_none"}}})), ErrorKind::kNotFound);
}

TEST_F(CollectionsTest, TriggerSubmitsOneBatchPerBucket) {
  text_collection("texts");
  auto context = context_of(client_).value();
  for (int i = 0; i < 3; ++i) add_object(bucket_, 2000 + i);
  auto reply = call(
      client_, "trigger_collection",
      of("texts", {{"source_filters", {{"AND", json::array{json::object{{"field", "year"}, {"operator", "gte"}, {"value", 2001}}}}}}}));
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->status, 202);
  json::object triggered = reply->body.as_object();
  EXPECT_EQ(triggered["object_count"], 2);
  EXPECT_EQ(triggered["batch_count"], 1);
  EXPECT_EQ(triggered["total_tiers"], 1);
  ASSERT_TRUE(catalog_
                  ->read([&](catalog::Session& session) -> Status {
                    QUARRY_ASSIGN_OR_RETURN(
                        auto task, session.get_task({context.organization_id, context.namespace_id}, string_member(triggered, "task_id")));
                    EXPECT_EQ(task.status, TaskStatus::kPending);
                    QUARRY_ASSIGN_OR_RETURN(auto counts, session.count_items(task.task_id));
                    EXPECT_EQ(counts.total(), 2u);
                    return Ok{};
                  })
                  .ok());
}

TEST_F(CollectionsTest, TriggerTakesNamedObjects) {
  json::object author{{"type", "object"}, {"properties", {{"name", {{"type", "string"}}}}}};
  std::string second =
      insert_bucket(client_, "second", {{"content", {{"type", "text"}}}, {"year", {{"type", "integer"}}}, {"author", author}});
  text_collection("texts", {{"source", {{"type", "bucket"}, {"bucket_ids", {bucket_, second}}}}});
  json::array ids{add_object(bucket_, 2000), add_object(second, 2001)};
  add_object(bucket_, 2002);
  auto trigger = [&](json::object body) { return call(client_, "trigger_collection", of("texts", std::move(body))); };
  auto both = trigger({{"object_ids", ids}});
  ASSERT_TRUE(both.ok()) << both.error().message;
  EXPECT_EQ(both->body.at("object_count"), 2);
  EXPECT_EQ(both->body.at("batch_count"), 2);
  auto newer = trigger({{"object_ids", ids}, {"source_filters", {{"field", "year"}, {"operator", "gt"}, {"value", 2000}}}});
  ASSERT_TRUE(newer.ok()) << newer.error().message;
  EXPECT_EQ(newer->body.at("source_bucket_ids"), (json::array{second}));
  ids.push_back("obj_none");
  EXPECT_EQ(trigger({{"object_ids", ids}}).error().kind, ErrorKind::kNotFound);
}

TEST_F(CollectionsTest, TriggerSubmitsAllItsBatchesOrNone) {
  text_collection("texts");
  catalog::Resource unfed = row(catalog::kind::kBucket, "bkt_~");  // after every other id
  unfed.name = "unfed";
  unfed.body = {{"bucket_id", unfed.id}, {"bucket_name", unfed.name}};
  ASSERT_TRUE(catalog_->insert(unfed).ok());
  catalog::Scope scope{unfed.organization_id, unfed.namespace_id};
  std::string id(string_member(ok(client_, "get_collection", of("texts")), "collection_id"));
  auto stored = catalog_->update(catalog::kind::kCollection, scope, id, [&](catalog::Resource& r) -> Status {
    r.body["source"].as_object()["inherited_bucket_ids"] = json::array{unfed.id};
    return Ok{};
  });
  ASSERT_TRUE(stored.ok());
  add_object(bucket_, 2000);
  add_object(unfed.id, 2001);
  EXPECT_EQ(error_of(client_, "trigger_collection", of("texts")), ErrorKind::kBadRequest);
  catalog::ListQuery batches;
  batches.kind = catalog::kind::kBatch;
  batches.scope = scope;
  EXPECT_TRUE(catalog_->list(batches).value().items.empty());
}

TEST_F(CollectionsTest, FrozenRefusesWritesAndArchivedReads) {
  std::string id = direct_collection(client_, "notes");
  add_document(client_, id, {{"document_id", "a"}});
  auto set_state = [&](std::string_view state) {
    auto context = context_of(client_).value();
    auto stored = catalog_->update(catalog::kind::kCollection, {context.organization_id, context.namespace_id}, id,
                                   [&](catalog::Resource& r) -> Status {
                                     r.body["lifecycle_state"] = state;
                                     return Ok{};
                                   });
    ASSERT_TRUE(stored.ok());
  };
  Call document{.path = {{"collection_identifier", id}, {"document_id", "a"}}, .body = {{"x", 1}}};
  set_state("frozen");
  EXPECT_EQ(error_of(client_, "patch_document", document), ErrorKind::kBadRequest);
  EXPECT_EQ(error_of(client_, "create_document", of(id, {{"x", 1}})), ErrorKind::kBadRequest);
  ok(client_, "get_document", document);
  set_state("archived");
  EXPECT_EQ(error_of(client_, "get_document", document), ErrorKind::kBadRequest);
  EXPECT_EQ(ok(client_, "get_collection", of(id))["document_count"], 0);
  EXPECT_EQ(ok(client_, "list_documents_ns")["results"].as_array().size(), 0u);
}

TEST_F(CollectionsTest, SchemaSyncAddsWhatDocumentsHave) {
  std::string id = direct_collection(client_, "notes");
  json::object body{{"collection_name", "below"}, {"source", {{"type", "collection"}, {"collection_id", "notes"}}}};
  ok(client_, "create_collection", {.body = body});
  add_document(client_, id, {{"n", 1}, {"mixed", 1}, {"text", "a"}});
  add_document(client_, id, {{"n", 1.5}, {"mixed", "x"}, {"list", {1}}});
  Call sync{.path = {{"collection_id", id}}};
  json::object reply = ok(client_, "sync_collection_schema", sync);
  EXPECT_EQ(reply["fields_added"], (json::array{"list", "n", "text"}));
  EXPECT_EQ(reply["schema_version"], 2);
  EXPECT_EQ(reply["downstream_collections_updated"].as_array().size(), 1u);
  EXPECT_EQ(ok(client_, "sync_collection_schema", sync)["skipped"], true);
  json::object shown = ok(client_, "get_collection", of(id));
  EXPECT_EQ(shown["output_schema"].as_object()["properties"].as_object()["n"].as_object()["type"], "number");
  add_document(client_, id, {{"n", 2}, {"text", "b"}});
  EXPECT_EQ(ok(client_, "count_documents", of(id))["count"], 3);
}

TEST_F(CollectionsTest, LifecycleAndFeatures) {
  std::string id = direct_collection(client_, "notes");
  add_document(client_, id, {{"document_id", "a"}, {"vectors", {{"v", {1, 0, 0}}}}});
  json::object lifecycle = ok(client_, "get_lifecycle", of(id));
  EXPECT_EQ(lifecycle["lifecycle_state"], "active");
  EXPECT_EQ(lifecycle["vector_document_count"], 1);
  json::object features = ok(client_, "describe_collection_features", of(id));
  EXPECT_EQ(features["features"].as_array()[0].as_object()["feature_uri"], "mixpeek://passthrough_extractor@v1/v");
}

}  // namespace
}  // namespace quarry::service
