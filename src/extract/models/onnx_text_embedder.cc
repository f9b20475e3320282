#include "extract/models/onnx_text_embedder.h"

#include <fmt/format.h>
#include <malloc.h>
#include <onnxruntime_cxx_api.h>
#include <onnxruntime_session_options_config_keys.h>

#include <algorithm>
#include <cmath>

namespace quarry::extract {
namespace {

// How far a window's end may move back to meet the beginning of a word.
constexpr size_t kMaxBackUp = 32;

Error unavailable(std::string message) { return {ErrorKind::kInferenceUnavailable, std::move(message), {{"retryable", false}}}; }

Ort::SessionOptions session_options() {
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  options.SetInterOpNumThreads(1);
  options.SetExecutionMode(ORT_SEQUENTIAL);
  options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
  // Texts differ in length: an arena would keep the largest of every size it saw.
  options.DisableCpuMemArena();
  options.DisableMemPattern();
  options.AddConfigEntry(kOrtSessionOptionsUseDeviceAllocatorForInitializers, "1");
  return options;
}

void normalise(std::vector<float>& values) {
  double square = 0;
  for (float v : values) square += static_cast<double>(v) * v;
  const double scale = square > 0 ? 1.0 / std::sqrt(square) : 0.0;
  for (float& v : values) v = static_cast<float>(v * scale);
}

// The mean over the tokens' vectors, or the first token's.
std::vector<float> pool(const float* rows, size_t tokens, size_t dimension, bool cls) {
  if (cls) return {rows, rows + dimension};
  std::vector<double> sums(dimension, 0.0);
  for (size_t t = 0; t < tokens; ++t)
    for (size_t d = 0; d < dimension; ++d) sums[d] += rows[t * dimension + d];
  std::vector<float> out(dimension);
  for (size_t d = 0; d < dimension; ++d) out[d] = static_cast<float>(sums[d] / static_cast<double>(tokens));
  return out;
}

class Permit {
 public:
  explicit Permit(std::counting_semaphore<>& permits) : permits_(permits) { permits_.acquire(); }
  ~Permit() { permits_.release(); }
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;

 private:
  std::counting_semaphore<>& permits_;
};

}  // namespace

std::vector<std::pair<size_t, size_t>> split_windows(size_t size, size_t capacity, const std::function<bool(size_t)>& continues) {
  std::vector<std::pair<size_t, size_t>> windows;
  const size_t back_up = std::min(kMaxBackUp, capacity - 1);
  for (size_t begin = 0; begin < size;) {
    size_t end = std::min(begin + capacity, size);
    size_t at = end;
    while (at < size && end - at < back_up && continues(at)) --at;
    if (at < size && !continues(at)) end = at;
    windows.emplace_back(begin, end);
    begin = end;
  }
  return windows;
}

struct OnnxTextEmbedder::Session {
  Session(std::shared_ptr<Ort::Env> e, const ModelFolder& folder)
      : env(std::move(e)),
        session(*env, folder.model_file.c_str(), session_options()),
        memory(Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeCPU)) {
    for (const std::string& name : folder.inputs) inputs.push_back(name.c_str());
    output = folder.output.c_str();
  }

  std::vector<Ort::Value> run(std::vector<int64_t>& ids, const ModelFolder& folder) {
    const int64_t shape[2] = {1, static_cast<int64_t>(ids.size())};
    std::vector<int64_t> ones(ids.size(), 1), zeros(ids.size(), 0);
    std::vector<Ort::Value> tensors;
    for (const std::string& name : folder.inputs) {
      std::vector<int64_t>& data = name == "attention_mask" ? ones : name == "token_type_ids" ? zeros : ids;
      tensors.push_back(Ort::Value::CreateTensor<int64_t>(memory, data.data(), data.size(), shape, 2));
    }
    return session.Run(Ort::RunOptions{nullptr}, inputs.data(), tensors.data(), tensors.size(), &output, 1);
  }

  std::shared_ptr<Ort::Env> env;  // outlives the session
  Ort::Session session;           // Run may be called from several threads at once
  Ort::MemoryInfo memory;
  std::vector<const char*> inputs;  // point into the folder's strings
  const char* output = nullptr;
};

