#include "model/collection.h"

#include <gtest/gtest.h>

namespace quarry {
namespace {

json::object body_of(std::string_view changes = "{}") {
  json::object body = json::parse(R"({
    "collection_id": "col_1", "collection_name": "papers", "enabled": true, "lifecycle_state": "cold",
    "source": {"type": "bucket", "bucket_ids": ["bkt_1", "bkt_2"], "source_filters": {"filters": {"AND": [{"field": "lang", "operator": "eq", "value": "en"}]}}},
    "feature_extractor": {"feature_extractor_name": "text_extractor_v1", "version": "1.0.0", "parameters": {"split_by": "sentences"},
      "input_mappings": {"text": "content"}, "field_passthrough": [{"source_path": "metadata.author", "target_path": "author", "default": "?"}, {"source_path": "year", "required": true}]},
    "vector_indexes": [{"name": "all_minilm_l6_v2_v1", "feature_uri": "mixpeek://text_extractor@v1/all_minilm_l6_v2_v1", "type": "dense", "index": {"dimensions": 384, "distance": "dot"}},
      {"name": "other", "feature_uri": "mixpeek://text_extractor@v1/other", "index": {"dimension": 8}}],
    "output_schema": {"properties": {"text": {"type": "text"}}}})")
                          .get_object();
  json::value changed = json::parse(changes);
  for (const auto& change : changed.get_object()) body[change.key()] = change.value();
  return body;
}

TEST(ParseCollection, ReadsEveryPart) {
  auto collection = parse_collection(body_of(), "org_1", "ns_1");
  ASSERT_TRUE(collection.ok()) << collection.error().message;
  EXPECT_EQ(collection->collection_id, "col_1");
  EXPECT_EQ(collection->namespace_id, "ns_1");
  EXPECT_EQ(collection->source.bucket_ids, (std::vector<std::string>{"bkt_1", "bkt_2"}));
  EXPECT_FALSE(matches(collection->source.filter, {{"lang", "fr"}}));
  EXPECT_TRUE(matches(collection->source.filter, {{"lang", "en"}}));
  EXPECT_EQ(collection->extractor.name, "text_extractor");
  EXPECT_EQ(collection->extractor.version, "v1");
  EXPECT_EQ(collection->extractor.parameters.at("split_by"), "sentences");
  EXPECT_EQ(collection->extractor.input_mappings.at("text"), "content");
  ASSERT_EQ(collection->extractor.field_passthrough.size(), 2u);
  EXPECT_EQ(collection->extractor.field_passthrough[0].default_value, "?");
  EXPECT_TRUE(collection->extractor.field_passthrough[1].required);
  EXPECT_FALSE(collection->extractor.include_all_source_fields);
  EXPECT_EQ(collection->vectors[0].dimension, 384u);
  EXPECT_EQ(collection->vectors[0].metric, "dot");
  EXPECT_EQ(collection->vectors[1].metric, "cosine");
  EXPECT_EQ(collection->lifecycle, LifecycleState::kCold);
  EXPECT_EQ(collection->output_schema.properties.at("text").type, FieldType::kText);
}

TEST(ParseCollection, AVectorIndexSurvivesARoundTrip) {
  auto first = parse_collection(body_of(), "org_1", "ns_1");
  ASSERT_TRUE(first.ok());
  json::object body = body_of();
  body["vector_indexes"] = json::array{first->vectors[0].to_json(), first->vectors[1].to_json()};
  auto second = parse_collection(body, "org_1", "ns_1");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->vectors[0].to_json(), first->vectors[0].to_json());
  EXPECT_EQ(second->vectors[1].to_json(), first->vectors[1].to_json());
}

TEST(ParseCollection, ReadsOtherSources) {
  auto chained =
      parse_collection(body_of(R"({"source": {"type": "collection", "collection_id": "col_a", "collection_ids": ["col_b"]}})"), "o", "n");
  ASSERT_TRUE(chained.ok());
  EXPECT_EQ(chained->source.collection_ids, (std::vector<std::string>{"col_b", "col_a"}));
  auto direct = parse_collection(body_of(R"({"source": {"type": "direct_upsert"}})"), "o", "n");
  ASSERT_TRUE(direct.ok());
  EXPECT_EQ(direct->source.type, "none");
}

