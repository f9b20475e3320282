// Models and decoders for tests: vectors that tell what they were made of, and no files.
#pragma once

#include <atomic>

#include "base/hash.h"
#include "extract/extract.h"

namespace quarry::extract {

class FakeEmbedder : public TextEmbedder {
 public:
  const std::string& output_name() const override { return name_; }
  uint32_t dimension() const override { return 4; }
  uint32_t max_tokens() const override { return 16; }
  Result<Embedding> embed(std::string_view text) const override {
    if (text.find("FAIL") != std::string_view::npos) return Error{ErrorKind::kInferenceUnavailable, "told to fail"};
    const uint64_t hash = hash64(text);
    Embedding out{.values = {}, .tokens = static_cast<uint32_t>(text.size()), .windows = 1, .truncated = text.size() > 100};
    for (int i = 0; i < 4; ++i) out.values.push_back(static_cast<float>(hash >> 16 * i & 0xFFFF));
    return out;
  }

 private:
  std::string name_ = "fake_v1";
};

class FakeModels : public ModelRegistry {
 public:
  Result<std::shared_ptr<const TextEmbedder>> text_embedder(std::string_view name) override {
    if (name == "fake_v1" || name == kDefaultTextOutput) return std::shared_ptr<const TextEmbedder>(embedder_);
    return Error{ErrorKind::kInferenceUnavailable, "no model '" + std::string(name) + "'; there is fake_v1", {{"retryable", false}}};
  }
  std::vector<ModelInfo> list() const override {
    return {{"fake", "fake_v1", "fp32", "ready", 4},
            {"default", std::string(kDefaultTextOutput), "fp32", "ready", 4},
            {"broken", "broken_v1", "fp32", "file is missing", 0}};
  }

 private:
  std::shared_ptr<const FakeEmbedder> embedder_ = std::make_shared<FakeEmbedder>();
};

class FakeDecoder : public Decoder {
 public:
  Result<PdfText> pdf_text(std::string_view bytes) override {
    if (bytes == "broken") return Error{ErrorKind::kExtraction, "the PDF is damaged"};
    PdfText out;
    for (size_t begin = 0; begin <= bytes.size();) {
      const size_t end = std::min(bytes.find('|', begin), bytes.size());
      out.pages.push_back({static_cast<uint32_t>(out.pages.size() + 1), std::string(bytes.substr(begin, end - begin))});
      begin = end + 1;
    }
    out.page_count = static_cast<uint32_t>(out.pages.size());
    out.info = {{"title", "A title"}};
    return out;
  }
};

}  // namespace quarry::extract
