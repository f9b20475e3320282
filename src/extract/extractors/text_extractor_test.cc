#include "extract/extractors/text_extractor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "extract/extractors/fake_models.h"
#include "extract/extractors/text_input.h"
#include "extract/media/test_pdf.h"
#include "extract/test_paths.h"

namespace quarry::extract {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ExtractorConfig config_of(std::string_view parameters = "{}", std::map<std::string, std::string> mappings = {}) {
  return {
      .name = "text_extractor", .version = "v1", .parameters = json::parse(parameters).get_object(), .input_mappings = std::move(mappings)};
}

class TextExtractorTest : public testing::Test {
 protected:
  Result<ExtractOutput> run(const SourceItem& item, std::string_view parameters = "{}", std::map<std::string, std::string> mappings = {}) {
    auto bound = text_extractor().bind(config_of(parameters, std::move(mappings)), models_);
    if (!bound.ok()) return std::move(bound).error();
    return (*bound)->extract(item, {.models = &models_, .decoder = &decoder_, .executor = executor_});
  }
  static std::vector<std::string> texts(const Result<ExtractOutput>& output) {
    std::vector<std::string> out;
    if (!output.ok()) return {output.error().message};
    for (const ExtractedDocument& document : output->documents) out.emplace_back(document.fields.at("text").get_string());
    return out;
  }
  Error bind_error(std::string_view parameters) {
    auto bound = text_extractor().bind(config_of(parameters), models_);
    return bound.ok() ? Error{ErrorKind::kInternal, "bound"} : bound.error();
  }
  FakeModels models_;
  FakeDecoder decoder_;
  Executor* executor_ = nullptr;
};

SourceItem text_item(std::string text) {
  return {.source_id = "obj_1",
          .fields = {},
          .blobs = {{.property = "content", .type = FieldType::kText, .mime_type = "text/plain", .data = std::move(text)}}};
}

SourceItem pdf_item(std::string bytes) {
  return {
      .source_id = "obj_2",
      .fields = {},
      .blobs = {
          {.property = "file", .type = FieldType::kPdf, .mime_type = "application/pdf", .filename = "a.pdf", .data = std::move(bytes)}}};
}

TEST_F(TextExtractorTest, MakesOneDocumentOfAWholeText) {
  auto output = run(text_item("  Héllo world.\n"));
  ASSERT_TRUE(output.ok()) << output.error().message;
  ASSERT_EQ(output->documents.size(), 1u);
  const ExtractedDocument& document = output->documents[0];
  EXPECT_EQ(document.fields, (json::object{{"text", "Héllo world."},
                                           {"chunk_index", 0},
                                           {"total_chunks", 1},
                                           {"start_offset", 2},
                                           {"end_offset", 14},
                                           {"token_count", 13},
                                           {"truncated", false}}));
  ASSERT_EQ(document.vectors.size(), 1u);
  EXPECT_EQ(document.vectors[0].name, kDefaultTextOutput);
  EXPECT_EQ(document.vectors[0].values, FakeEmbedder().embed("Héllo world.")->values);
}

TEST_F(TextExtractorTest, CutsAndNumbersChunks) {
  auto output = run(text_item("One. Two. Three."), R"({"split_by": "sentences", "chunk_size": 2, "chunk_overlap": 1})");
  EXPECT_THAT(texts(output), ElementsAre("One. Two.", "Two. Three."));
  EXPECT_EQ(output->documents[1].position, 1u);
  EXPECT_EQ(output->documents[1].fields.at("start_offset"), 5);
}

TEST_F(TextExtractorTest, BlankChunksAreLeftOut) {
  auto output = run(text_item("a\f \n\fb"), R"({"split_by": "pages", "chunk_size": 1})");
  EXPECT_THAT(texts(output), ElementsAre("a", "b"));
  EXPECT_EQ(output->documents[1].fields.at("page_number"), 3);
  EXPECT_EQ(output->documents[1].fields.at("chunk_index"), 1);
  EXPECT_EQ(output->documents[1].fields.at("total_chunks"), 2);
}

TEST_F(TextExtractorTest, KeepsThePagesOfAPdf) {
  auto output = run(pdf_item("First. Second|Third goes on. Fourth."), R"({"split_by": "sentences", "chunk_size": 1})");
  EXPECT_THAT(texts(output), ElementsAre("First.", "Second\fThird goes on.", "Fourth."));
  auto pages = [&](size_t i) {
    return std::pair(output->documents[i].fields.at("page_number").to_number<int>(),
                     output->documents[i].fields.at("page_end").to_number<int>());
  };
  EXPECT_EQ(pages(0), std::pair(1, 1));
  EXPECT_EQ(pages(1), std::pair(1, 2));
  EXPECT_EQ(pages(2), std::pair(2, 2));
  EXPECT_EQ(output->documents[0].fields.at("document_title"), "A title");
  EXPECT_EQ(output->diagnostics.at("page_count"), 2);
}

TEST_F(TextExtractorTest, ReadsARealPdf) {
  auto real = Decoder::make({.program = test_decode_program(), .processes = 1});
  auto bound = text_extractor().bind(config_of(R"({"split_by": "pages", "chunk_size": 1})"), models_);
  ASSERT_TRUE(bound.ok());
  auto output = (*bound)->extract(pdf_item(TestPdf({"Page one", "", "Page three"}).bytes()), {.models = &models_, .decoder = real.get()});
  EXPECT_THAT(texts(output), ElementsAre("Page one", "Page three"));
  EXPECT_EQ(output->documents[1].fields.at("page_number"), 3);
  EXPECT_EQ(output->diagnostics.at("pages_without_text"), 1);
  auto scanned = (*bound)->extract(pdf_item(TestPdf({"", ""}).bytes()), {.models = &models_, .decoder = real.get()});
  ASSERT_FALSE(scanned.ok());
  EXPECT_EQ(scanned.error().kind, ErrorKind::kExtraction);
  EXPECT_THAT(scanned.error().message, HasSubstr("none of its 2 pages holds text"));
}

TEST_F(TextExtractorTest, StripsMarkup) {
  SourceItem item = text_item("<html><title>T</title><p>One</p><p>Two</p>");
  item.blobs[0].mime_type = "text/html";
  auto output = run(item);
  EXPECT_THAT(texts(output), ElementsAre("One\n\nTwo"));
  EXPECT_EQ(output->documents[0].fields.at("document_title"), "T");
}

TEST_F(TextExtractorTest, TakesTheMappedPropertyOrTheLikeliest) {
  SourceItem item{
      .source_id = "obj_3",
      .fields =
          json::parse(
              R"({"sku": "S-1", "description": "The description", "deep": {"note": "A note"}, "tags": ["x", "y"], "size": 5, "flags": {"a": true}})")
              .get_object()};
  EXPECT_THAT(texts(run(item)), ElementsAre("The description"));
  EXPECT_THAT(texts(run(item, "{}", {{"text", "deep.note"}})), ElementsAre("A note"));
  EXPECT_THAT(texts(run(item, "{}", {{"text", "payload.description"}})), ElementsAre("The description"));
  EXPECT_THAT(texts(run(item, "{}", {{"text", "tags"}})), ElementsAre("x\n\ny"));
  EXPECT_THAT(texts(run(item, "{}", {{"anything", "sku"}})), ElementsAre("S-1"));
  for (auto [property, expected] : {std::pair{"absent", "no property 'absent'"}, {"flags", "is not text"}}) {
    auto output = run(item, "{}", {{"text", property}});
    ASSERT_FALSE(output.ok());
    EXPECT_EQ(output.error().kind, ErrorKind::kBadRequest);
    EXPECT_THAT(output.error().message, HasSubstr(expected));
  }
  item.blobs.push_back({.property = "doc", .type = FieldType::kText, .data = "From the blob"});
  EXPECT_THAT(texts(run(item)), ElementsAre("From the blob"));
}

TEST_F(TextExtractorTest, SaysWhatCannotBeRead) {
  auto kind_and_message = [&](const SourceItem& item) {
    auto output = run(item);
    return output.ok() ? std::pair(ErrorKind::kInternal, std::string("worked")) : std::pair(output.error().kind, output.error().message);
  };
  SourceItem image{
      .source_id = "obj_4",
      .fields = {},
      .blobs = {{.property = "photo", .type = FieldType::kImage, .mime_type = "image/png", .filename = "p.png", .data = "\x89PNG"}}};
  EXPECT_EQ(kind_and_message(image).first, ErrorKind::kExtraction);
  EXPECT_THAT(kind_and_message(image).second, HasSubstr("image/png"));
  EXPECT_THAT(kind_and_message(text_item("")).second, HasSubstr("empty"));
  EXPECT_THAT(kind_and_message(text_item(" \n\f ")).second, HasSubstr("empty"));
  EXPECT_THAT(kind_and_message(text_item(std::string("\x89PNG\r\n\x1a\n\0\1\2", 11))).second, HasSubstr("image/png"));
  EXPECT_THAT(kind_and_message(pdf_item("broken")).second, HasSubstr("blob 'file' (a.pdf): the PDF is damaged"));
  EXPECT_EQ(kind_and_message({.source_id = "obj_5", .fields = {{"n", 1}}}).first, ErrorKind::kBadRequest);
}

TEST_F(TextExtractorTest, AFailingModelFailsTheItem) {
  Executor pool("test", 3, 100);
  for (Executor* executor : {static_cast<Executor*>(nullptr), &pool}) {
    executor_ = executor;
    auto output = run(text_item("one FAIL two FAIL three"), R"({"split_by": "words", "chunk_size": 1})");
    ASSERT_FALSE(output.ok());
    EXPECT_EQ(output.error().kind, ErrorKind::kInferenceUnavailable);
  }
}

TEST_F(TextExtractorTest, ThreadsChangeNothing) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "word" + std::to_string(i) + " ";
  auto alone = run(text_item(text), R"({"split_by": "words", "chunk_size": 3, "chunk_overlap": 1})");
  Executor pool("test", 4, 1000);
  executor_ = &pool;
  auto together = run(text_item(text), R"({"split_by": "words", "chunk_size": 3, "chunk_overlap": 1})");
  ASSERT_TRUE(alone.ok() && together.ok());
  ASSERT_EQ(alone->documents.size(), 250u);
  for (size_t i = 0; i < alone->documents.size(); ++i) {
    EXPECT_EQ(alone->documents[i].fields, together->documents[i].fields);
    EXPECT_EQ(alone->documents[i].vectors[0].values, together->documents[i].vectors[0].values);
  }
}

