#include <fmt/format.h>
#include <onnxruntime_cxx_api.h>

#include "base/log.h"
#include "extract/extract.h"
#include "extract/models/model_folder.h"
#include "extract/models/onnx_text_embedder.h"

namespace quarry::extract {
namespace {

namespace fs = std::filesystem;

// One folder: its description is read when the registry opens, the model when somebody asks for it.
struct Entry {
  ModelFolder folder;
  std::string fault;  // of the description, or of loading
  std::mutex loading;
  std::shared_ptr<const TextEmbedder> embedder;
};

class FolderRegistry : public ModelRegistry {
 public:
  FolderRegistry(Options options, std::vector<std::unique_ptr<Entry>> entries)
      : options_(std::move(options)), entries_(std::move(entries)) {}

  Result<std::shared_ptr<const TextEmbedder>> text_embedder(std::string_view name) override {
    for (const auto& entry : entries_)
      if (!name.empty() && (entry->folder.output_name == name || entry->folder.name == name)) return load(*entry);
    return unknown(name);
  }

  std::vector<ModelInfo> list() const override {
    std::vector<ModelInfo> out;
    for (const auto& entry : entries_) {
      std::lock_guard lock(entry->loading);
      out.push_back({entry->folder.name, entry->folder.output_name, entry->folder.precision, entry->fault.empty() ? "ready" : entry->fault,
                     entry->folder.dimension});
    }
    return out;
  }

 private:
  Result<std::shared_ptr<const TextEmbedder>> load(Entry& entry) {
    std::lock_guard lock(entry.loading);
    if (entry.embedder != nullptr) return entry.embedder;
    if (!entry.fault.empty()) return Error{ErrorKind::kInferenceUnavailable, entry.fault, {{"retryable", false}}};
    auto env = environment();
    if (!env.ok()) return std::move(env).error();
    auto loaded = OnnxTextEmbedder::load(std::move(env).value(), entry.folder, options_.sessions);
    if (!loaded.ok()) {
      entry.fault = loaded.error().message;
      log_error("model cannot be loaded", {{"model", entry.folder.name}, {"reason", entry.fault}});
      return loaded;
    }
    return entry.embedder = std::move(loaded).value();
  }

  // One per process and expensive to make (about 20 ms), so only once a model is wanted.
  Result<std::shared_ptr<Ort::Env>> environment() {
    std::lock_guard lock(mutex_);
    if (env_ != nullptr) return env_;
    try {
      env_ = std::make_shared<Ort::Env>(ORT_LOGGING_LEVEL_ERROR, "quarry");
    } catch (const std::exception& e) {
      return Error{ErrorKind::kInferenceUnavailable, fmt::format("ONNX Runtime does not start: {}", e.what()), {{"retryable", false}}};
    }
    return env_;
  }

  Error unknown(std::string_view name) const {
    json::array available;
    std::string names;
    for (const ModelInfo& model : list()) {
      if (model.output_name.empty()) continue;
      available.emplace_back(model.output_name);
      names += (names.empty() ? "" : ", ") + model.output_name;
    }
    return {ErrorKind::kInferenceUnavailable,
            fmt::format("no model '{}' is installed in {}; there is {}", name.substr(0, 200), options_.directory.string(),
                        names.empty() ? "none" : names),
            {{"retryable", false}, {"model", name.substr(0, 200)}, {"available_models", std::move(available)}}};
  }

  const Options options_;
  const std::vector<std::unique_ptr<Entry>> entries_;
  std::mutex mutex_;
  std::shared_ptr<Ort::Env> env_;
};

std::unique_ptr<Entry> read_entry(const fs::path& folder, std::string_view precision) {
  auto entry = std::make_unique<Entry>();
  auto read = read_model_folder(folder, precision);
  if (read.ok()) {
    entry->folder = std::move(read).value();
  } else {
    entry->folder.name = folder.filename().string();
    entry->fault = read.error().message;
    log_warn("model folder skipped", {{"folder", folder.string()}, {"reason", entry->fault}});
  }
  return entry;
}

}  // namespace

// A directory that is absent holds no models: the server runs without, and says so where one is needed.
Result<std::unique_ptr<ModelRegistry>> ModelRegistry::open(Options options) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator it(options.directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored) && fs::exists(it->path() / "model.json", ignored)) folders.push_back(it->path());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return storage_error(fmt::format("models directory {}: {}", options.directory.string(), error.message()));
  std::sort(folders.begin(), folders.end());
  std::vector<std::unique_ptr<Entry>> entries;
  for (const fs::path& folder : folders) entries.push_back(read_entry(folder, options.precision));
  return std::unique_ptr<ModelRegistry>(std::make_unique<FolderRegistry>(std::move(options), std::move(entries)));
}

}  // namespace quarry::extract
