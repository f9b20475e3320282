#include "extract/extractors/passthrough_extractor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "extract/extractors/fake_models.h"

namespace quarry::extract {
namespace {

using testing::HasSubstr;

ExtractorConfig config_of(std::string_view parameters) {
  return {.name = "passthrough_extractor", .version = "v1", .parameters = json::parse(parameters).get_object()};
}

constexpr std::string_view kTwoVectors =
    R"({"vector_fields": [{"field": "emb", "name": "mine", "dimensions": 3, "distance": "l2"}, {"field": "deep.v", "name": "other", "dimensions": 2}]})";

Result<ExtractOutput> run(const SourceItem& item, std::string_view parameters) {
  FakeModels models;
  auto bound = passthrough_extractor().bind(config_of(parameters), models);
  if (!bound.ok()) return std::move(bound).error();
  return (*bound)->extract(item, {});
}

SourceItem item_of(std::string_view fields) { return {.source_id = "obj_1", .fields = json::parse(fields).get_object()}; }

TEST(PassthroughExtractor, MakesOneDocumentWithTheSourcesVectors) {
  auto output = run(item_of(R"({"emb": [1, 2.5, -3e2], "deep": {"v": [0, 1]}})"), kTwoVectors);
  ASSERT_TRUE(output.ok()) << output.error().message;
  ASSERT_EQ(output->documents.size(), 1u);
  ASSERT_EQ(output->documents[0].vectors.size(), 2u);
  EXPECT_EQ(output->documents[0].vectors[0].name, "mine");
  EXPECT_EQ(output->documents[0].vectors[0].values, (std::vector<float>{1, 2.5, -300}));
  EXPECT_TRUE(output->documents[0].fields.empty());
}

TEST(PassthroughExtractor, DescribesItsOutputs) {
  FakeModels models;
  auto bound = passthrough_extractor().bind(config_of(kTwoVectors), models);
  ASSERT_TRUE(bound.ok());
  EXPECT_EQ((*bound)->outputs()[0].feature_uri, "mixpeek://passthrough_extractor@v1/mine");
  EXPECT_EQ((*bound)->outputs()[0].metric, "euclidean");
  EXPECT_EQ((*bound)->outputs()[1].metric, "cosine");
  EXPECT_TRUE((*passthrough_extractor().bind(config_of("{}"), models))->outputs().empty());
}

TEST(PassthroughExtractor, TakesAVectorThatASourceDocumentCarries) {
  SourceItem item{.source_id = "doc_1", .fields = {}, .blobs = {}, .vectors = {{"emb", {1, 2, 3}}, {"deep.v", {1, 2}}}};
  auto output = run(item, kTwoVectors);
  ASSERT_TRUE(output.ok());
  EXPECT_EQ(output->documents[0].vectors[0].values, (std::vector<float>{1, 2, 3}));
  item.vectors[0].values.push_back(4);
  EXPECT_THAT(run(item, kTwoVectors).error().message, HasSubstr("4 dimensions, not 3"));
}

TEST(PassthroughExtractor, RefusesVectorsThatDoNotFit) {
  const std::pair<const char*, const char*> cases[] = {{R"({"emb": [1, 2]})", "has 2 numbers"},
                                                       {R"({"emb": [1, 2, "NaN"]})", "something else than a number at 2"},
                                                       {R"({"emb": [1, 2, 1e39]})", "32-bit float"},
                                                       {R"({"emb": "x"})", "not a list"},
                                                       {R"({"emb": null})", "is missing"},
                                                       {R"({})", "is missing"},
                                                       {R"({"emb": [1, null, 2]})", "something else"}};
  for (const auto& [fields, expected] : cases) {
    auto output = run(item_of(fields), kTwoVectors);
    ASSERT_FALSE(output.ok()) << fields;
    EXPECT_EQ(output.error().kind, ErrorKind::kBadRequest);
    EXPECT_THAT(output.error().message, HasSubstr(expected)) << fields;
  }
}

TEST(PassthroughExtractor, NamesBadParameters) {
  FakeModels models;
  for (const char* parameters :
       {R"({"vector_fields": [{"field": "a", "name": "b"}]})", R"({"vector_fields": [{"field": "", "name": "b", "dimensions": 2}]})",
        R"({"vector_fields": [{"field": "a", "name": "b/c", "dimensions": 2}]})",
        R"({"vector_fields": [{"field": "a", "name": "b", "dimensions": 0}]})",
        R"({"vector_fields": [{"field": "a", "name": "b", "dimensions": 65537}]})",
        R"({"vector_fields": [{"field": "a", "name": "b", "dimensions": 2, "distance": "hamming"}]})",
        R"({"vector_fields": [{"field": "a", "name": "b", "dimensions": 2}, {"field": "c", "name": "b", "dimensions": 2}]})",
        R"({"vector_fields": {}})", R"({"vector_fields": [5]})", R"({"unknown": 1})"}) {
    auto bound = passthrough_extractor().bind(config_of(parameters), models);
    ASSERT_FALSE(bound.ok()) << parameters;
    EXPECT_EQ(bound.error().kind, ErrorKind::kValidation) << parameters;
  }
  EXPECT_EQ(passthrough_extractor().bind(config_of(R"({"row_format": "csv"})"), models).error().kind, ErrorKind::kNotImplemented);
}

TEST(PassthroughExtractor, HasAtMostAHundredVectors) {
  FakeModels models;
  auto bind = [&](int count) {
    json::array fields;
    for (int i = 0; i < count; ++i) fields.push_back(json::object{{"field", "a"}, {"name", fmt::format("v{}", i)}, {"dimensions", 2}});
    return passthrough_extractor().bind(config_of(json::serialize(json::object{{"vector_fields", fields}}).c_str()), models);
  };
  EXPECT_TRUE(bind(100).ok());
  EXPECT_EQ(bind(101).error().kind, ErrorKind::kValidation);
}

TEST(FindExtractor, ByAnyFormOfItsName) {
  for (auto [name, version] : {std::pair{"text_extractor", ""},
                               {"text_extractor_v1", ""},
                               {"text_extractor@v1", ""},
                               {"text_extractor", "1.0.0"},
                               {"text_extractor", "1"}}) {
    auto found = find_extractor(name, version);
    ASSERT_TRUE(found.ok()) << name;
    EXPECT_EQ((*found)->name(), "text_extractor");
  }
  auto unknown = find_extractor("image_extractor", "v1");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().kind, ErrorKind::kBadRequest);
  EXPECT_THAT(unknown.error().message, HasSubstr("passthrough_extractor@v1, text_extractor@v1"));
  EXPECT_FALSE(find_extractor("text_extractor", "v2").ok());
  EXPECT_EQ(list_extractors().size(), 2u);
}

TEST(PassthroughFields, CopiesRenamesAndDefaults) {
  const json::object source = json::parse(R"({"a": 1, "metadata": {"x": {"y": 2}}, "z.w": 3})").get_object();
  ExtractorConfig config;
  EXPECT_TRUE(passthrough_fields(config, source).empty());
  config.field_passthrough = {{"a", "renamed"}, {"metadata.x.y", ""}, {"absent", "", "fallback"},
                              {"gone", ""},     {"payload.a", "b"},   {"z.w", "flat"}};
  EXPECT_EQ(passthrough_fields(config, source),
            json::parse(R"({"renamed": 1, "metadata": {"x": {"y": 2}}, "absent": "fallback", "b": 1, "flat": 3})"));
  config.include_all_source_fields = true;
  config.field_passthrough = {{"a", "metadata.x.new"}, {"a", "z.w.deep"}, {"a", "a.inner"}};
  EXPECT_EQ(passthrough_fields(config, source),
            json::parse(R"({"a": 1, "metadata": {"x": {"y": 2, "new": 1}}, "z.w": 3, "z": {"w": {"deep": 1}}, "a.inner": 1})"));
}

TEST(PassthroughFields, MetadataMayStayBehind) {
  ExtractorConfig config = config_of(R"({"preserve_metadata": false})");
  config.include_all_source_fields = true;
  EXPECT_EQ(passthrough_fields(config, {{"a", 1}, {"metadata", json::object{{"k", 2}}}}), (json::object{{"a", 1}}));
}

TEST(CheckRequiredFields, NamesTheMissing) {
  ExtractorConfig config;
  config.field_passthrough = {{.source_path = "a", .required = true}, {.source_path = "b", .default_value = 1, .required = true}};
  EXPECT_TRUE(check_required_fields(config, {{"a", 1}}).ok());
  EXPECT_THAT(check_required_fields(config, {{"b", 1}}).error().message, HasSubstr("'a'"));
}

}  // namespace
}  // namespace quarry::extract