TEST(ParseCollection, ABodyThatIsNoCollectionIsInternal) {
  for (const char* change :
       {R"({"collection_id": null})", R"({"source": null})", R"({"feature_extractor": "text"})", R"({"vector_indexes": [{"name": "x"}]})",
        R"({"vector_indexes": 5})", R"({"lifecycle_state": "boiling"})", R"({"output_schema": {"a": {"type": "nonsense"}}})"}) {
    auto collection = parse_collection(body_of(change), "o", "n");
    ASSERT_FALSE(collection.ok()) << change;
    EXPECT_EQ(collection.error().kind, ErrorKind::kInternal) << change;
  }
}

TEST(FindVector, ByUriWhateverTheVersionsFormAndByAlias) {
  auto collection = parse_collection(body_of(), "o", "n");
  ASSERT_TRUE(collection.ok());
  auto name_of = [&](std::string_view uri) {
    const CollectionVector* found = collection->find_vector(uri);
    return found == nullptr ? std::string("-") : found->name;
  };
  EXPECT_EQ(name_of("mixpeek://text_extractor@v1/all_minilm_l6_v2_v1"), "all_minilm_l6_v2_v1");
  EXPECT_EQ(name_of("mixpeek://text_extractor@1.0.0/other"), "other");
  EXPECT_EQ(name_of("mixpeek://text_extractor@1/embedding"), "all_minilm_l6_v2_v1");
  EXPECT_EQ(name_of("mixpeek://image_extractor@v1/embedding"), "-");
  EXPECT_EQ(name_of("mixpeek://text_extractor@v2/embedding"), "-");
  EXPECT_EQ(name_of("mixpeek://text_extractor@v1/absent"), "-");
  EXPECT_EQ(name_of("all_minilm_l6_v2_v1"), "all_minilm_l6_v2_v1") << "by its own name";
  EXPECT_EQ(name_of("absent"), "-");
}

TEST(FindVector, AnOutputCalledEmbeddingWinsOverTheAlias) {
  auto collection =
      parse_collection(body_of(R"({"vector_indexes": [{"name": "a", "feature_uri": "mixpeek://x@v1/a", "index": {"dimensions": 2}},
    {"name": "embedding", "feature_uri": "mixpeek://x@v1/embedding", "index": {"dimensions": 3}}]})"),
                       "o", "n");
  ASSERT_TRUE(collection.ok());
  EXPECT_EQ(collection->find_vector("mixpeek://x@v1/embedding")->dimension, 3u);
}

TEST(ParseExtractorConfig, AcceptsAliasesAndBothFormsOfMappings) {
  auto config = parse_extractor_config(json::parse(R"({"feature_extractor_name": "text_extractor@v1", "params": {"chunk_size": 3},
    "input_mappings": [{"input_key": "text", "path": "body"}], "field_passthrough": ["title"], "include_all_source_fields": true})")
                                           .get_object());
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->name, "text_extractor");
  EXPECT_EQ(config->parameters.at("chunk_size"), 3);
  EXPECT_EQ(config->input_mappings.at("text"), "body");
  EXPECT_EQ(config->field_passthrough[0].source_path, "title");
  EXPECT_TRUE(config->include_all_source_fields);
}

TEST(ParseExtractorConfig, PassthroughWithoutFieldsPassesAllOn) {
  auto parse = [](std::string_view text) { return parse_extractor_config(json::parse(text).get_object()); };
  EXPECT_TRUE(parse(R"({"feature_extractor_name": "passthrough_extractor"})")->include_all_source_fields);
  EXPECT_FALSE(parse(R"({"feature_extractor_name": "passthrough_extractor", "field_passthrough": [{"source_path": "a"}]})")
                   ->include_all_source_fields);
  EXPECT_FALSE(
      parse(R"({"feature_extractor_name": "passthrough_extractor", "include_all_source_fields": false})")->include_all_source_fields);
}

TEST(ParseExtractorConfig, RefusesWhatIsIllFormed) {
  for (const char* bad :
       {R"({})", R"({"feature_extractor_name": ""})", R"({"feature_extractor_name": "x", "parameters": 1})",
        R"({"feature_extractor_name": "x", "input_mappings": "a"})", R"({"feature_extractor_name": "x", "input_mappings": {"text": 1}})",
        R"({"feature_extractor_name": "x", "input_mappings": [1]})", R"({"feature_extractor_name": "x", "field_passthrough": {}})",
        R"({"feature_extractor_name": "x", "field_passthrough": [{"target_path": "a"}]})"}) {
    auto config = parse_extractor_config(json::parse(bad).get_object());
    ASSERT_FALSE(config.ok()) << bad;
    EXPECT_EQ(config.error().kind, ErrorKind::kValidation) << bad;
  }
}

}  // namespace
}  // namespace quarry