TEST_F(TextExtractorTest, NamesEachBadParameter) {
  Error error = bind_error(
      R"({"split_by": "lines", "chunk_size": 0, "chunk_overlap": 5001, "chunksize": 3, "language": 5, "extract_captions": "yes"})");
  EXPECT_EQ(error.kind, ErrorKind::kValidation);
  std::string all = json::serialize(error.details.at("validation_errors"));
  for (const char* expected : {"one of", "at least 1", "at most 5000", "nearest is 'chunk_size'", "type string", "type boolean"})
    EXPECT_THAT(all, HasSubstr(expected));
  EXPECT_EQ(error.details.at("validation_errors").get_array().size(), 6u);
  error = bind_error(R"({"language": ")" + std::string(65, 'x') + R"("})");
  EXPECT_EQ(error.kind, ErrorKind::kValidation);
  EXPECT_THAT(error.message, HasSubstr("language: must have at most 64"));
  error = bind_error(R"({"split_by": "words", "chunk_size": 5, "chunk_overlap": 5})");
  EXPECT_EQ(error.kind, ErrorKind::kValidation);
  EXPECT_THAT(error.message, HasSubstr("less than chunk_size"));
}

TEST_F(TextExtractorTest, SaysWhatIsNotBuilt) {
  for (const char* parameters :
       {R"({"split_by": "time_segments"})", R"({"response_shape": "entities"})", R"({"response_shape": {"a": 1}})",
        R"({"llm_provider": "openai"})", R"({"llm_model": "x"})", R"({"llm_api_key": "secret"})", R"({"source_type": "video"})"})
    EXPECT_EQ(bind_error(parameters).kind, ErrorKind::kNotImplemented) << parameters;
  EXPECT_THAT(bind_error(R"({"llm_api_key": "secret"})").message, Not(HasSubstr("secret")));
}

