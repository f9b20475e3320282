// Dense searches of a cold table: latency, recall, requests and bytes read, on the local disk and with every request taking longer.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <filesystem>
#include <iostream>

#include "fvecs.h"
#include "mvs/mvs.h"
#include "objects/counting_store.h"

using namespace quarry;
using namespace quarry::mvs;

namespace {

constexpr const char* kTable = "cold";
constexpr size_t kWriteRows = 4000;

struct Options {
  std::string base, query, truth, folder;
  std::vector<int64_t> latencies_ms{0, 60};
  std::vector<size_t> efforts{0};
  size_t queries = 200, limit = 0;
  bool exact = false;
};

template <class T>
T need(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}
void need(Status status) {
  if (!status.ok()) throw std::runtime_error(status.error().message);
}

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

TableSpec spec_of(size_t dimension, Tier tier) {
  TableSpec spec{kTable, "org/ns/cold", {{"v", "bench", uint32_t(dimension), Metric::kCosine}}, {{"number", FieldType::kInteger}}};
  spec.tier = tier;
  return spec;
}

std::unique_ptr<VectorStore> open(objects::ObjectStore& store, Executor& executor) {
  return need(VectorStore::open({.store = &store, .executor = &executor, .cold_timeout_us = 600'000'000}));
}

// The base vectors as a cold table; returns the seconds that loading and going cold took.
boost::json::object load(objects::ObjectStore& store, Executor& executor, const Rows<float>& base, size_t rows) {
  const auto vectors = open(store, executor);
  need(vectors->create_table(spec_of(base.dimension, Tier::kActive)));
  auto start = std::chrono::steady_clock::now();
  for (size_t first = 0; first < rows; first += kWriteRows) {
    WriteBatch batch;
    for (size_t i = first; i < std::min(rows, first + kWriteRows); ++i) {
      Document d;
      d.document_id = fmt::format("{}", i);
      d.payload = {{"number", int64_t(i)}};
      d.vectors = {{"v", {base.row(i), base.row(i) + base.dimension}}};
      batch.upserts.push_back(std::move(d));
    }
    need(vectors->write(kTable, std::move(batch)));
  }
  const double load_s = ms_since(start) / 1000;
  start = std::chrono::steady_clock::now();
  need(vectors->set_tier(kTable, Tier::kCold));
  return {{"load_s", load_s}, {"to_cold_s", ms_since(start) / 1000}};
}

struct Trial {
  int64_t latency_ms = 0;
  size_t effort = 0;
};

boost::json::object measure(objects::ObjectStore& local, Executor& executor, const Rows<float>& query, const Rows<int32_t>& truth,
                            const Options& options, const Trial& trial) {
  objects::CountingStore counted(local);
  const auto far = objects::make_faulty_store(counted, {.latency_us = trial.latency_ms * 1000});
  const auto vectors = open(*far, executor);
  need(vectors->attach_table(spec_of(query.dimension, Tier::kCold)));
  std::vector<double> times;
  double first_ms = 0;
  size_t found = 0;
  objects::StoreCounts before;
  for (size_t q = 0; q <= options.queries; ++q) {
    const size_t i = q % query.count;
    SearchRequest request{.table_id = kTable, .vector_name = "v", .query = DenseQuery{{query.row(i), query.row(i) + query.dimension}}};
    request.effort = trial.effort;
    request.exact = options.exact;
    const auto start = std::chrono::steady_clock::now();
    const SearchResult result = need(vectors->search(request));
    if (q == 0) {
      first_ms = ms_since(start);  // log, indexes
      before = counted.counts();
      continue;
    }
    times.push_back(ms_since(start));
    for (const Hit& hit : result.hits)
      found += std::find(truth.row(i), truth.row(i) + 10, int32_t(std::stoi(hit.document.document_id))) != truth.row(i) + 10;
  }
  std::sort(times.begin(), times.end());
  const objects::StoreCounts after = counted.counts();
  const auto per_query = [&](uint64_t a, uint64_t b) { return double(b - a) / double(times.size()); };
  return {{"latency_ms", trial.latency_ms},
          {"effort", trial.effort},
          {"first_ms", first_ms},
          {"p50_ms", times[times.size() / 2]},
          {"p99_ms", times[times.size() * 99 / 100]},
          {"recall", double(found) / double(10 * times.size())},
          {"requests", per_query(before.range_gets + before.gets + before.lists + before.heads, after.range_gets + after.gets + after.lists + after.heads)},
          {"bytes", per_query(before.bytes_read, after.bytes_read)}};
}

void run(const Options& options) {
  const Rows<float> base(options.base), query(options.query);
  const Rows<int32_t> truth(options.truth);
  const auto local = need(objects::open_local_store(options.folder));
  Executor executor("bench", 2, 1024);
  const size_t rows = options.limit > 0 ? std::min(options.limit, base.count) : base.count;
  boost::json::object out = load(*local, executor, base, rows);
  boost::json::array trials;
  for (const int64_t latency_ms : options.latencies_ms)
    for (const size_t effort : options.efforts) trials.push_back(measure(*local, executor, query, truth, options, {latency_ms, effort}));
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
  app.add_option("--folder", o.folder, "an empty folder for the table")->required();
  app.add_option("--latency-ms", o.latencies_ms, "that every request takes longer")->delimiter(',');
  app.add_option("--efforts", o.efforts, "0: the store's own")->delimiter(',');
  app.add_option("--queries", o.queries, "of each trial");
  app.add_option("--rows", o.limit, "of the base, 0: all");
  app.add_flag("--exact", o.exact, "score every row");
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
