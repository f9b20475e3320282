#include "extract/extractors/text_extractor.h"

#include <fmt/format.h>

#include <atomic>

#include "extract/extractors/parameters.h"
#include "extract/extractors/text_input.h"
#include "model/feature_uri.h"

namespace quarry::extract {
namespace {

constexpr std::string_view kName = "text_extractor", kVersion = "v1";

constexpr std::pair<std::string_view, SplitBy> kSplits[] = {
    {"none", SplitBy::kNone},           {"characters", SplitBy::kCharacters}, {"words", SplitBy::kWords},
    {"sentences", SplitBy::kSentences}, {"paragraphs", SplitBy::kParagraphs}, {"pages", SplitBy::kPages},
    {"markdown", SplitBy::kMarkdown}};

json::object make_schema() {
  json::array splits;
  for (const auto& [name, split] : kSplits) splits.emplace_back(json::string(name));
  splits.emplace_back("time_segments");
  return {
      {"type", "object"},
      {"additionalProperties", false},
      {"properties",
       {{"extractor_type", {{"type", "string"}, {"enum", {kName}}, {"default", kName}}},
        {"source_type",
         {{"type", "string"}, {"default", "text"}, {"description", "What the input is; only 'text' (which includes PDF) is read here."}}},
        {"split_by",
         {{"type", "string"},
          {"enum", std::move(splits)},
          {"default", "none"},
          {"description", "What a text is cut into; each chunk becomes a document."}}},
        {"chunk_size",
         {{"type", "integer"},
          {"minimum", 1},
          {"maximum", 10000},
          {"default", 1000},
          {"description",
           "Units a chunk holds: characters, words, sentences, ...; with 'markdown' the most characters of a section's piece."}}},
        {"chunk_overlap",
         {{"type", "integer"},
          {"minimum", 0},
          {"maximum", 5000},
          {"default", 0},
          {"description", "Units that neighbouring chunks share; less than chunk_size."}}},
        {"segment_length_seconds",
         {{"type", "integer"},
          {"minimum", 30},
          {"maximum", 600},
          {"default", 120},
          {"description", "Length of time segments; for transcripts."}}},
        {"language",
         {{"type", "string"},
          {"default", "en"},
          {"minLength", 1},
          {"maxLength", 64},
          {"description", "BCP 47 language tag; tells where sentences and words end."}}},
        {"extract_captions", {{"type", "boolean"}, {"default", true}, {"description", "Captions of videos; not used for texts."}}},
        {"response_shape", {{"description", "Structure that a language model fills; none is installed."}}},
        {"llm_provider", {{"type", "string"}, {"description", "Provider of that language model."}}},
        {"llm_model", {{"type", "string"}, {"description", "That language model."}}},
        {"llm_api_key", {{"type", "string"}, {"description", "Its key."}}},
        {"embedding_model",
         {{"type", "string"},
          {"default", kDefaultTextOutput},
          {"minLength", 1},
          {"description", "Output name of an installed text model."}}},
        {"embedding_task", {{"type", "string"}, {"description", "What the vectors are for; models without tasks ignore it."}}}}}};
}

struct TextParameters {
  ChunkOptions chunking;
  std::string model;
  std::string property;  // empty: what there is
};

class BoundTextExtractor : public BoundExtractor {
 public:
  BoundTextExtractor(TextParameters parameters, FeatureOutput output) : parameters_(std::move(parameters)), outputs_{std::move(output)} {}

  const std::vector<FeatureOutput>& outputs() const override { return outputs_; }

  ObjectSchema output_fields() const override {
    ObjectSchema schema;
    for (auto [name, type] : {std::pair{"text", FieldType::kText},
                              {"chunk_index", FieldType::kInteger},
                              {"total_chunks", FieldType::kInteger},
                              {"start_offset", FieldType::kInteger},
                              {"end_offset", FieldType::kInteger},
                              {"page_number", FieldType::kInteger},
                              {"page_end", FieldType::kInteger},
                              {"token_count", FieldType::kInteger},
                              {"truncated", FieldType::kBoolean},
                              {"document_title", FieldType::kString},
                              {"document_author", FieldType::kString}})
      schema.properties[name].type = type;
    return schema;
  }

  Result<ExtractOutput> extract(const SourceItem& item, const Runtime& runtime) const override {
    if (runtime.models == nullptr) return Error{ErrorKind::kInferenceUnavailable, "no models are configured", {{"retryable", false}}};
    QUARRY_ASSIGN_OR_RETURN(TextInput input, read_text_input(item, parameters_.property, runtime.decoder));
    QUARRY_ASSIGN_OR_RETURN(std::vector<Chunk> chunks, chunks_of(input));
    QUARRY_ASSIGN_OR_RETURN(auto embedder, runtime.models->text_embedder(parameters_.model));
    ExtractOutput out;
    out.documents.resize(chunks.size());
    QUARRY_RETURN_IF_ERROR(fill(input, chunks, *embedder, runtime.executor, out.documents));
    out.diagnostics = std::move(input.diagnostics);
    return out;
  }

 private:
  // Without white space at their ends; what is nothing else is left out.
  Result<std::vector<Chunk>> chunks_of(const TextInput& input) const {
    QUARRY_ASSIGN_OR_RETURN(std::vector<Chunk> chunks, chunk_text(input.source, parameters_.chunking));
    for (Chunk& chunk : chunks) chunk = trim_chunk(input.source.text, chunk);
    std::erase_if(chunks, [](const Chunk& chunk) { return chunk.begin == chunk.end; });
    return chunks;
  }

