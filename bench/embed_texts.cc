// Embeds the "text" of every line of a JSON-lines file with the product's own text model and appends the vectors to an .fvecs file (int32
// dimension, then float32 values, little-endian, a record per text). Records that OUT holds already are kept, so a run that was ended goes on.
// usage: bench-embed MODELS_DIR PRECISION THREADS TEXTS.jsonl OUT.fvecs
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "extract/extract.h"

using namespace quarry;

namespace {

constexpr size_t kTextsAStep = 512;  // written together: what an ended run loses at most

Result<std::vector<std::string>> read_texts(const std::string& file) {
  std::vector<std::string> texts;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    boost::system::error_code failed;
    json::value value = json::parse(line, failed);
    const json::object* object = failed ? nullptr : value.if_object();
    const json::value* text = object ? object->if_contains("text") : nullptr;
    if (!text || !text->is_string()) return internal_error(file + " line " + std::to_string(texts.size() + 1) + " has no text");
    texts.emplace_back(text->as_string());
  }
  if (texts.empty()) return internal_error(file + " holds no texts or can't be read");
  return texts;
}

// The vectors of texts [begin, end) in order; the first failure of any thread.
Result<std::vector<std::vector<float>>> embed_step(const extract::TextEmbedder& embedder, const std::vector<std::string>& texts, size_t begin,
                                                   size_t end, size_t threads) {
  std::vector<Result<std::vector<float>>> vectors(end - begin, std::vector<float>{});
  std::atomic<size_t> next{begin};
  std::vector<std::thread> workers;
  for (size_t t = 0; t < threads; ++t)
    workers.emplace_back([&] {
      for (size_t i = next++; i < end; i = next++) {
        auto embedding = embedder.embed(texts[i]);
        if (embedding.ok()) vectors[i - begin] = std::move(embedding->values);
        else vectors[i - begin] = embedding.error();
      }
    });
  for (auto& worker : workers) worker.join();
  std::vector<std::vector<float>> out;
  for (auto& vector : vectors) {
    if (!vector.ok()) return vector.error();
    out.push_back(std::move(*vector));
  }
  return out;
}

// Whole records of `file`; a torn last one is cut off.
Result<size_t> whole_records(const std::string& file, size_t record_bytes) {
  std::error_code failed;
  if (!std::filesystem::exists(file)) return size_t{0};
  size_t records = std::filesystem::file_size(file, failed) / record_bytes;
  if (!failed) std::filesystem::resize_file(file, records * record_bytes, failed);
  if (failed) return internal_error(file + ": " + failed.message());
  return records;
}

Status append(const std::string& file, const std::vector<std::vector<float>>& vectors) {
  std::ofstream out(file, std::ios::binary | std::ios::app);
  for (const auto& vector : vectors) {
    int32_t dimension = static_cast<int32_t>(vector.size());
    out.write(reinterpret_cast<const char*>(&dimension), sizeof dimension);
    out.write(reinterpret_cast<const char*>(vector.data()), static_cast<std::streamsize>(vector.size() * sizeof(float)));
  }
  out.close();
  if (!out) return internal_error(file + " can't be written");
  return Ok{};
}

struct Arguments {
  std::string models, precision, texts, out;
  size_t threads = 1;
};

Status run(const Arguments& arguments) {
  QUARRY_ASSIGN_OR_RETURN(auto registry, extract::ModelRegistry::open({arguments.models, arguments.precision, arguments.threads}));
  QUARRY_ASSIGN_OR_RETURN(auto embedder, registry->text_embedder(extract::kDefaultTextOutput));
  QUARRY_ASSIGN_OR_RETURN(auto texts, read_texts(arguments.texts));
  size_t record_bytes = sizeof(int32_t) + embedder->dimension() * sizeof(float);
  QUARRY_ASSIGN_OR_RETURN(size_t done, whole_records(arguments.out, record_bytes));
  while (done < texts.size()) {
    size_t end = std::min(texts.size(), done + kTextsAStep);
    QUARRY_ASSIGN_OR_RETURN(auto vectors, embed_step(*embedder, texts, done, end, arguments.threads));
    QUARRY_RETURN_IF_ERROR(append(arguments.out, vectors));
    done = end;
    std::fprintf(stderr, "%zu of %zu\n", done, texts.size());
  }
  return Ok{};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return std::fprintf(stderr, "usage: bench-embed MODELS_DIR PRECISION THREADS TEXTS.jsonl OUT.fvecs\n"), 2;
  size_t threads = std::clamp<size_t>(std::strtoul(argv[3], nullptr, 10), 1, 64);
  Status done = run({argv[1], argv[2], argv[4], argv[5], threads});
  if (!done.ok()) return std::fprintf(stderr, "bench-embed: %s\n", done.error().message.c_str()), 1;
  return 0;
}
