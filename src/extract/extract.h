// Feature extractors: bytes in, documents with features out. Pure but for the model and the decoder, which the runtime hands in.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "model/collection.h"
#include "model/document.h"
#include "model/schema.h"

namespace quarry::extract {

// ---- models ---------------------------------------------------------------------------------------------------------

struct Embedding {
  std::vector<float> values;  // unit length where the model normalises
  uint32_t tokens = 0;
  uint32_t windows = 1;    // > 1: the text was longer than the model's window; the windows' vectors were averaged
  bool truncated = false;  // true when anything of the text did not reach the model
};

// Thread-safe. A text's vector is bit-identical alone, in any batch and at any thread count: one unpadded text per run.
class TextEmbedder {
 public:
  virtual ~TextEmbedder() = default;
  virtual const std::string& output_name() const = 0;  // "all_minilm_l6_v2_v1"
  virtual uint32_t dimension() const = 0;
  virtual uint32_t max_tokens() const = 0;
  virtual Result<Embedding> embed(std::string_view text) const = 0;
};

struct ModelInfo {
  std::string name, output_name, precision, status;  // status: "ready", or why not
  uint32_t dimension = 0;
};

// Model folders under one directory (model.json, model files, tokenizer files). Thread-safe; models load on first use and stay.
class ModelRegistry {
 public:
  struct Options {
    std::filesystem::path directory;
    std::string precision = "int8";  // or "fp32"
    size_t sessions = 2;             // runs at the same time
  };
  static Result<std::unique_ptr<ModelRegistry>> open(Options options);
  virtual ~ModelRegistry() = default;
  // By output name or folder name; kInferenceUnavailable (details.retryable = false) saying which models there are.
  virtual Result<std::shared_ptr<const TextEmbedder>> text_embedder(std::string_view name) = 0;
  virtual std::vector<ModelInfo> list() const = 0;
};

// Remembers the most recently used texts' vectors, up to `max_bytes` in all; for queries, which repeat. Thread-safe.
std::shared_ptr<const TextEmbedder> make_caching_embedder(std::shared_ptr<const TextEmbedder> inner, size_t max_bytes);

inline constexpr std::string_view kDefaultTextOutput = "all_minilm_l6_v2_v1";

// ---- decoding -------------------------------------------------------------------------------------------------------

struct PdfPage {
  uint32_t number = 0;  // from 1
  std::string text;
};
struct PdfText {
  std::vector<PdfPage> pages;
  json::object info;  // title, author, ...
  uint32_t page_count = 0;
};

// Runs quarry-decode processes: fed over pipes, limited in time and memory, killed when over. A crash costs one object. Thread-safe.
class Decoder {
 public:
  struct Options {
    std::filesystem::path program;  // quarry-decode
    size_t processes = 2;
    int64_t timeout_ms = 60'000;
    uint64_t memory_bytes = 1ull << 30;
  };
  static std::unique_ptr<Decoder> make(Options options);
  virtual ~Decoder() = default;
  virtual Result<PdfText> pdf_text(std::string_view bytes) = 0;  // kExtraction: encrypted, damaged, over a limit
};

// By content (magic numbers, UTF-8 validity), the name only to tell text kinds apart: "application/pdf", "text/markdown", "image/png", ...
std::string detect_mime_type(std::string_view bytes, std::string_view filename);
FieldType field_type_of_mime(std::string_view mime_type);

// ---- extractors -----------------------------------------------------------------------------------------------------

struct Blob {
  std::string property;
  FieldType type = FieldType::kText;
  std::string mime_type;
  std::string filename;
  std::string url;   // where it can be read again; may be empty
  std::string data;  // bytes; UTF-8 for text
};

// One object of a bucket or one document of a source collection.
struct SourceItem {
  std::string source_id;
  json::object fields;               // plain values by property (an object's non-media blobs and metadata, or a document's payload)
  std::vector<Blob> blobs;           // text and media
  std::vector<DenseVector> vectors;  // of a source document
};

struct ExtractedDocument {
  uint64_t position = 0;  // unique within the source; document ids derive from it
  json::object fields;
  std::vector<DenseVector> vectors;
};

struct ExtractOutput {
  std::vector<ExtractedDocument> documents;
  json::object diagnostics;  // pages_dropped, ... ; may be empty
};

struct FeatureOutput {
  std::string name;  // "all_minilm_l6_v2_v1"
  std::string feature_uri;
  uint32_t dimension = 0;
  std::string metric = "cosine";
};

struct Runtime {
  ModelRegistry* models = nullptr;
  Decoder* decoder = nullptr;
  Executor* executor = nullptr;  // embeds one source's chunks on several threads; null: on the caller's
};

// An extractor with its parameters checked: what one collection runs. Immutable, thread-safe.
class BoundExtractor {
 public:
  virtual ~BoundExtractor() = default;
  virtual const std::vector<FeatureOutput>& outputs() const = 0;
  virtual ObjectSchema output_fields() const = 0;  // what it adds to a document
  // Field passthrough is the caller's. Errors: kExtraction (bad file), kInferenceUnavailable, kBadRequest (no usable input).
  virtual Result<ExtractOutput> extract(const SourceItem& item, const Runtime& runtime) const = 0;
};

// One per extractor of the catalogue; its schema drives validation, listing and documentation.
class Extractor {
 public:
  virtual ~Extractor() = default;
  virtual std::string_view name() const = 0;
  virtual std::string_view version() const = 0;
  virtual std::string_view description() const = 0;
  virtual std::vector<std::string> input_types() const = 0;  // "text", "pdf", ...
  virtual const json::object& parameter_schema() const = 0;  // JSON schema with types, bounds, defaults
  // 422 naming each bad parameter; kNotImplemented for a parameter value that exists in the contract but not here yet.
  virtual Result<std::shared_ptr<const BoundExtractor>> bind(const ExtractorConfig& config, ModelRegistry& models) const = 0;
};

// 400 listing the known ones.
Result<const Extractor*> find_extractor(std::string_view name, std::string_view version);
std::vector<const Extractor*> list_extractors();

// Applies field_passthrough and include_all_source_fields of `config` to one source's fields.
json::object passthrough_fields(const ExtractorConfig& config, const json::object& source_fields);
// kBadRequest naming a field that field_passthrough requires, gives no default for and the source lacks.
Status check_required_fields(const ExtractorConfig& config, const json::object& source_fields);

}  // namespace quarry::extract