  Status fill(const TextInput& input, const std::vector<Chunk>& chunks, const TextEmbedder& embedder, Executor* executor,
              std::vector<ExtractedDocument>& documents) const {
    std::mutex mutex;
    std::optional<Error> failure;
    std::atomic<bool> failed{false};
    parallel_for(executor, chunks.size(), [&](size_t i) {
      if (failed.load(std::memory_order_relaxed)) return;
      Status filled = fill_one(input, chunks, i, embedder, documents[i]);
      if (filled.ok()) return;
      std::lock_guard lock(mutex);
      failed = true;
      if (!failure) failure = std::move(filled).error();
    });
    if (failure) return std::move(*failure);
    return Ok{};
  }

  Status fill_one(const TextInput& input, const std::vector<Chunk>& chunks, size_t i, const TextEmbedder& embedder,
                  ExtractedDocument& out) const {
    const Chunk& chunk = chunks[i];
    std::string_view text = std::string_view(input.source.text).substr(chunk.begin, chunk.end - chunk.begin);
    QUARRY_ASSIGN_OR_RETURN(Embedding embedding, embedder.embed(text));
    out.position = i;
    out.fields = {{"text", text},
                  {"chunk_index", i},
                  {"total_chunks", chunks.size()},
                  {"start_offset", chunk.start_offset},
                  {"end_offset", chunk.end_offset},
                  {"token_count", embedding.tokens},
                  {"truncated", embedding.truncated}};
    if (const uint32_t page = input.source.page_at(chunk.begin); page > 0) {
      out.fields["page_number"] = page;
      out.fields["page_end"] = input.source.page_at(chunk.end - 1);
    }
    if (!input.title.empty()) out.fields["document_title"] = input.title;
    if (!input.author.empty()) out.fields["document_author"] = input.author;
    out.vectors.push_back({outputs_.front().name, std::move(embedding.values)});
    return Ok{};
  }

  const TextParameters parameters_;
  const std::vector<FeatureOutput> outputs_;
};

Error not_built(std::string_view parameter, std::string_view what) {
  return {ErrorKind::kNotImplemented, fmt::format("parameters.{}: {}", parameter, what), {{"parameter", parameter}, {"retryable", false}}};
}

// Values that the contract knows and this extractor does not serve yet.
Status refuse_unbuilt(const json::object& parameters) {
  if (parameters.contains("response_shape")) return not_built("response_shape", "structured extraction by a language model is not built");
  for (std::string_view name : {"llm_provider", "llm_model", "llm_api_key"})
    if (parameters.contains(name)) return not_built(name, "the text extractor calls no language model yet");
  if (parameters.at("split_by") == "time_segments")
    return not_built("split_by", "time_segments needs a transcript with times; texts have none");
  const std::string_view source = parameters.at("source_type").get_string();
  if (source != "text" && source != "pdf" && source != "document")
    return not_built("source_type", fmt::format("'{}' is not read here; 'text' is, PDFs included", source));
  return Ok{};
}

std::string property_of(const ExtractorConfig& config) {
  if (auto text = config.input_mappings.find("text"); text != config.input_mappings.end()) return text->second;
  return config.input_mappings.empty() ? std::string() : config.input_mappings.begin()->second;
}

// The installed model's dimension, without loading it; an error that lists what is installed.
Result<FeatureOutput> output_of(const std::string& model, ModelRegistry& models) {
  for (const ModelInfo& info : models.list())
    if (info.status == "ready" && (info.output_name == model || info.name == model))
      return FeatureOutput{info.output_name, FeatureUri{std::string(kName), std::string(kVersion), info.output_name}.to_string(),
                           info.dimension, "cosine"};
  auto missing = models.text_embedder(model);
  if (!missing.ok()) return std::move(missing).error();
  return FeatureOutput{(*missing)->output_name(),
                       FeatureUri{std::string(kName), std::string(kVersion), (*missing)->output_name()}.to_string(),
                       (*missing)->dimension(), "cosine"};
}

class TextExtractor : public Extractor {
 public:
  std::string_view name() const override { return kName; }
  std::string_view version() const override { return kVersion; }
  std::string_view description() const override { return "Cuts text and PDFs into chunks and gives each a sentence embedding."; }
  std::vector<std::string> input_types() const override { return {"text", "string", "pdf"}; }
  const json::object& parameter_schema() const override { return schema_; }

  Result<std::shared_ptr<const BoundExtractor>> bind(const ExtractorConfig& config, ModelRegistry& models) const override {
    QUARRY_ASSIGN_OR_RETURN(json::object parameters, check_parameters(schema_, config.parameters));
    QUARRY_RETURN_IF_ERROR(refuse_unbuilt(parameters));
    TextParameters bound;
    bound.property = property_of(config);
    bound.chunking.size = parameters.at("chunk_size").to_number<size_t>();
    bound.chunking.overlap = parameters.at("chunk_overlap").to_number<size_t>();
    bound.chunking.language = parameters.at("language").get_string();
    for (const auto& [name, split] : kSplits)
      if (parameters.at("split_by").get_string() == name) bound.chunking.split_by = split;
    if (bound.chunking.split_by == SplitBy::kNone) bound.chunking.overlap = 0;
    if (bound.chunking.split_by == SplitBy::kNone) bound.chunking.size = 1;
    if (bound.chunking.overlap >= bound.chunking.size)
      return bad_parameter("chunk_overlap", fmt::format("must be less than chunk_size, which is {}", bound.chunking.size));
    QUARRY_ASSIGN_OR_RETURN(FeatureOutput output, output_of(std::string(parameters.at("embedding_model").get_string()), models));
    bound.model = output.name;
    return std::shared_ptr<const BoundExtractor>(std::make_shared<BoundTextExtractor>(std::move(bound), std::move(output)));
  }

 private:
  const json::object schema_ = make_schema();
};

}  // namespace

const Extractor& text_extractor() {
  static const TextExtractor extractor;
  return extractor;
}

}  // namespace quarry::extract
