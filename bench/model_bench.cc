// What the text model alone reaches: embeds the texts of a file (one JSON string a line) on N threads, nothing else.
// usage: bench-model MODELS_DIR PRECISION THREADS FILE  ->  {"texts":..,"tokens":..,"seconds":..,"texts_per_s":..}
#include <atomic>
#include <cstdio>
#include <fstream>
#include <thread>

#include "extract/extract.h"

using namespace quarry;

namespace {

std::vector<std::string> read_texts(const char* file) {
  std::vector<std::string> texts;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) texts.emplace_back(json::parse(line).as_string());
  return texts;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return std::fprintf(stderr, "usage: bench-model MODELS_DIR PRECISION THREADS FILE\n"), 2;
  size_t threads = std::stoul(argv[3]);
  auto registry = extract::ModelRegistry::open({argv[1], argv[2], threads});
  if (!registry.ok()) return std::fprintf(stderr, "%s\n", registry.error().message.c_str()), 1;
  auto embedder = (*registry)->text_embedder(extract::kDefaultTextOutput);
  if (!embedder.ok()) return std::fprintf(stderr, "%s\n", embedder.error().message.c_str()), 1;
  auto texts = read_texts(argv[4]);
  if (!(*embedder)->embed("warm up").ok()) return 1;

  std::atomic<size_t> next{0}, tokens{0};
  int64_t began = system_clock().steady_us();
  std::vector<std::thread> workers;
  for (size_t t = 0; t < threads; ++t)
    workers.emplace_back([&] {
      for (size_t i = next++; i < texts.size(); i = next++) {
        auto vector = (*embedder)->embed(texts[i]);
        if (vector.ok()) tokens += vector->tokens;
      }
    });
  for (auto& w : workers) w.join();
  double seconds = static_cast<double>(system_clock().steady_us() - began) / 1e6;
  json::object out{{"texts", texts.size()},
                   {"tokens", tokens.load()},
                   {"seconds", seconds},
                   {"texts_per_s", static_cast<double>(texts.size()) / seconds}};
  std::printf("%s\n", json::serialize(out).c_str());
  return 0;
}
