// Searches of a cold table, by vectors and by words: latency, recall, requests and bytes read; on the local disk or an S3 store, with every
// request taking longer if that is asked for.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <random>

#include "clocks.h"
#include "fvecs.h"
#include "must.h"
#include "mvs/mvs.h"
#include "objects/counting_store.h"
#include "objects/s3_store.h"

using namespace quarry;
using namespace quarry::mvs;

namespace {

constexpr const char* kTable = "cold";
constexpr size_t kWriteRows = 4000, kQueryWords = 5;

struct Options {
  std::string base, query, truth, folder, texts, url, endpoint;
  std::vector<int64_t> latencies_ms{0, 60};
  std::vector<size_t> efforts{0};
  size_t queries = 200, limit = 0;
  bool exact = false;
};

TableSpec spec_of(size_t dimension, Tier tier) {
  TableSpec spec{kTable, "org/ns/cold", {{"v", "bench", uint32_t(dimension), Metric::kCosine}}, {{"text", FieldType::kText}}};
  spec.tier = tier;
  return spec;
}

std::unique_ptr<VectorStore> open(objects::ObjectStore& store, Executor& executor) {
  return must(VectorStore::open({.store = &store, .executor = &executor, .cold_timeout_us = 600'000'000}));
}

// The base vectors as a cold table; returns the seconds that loading and going cold took.
boost::json::object load(objects::ObjectStore& store, Executor& executor, const Rows<float>& base, const std::vector<std::string>& texts,
                         size_t rows) {
  const auto vectors = open(store, executor);
  must(vectors->create_table(spec_of(base.dimension, Tier::kActive)));
  auto start = std::chrono::steady_clock::now();
  for (size_t first = 0; first < rows; first += kWriteRows) {
    WriteBatch batch;
    for (size_t i = first; i < std::min(rows, first + kWriteRows); ++i) {
      Document d;
      d.document_id = fmt::format("{}", i);
      if (i < texts.size()) d.payload["text"] = texts[i];
      d.vectors = {{"v", {base.row(i), base.row(i) + base.dimension}}};
      batch.upserts.push_back(std::move(d));
    }
    must(vectors->write(kTable, std::move(batch)));
  }
  const double load_s = seconds_since(start);
  start = std::chrono::steady_clock::now();
  must(vectors->set_tier(kTable, Tier::kCold));
  return {{"load_s", load_s}, {"to_cold_s", seconds_since(start)}};
}

struct Trial {
  std::string what;  // "vectors", "exact", "words"
  int64_t latency_ms = 0;
  size_t effort = 0;
};

std::vector<std::string> read_texts(const std::string& path) {
  std::vector<std::string> out;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) out.emplace_back(boost::json::parse(line).at("text").as_string());
  return out;
}

// Words of random texts, so that common ones are as common as in texts.
std::string draw_words(const std::vector<std::string>& texts, std::mt19937_64& random) {
  std::string out;
  for (size_t w = 0; w < kQueryWords; ++w) {
    const std::string& text = texts[random() % texts.size()];
    const size_t begin = text.find(' ', random() % text.size());
    const size_t word = begin == std::string::npos ? 0 : begin + 1;
    out += text.substr(word, text.find(' ', word) - word) + " ";
  }
  return out;
}

class Measurement {
 public:
  Measurement(objects::ObjectStore& inner, Executor& executor, const Options& options, const Trial& trial)
      : counted_(inner), far_(objects::make_faulty_store(counted_, {.latency_us = trial.latency_ms * 1000})), options_(options), trial_(trial) {
    vectors_ = open(*far_, executor);
  }

  boost::json::object run(const Rows<float>& query, const Rows<int32_t>& truth, const std::vector<std::string>& texts) {
    must(vectors_->attach_table(spec_of(query.dimension, Tier::kCold)));
    before_ = counted_.counts();
    std::mt19937_64 random(7);
    for (size_t q = 0; q <= options_.queries; ++q) {
      const size_t i = q % query.count;
      SearchRequest request{.table_id = kTable, .vector_name = "v", .query = DenseQuery{{query.row(i), query.row(i) + query.dimension}}};
      if (trial_.what == "words") request.query = TextQuery{.text = draw_words(texts, random)};
      request.effort = trial_.effort;
      request.exact = trial_.what == "exact";
      const auto start = std::chrono::steady_clock::now();
      const SearchResult result = must(vectors_->search(request));
      note(q, 1000 * seconds_since(start));
      if (q == 0) continue;
      for (const Hit& hit : result.hits)
        found_ += std::find(truth.row(i), truth.row(i) + 10, int32_t(std::stoi(hit.document.document_id))) != truth.row(i) + 10;
    }
    return report();
  }

