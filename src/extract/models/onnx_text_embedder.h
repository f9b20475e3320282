// A sentence encoder run by ONNX Runtime.
#pragma once

#include <memory>
#include <semaphore>
#include <span>

#include "extract/extract.h"
#include "extract/models/model_folder.h"
#include "extract/models/wordpiece_tokenizer.h"

namespace Ort {
struct Env;
}

namespace quarry::extract {

// One thread a run, so that the order of additions, and with it every bit, is the same whatever else runs; several callers run one session
// at the same time (weights are there once), at most `sessions` of them.
class OnnxTextEmbedder : public TextEmbedder {
 public:
  static constexpr size_t kMaxWindows = 64;

  // kInferenceUnavailable (not retryable) when the graph or the vocabulary cannot be loaded or do not match the description.
  static Result<std::shared_ptr<const TextEmbedder>> load(std::shared_ptr<Ort::Env> env, ModelFolder folder, size_t sessions);
  ~OnnxTextEmbedder() override;

  const std::string& output_name() const override { return folder_.output_name; }
  uint32_t dimension() const override { return folder_.dimension; }
  uint32_t max_tokens() const override { return folder_.max_tokens; }
  // Text longer than the window is read in up to kMaxWindows windows that end at words where they can; the vectors' mean, weighted by
  // tokens, is normalised again. What lies beyond is left out and `truncated` says so.
  Result<Embedding> embed(std::string_view text) const override;

 private:
  struct Session;
  OnnxTextEmbedder(ModelFolder folder, size_t sessions);
  Status open(std::shared_ptr<Ort::Env> env);
  Status check_outputs() const;
  size_t capacity() const { return folder_.max_tokens - 2; }
  // The unit vector of one window; `tokens` lacks [CLS] and [SEP].
  Result<std::vector<float>> run(std::span<const int64_t> tokens) const;

  const ModelFolder folder_;
  std::unique_ptr<const WordPieceTokenizer> tokenizer_;
  std::unique_ptr<Session> session_;
  mutable std::counting_semaphore<> permits_;
};

// Windows of at most `capacity` ids that cover [0, size): a window ends before a word where one begins among its last ids.
// `continues(i)`: id i does not begin a word.
std::vector<std::pair<size_t, size_t>> split_windows(size_t size, size_t capacity, const std::function<bool(size_t)>& continues);

}  // namespace quarry::extract