TEST_F(TextExtractorTest, AModelThatIsNotInstalledIsAnsweredWithThoseThatAre) {
  Error error = bind_error(R"({"embedding_model": "multilingual_e5_large_instruct_v1"})");
  EXPECT_EQ(error.kind, ErrorKind::kInferenceUnavailable);
  EXPECT_THAT(error.message, HasSubstr("fake_v1"));
  EXPECT_EQ(bind_error(R"({"embedding_model": "broken_v1"})").kind, ErrorKind::kInferenceUnavailable);
}

TEST_F(TextExtractorTest, OutputsAreNamedAfterTheModel) {
  auto bound = text_extractor().bind(config_of(R"({"embedding_model": "fake_v1", "response_shape": null, "chunk_size": 10.0})"), models_);
  ASSERT_TRUE(bound.ok()) << bound.error().message;
  ASSERT_EQ((*bound)->outputs().size(), 1u);
  EXPECT_EQ((*bound)->outputs()[0].feature_uri, "mixpeek://text_extractor@v1/fake_v1");
  EXPECT_EQ((*bound)->outputs()[0].dimension, 4u);
  auto output = (*bound)->extract(text_item("x y"), {.models = &models_, .decoder = &decoder_});
  ASSERT_TRUE(output.ok());
  ObjectSchema schema = (*bound)->output_fields();
  for (const auto& field : output->documents[0].fields) EXPECT_TRUE(schema.properties.contains(std::string(field.key()))) << field.key();
}

TEST(DecodeText, KnowsTheCommonEncodings) {
  auto decode = [](std::string bytes) {
    std::string encoding;
    auto text = decode_text(std::move(bytes), "x", encoding);
    return text.ok() ? encoding + ":" + *text : std::string("refused");
  };
  EXPECT_EQ(decode("caf\xC3\xA9"), "utf-8:café");
  EXPECT_EQ(decode("\xEF\xBB\xBF"
                   "bom"),
            "utf-8:bom");
  EXPECT_EQ(decode("caf\xE9 \x80 \x93quoted\x94"), "windows-1252:café € “quoted”");
  EXPECT_EQ(decode(std::string("\xFF\xFE"
                               "A\0\x3D\xD8\0\xDE",
                               8)),
            "utf-16:A😀");
  EXPECT_EQ(decode(std::string("\xFE\xFF\0A\xD8\0\0B", 8)),
            "utf-16:A\xEF\xBF\xBD"
            "B");
  EXPECT_EQ(decode(std::string("\xFF\0\1", 3)), "refused");
}

}  // namespace
}  // namespace quarry::extract