OnnxTextEmbedder::OnnxTextEmbedder(ModelFolder folder, size_t sessions)
    : folder_(std::move(folder)), permits_(static_cast<std::ptrdiff_t>(std::max<size_t>(sessions, 1))) {}

OnnxTextEmbedder::~OnnxTextEmbedder() = default;

Result<std::shared_ptr<const TextEmbedder>> OnnxTextEmbedder::load(std::shared_ptr<Ort::Env> env, ModelFolder folder, size_t sessions) {
  std::shared_ptr<OnnxTextEmbedder> made(new OnnxTextEmbedder(std::move(folder), sessions));
  QUARRY_RETURN_IF_ERROR(made->open(std::move(env)));
  return std::shared_ptr<const TextEmbedder>(std::move(made));
}

Status OnnxTextEmbedder::open(std::shared_ptr<Ort::Env> env) {
  auto tokenizer = WordPieceTokenizer::load(folder_.vocabulary_file);
  if (!tokenizer.ok()) return unavailable(tokenizer.error().message);
  tokenizer_ = std::move(tokenizer).value();
  try {
    session_ = std::make_unique<Session>(std::move(env), folder_);
  } catch (const std::exception& e) {
    return unavailable(fmt::format("{}: ONNX Runtime refuses the model: {}", folder_.model_file.string(), e.what()));
  }
  // Reading the model leaves freed pages behind, for a larger one as much as its weights.
  malloc_trim(0);
  // A vocabulary that does not belong to the graph, a wrong name or dimension show here rather than at the first document.
  auto probe = embed("probe");
  if (!probe.ok()) return std::move(probe).error();
  return Ok{};
}

Result<std::vector<float>> OnnxTextEmbedder::run(std::span<const int64_t> tokens) const {
  std::vector<int64_t> ids;
  ids.reserve(tokens.size() + 2);
  ids.push_back(tokenizer_->cls_id());
  ids.insert(ids.end(), tokens.begin(), tokens.end());
  ids.push_back(tokenizer_->sep_id());
  try {
    Permit permit(permits_);
    std::vector<Ort::Value> out = session_->run(ids, folder_);
    auto info = out[0].GetTensorTypeAndShapeInfo();
    const size_t count = info.GetElementCount(), dimension = folder_.dimension;
    const bool per_token = info.GetShape().size() == 3;
    if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || count != (per_token ? ids.size() * dimension : dimension))
      return unavailable(fmt::format("{}: output '{}' is not of dimension {}", folder_.model_file.string(), folder_.output, dimension));
    const float* data = out[0].GetTensorData<float>();
    if (!per_token) return std::vector<float>(data, data + dimension);
    std::vector<float> pooled = pool(data, ids.size(), dimension, folder_.cls_pooling);
    if (folder_.normalize) normalise(pooled);
    return pooled;
  } catch (const std::exception& e) {
    return Error{ErrorKind::kInferenceUnavailable, fmt::format("model {}: {}", folder_.name, e.what()), {{"retryable", false}}};
  }
}

Result<Embedding> OnnxTextEmbedder::embed(std::string_view text) const {
  const size_t limit = kMaxWindows * capacity();
  std::vector<int64_t> ids;
  tokenizer_->encode(text, limit + 1, ids);
  Embedding out;
  auto windows = split_windows(ids.size(), capacity(), [&](size_t i) { return tokenizer_->is_continuation(ids[i]); });
  if (windows.empty()) windows.emplace_back(0, 0);
  out.truncated = windows.size() > kMaxWindows;
  if (out.truncated) windows.resize(kMaxWindows);
  out.windows = static_cast<uint32_t>(windows.size());
  out.tokens = static_cast<uint32_t>(windows.back().second);
  std::vector<double> sums(dimension(), 0.0);
  for (auto [begin, end] : windows) {
    QUARRY_ASSIGN_OR_RETURN(std::vector<float> vector, run(std::span(ids).subspan(begin, end - begin)));
    if (windows.size() == 1) {
      out.values = std::move(vector);
      return out;
    }
    for (size_t d = 0; d < vector.size(); ++d) sums[d] += static_cast<double>(end - begin) * vector[d];
  }
  const double total = out.tokens;
  for (double sum : sums) out.values.push_back(static_cast<float>(sum / total));
  if (folder_.normalize) normalise(out.values);
  return out;
}

}  // namespace quarry::extract