 private:
  // The first query reads the log and the indexes too.
  void note(size_t query, double ms) {
    if (query > 0) return times_.push_back(ms);
    first_ms_ = ms;
    first_bytes_ = counted_.counts().bytes_read - before_.bytes_read;
    before_ = counted_.counts();
  }

  boost::json::object report() {
    std::sort(times_.begin(), times_.end());
    const objects::StoreCounts after = counted_.counts();
    const auto requests = [](const objects::StoreCounts& c) { return c.range_gets + c.gets + c.lists + c.heads; };
    const double n = double(times_.size());
    boost::json::object out{{"what", trial_.what},
                            {"latency_ms", trial_.latency_ms},
                            {"effort", trial_.effort},
                            {"first_ms", first_ms_},
                            {"first_bytes", double(first_bytes_)},
                            {"p50_ms", times_[times_.size() / 2]},
                            {"p99_ms", times_[times_.size() * 99 / 100]},
                            {"requests", double(requests(after) - requests(before_)) / n},
                            {"bytes", double(after.bytes_read - before_.bytes_read) / n}};
    if (trial_.what != "words") out["recall"] = double(found_) / (10 * n);
    return out;
  }

  objects::CountingStore counted_;
  const std::unique_ptr<objects::ObjectStore> far_;
  const Options& options_;
  const Trial trial_;
  std::unique_ptr<VectorStore> vectors_;
  std::vector<double> times_;
  double first_ms_ = 0;
  uint64_t first_bytes_ = 0;
  size_t found_ = 0;
  objects::StoreCounts before_;
};

std::unique_ptr<objects::ObjectStore> open_objects(const Options& options) {
  if (options.url.empty()) return must(objects::open_local_store(options.folder));
  return must(objects::open_s3_store(must(objects::resolve_s3_options({.url = options.url, .endpoint = options.endpoint},
                                                                      objects::process_s3_environment()))));
}

void run(const Options& options) {
  const Rows<float> base(options.base), query(options.query);
  const Rows<int32_t> truth(options.truth);
  const std::vector<std::string> texts = options.texts.empty() ? std::vector<std::string>() : read_texts(options.texts);
  const auto objects = open_objects(options);
  Executor executor("bench", 2, 1024);
  const size_t rows = options.limit > 0 ? std::min(options.limit, base.count) : base.count;
  boost::json::object out = load(*objects, executor, base, texts, rows);
  std::vector<Trial> plan;
  for (const int64_t latency_ms : options.latencies_ms) {
    for (const size_t effort : options.efforts) plan.push_back({"vectors", latency_ms, effort});
    if (options.exact) plan.push_back({"exact", latency_ms, 0});
    if (!texts.empty()) plan.push_back({"words", latency_ms, 0});
  }
  boost::json::array trials;
  for (const Trial& trial : plan) trials.push_back(Measurement(*objects, executor, options, trial).run(query, truth, texts));
  out["trials"] = std::move(trials);
  std::cout << boost::json::serialize(out) << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Searches of a cold table");
  app.add_option("--base", o.base, "vectors, .fvecs")->required();
  app.add_option("--query", o.query, "queries, .fvecs")->required();
  app.add_option("--truth", o.truth, "the nearest rows of each query, .ivecs")->required();
  app.add_option("--folder", o.folder, "an empty folder for the table");
  app.add_option("--url", o.url, "s3://bucket/prefix instead of a folder; credentials as the AWS_* variables say");
  app.add_option("--endpoint", o.endpoint, "of that store");
  app.add_option("--texts", o.texts, "JSON lines with a \"text\" for each row: words are searched as well");
  app.add_option("--latency-ms", o.latencies_ms, "that every request takes longer")->delimiter(',');
  app.add_option("--efforts", o.efforts, "0: the store's own")->delimiter(',');
  app.add_option("--queries", o.queries, "of each trial");
  app.add_option("--rows", o.limit, "of the base, 0: all");
  app.add_flag("--exact", o.exact, "searches that score every row as well");
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
