// The vector index alone, over .fvecs files: build time, memory, and for each effort recall, queries a second and latency.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <thread>

#include "clocks.h"
#include "fvecs.h"
#include "mvs/hot/kernels.h"
#include "mvs/hot/paging.h"
#include "mvs/index/graph.h"

using namespace quarry;
using namespace quarry::mvs;

namespace {

size_t anonymous_bytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  std::string line;
  while (std::getline(file, line))
    if (line.rfind("Anonymous:", 0) == 0) return size_t(std::stoull(line.substr(10))) << 10;
  return 0;
}

struct Options {
  std::string base, query, truth, json;
  std::string metric = "cosine";
  std::vector<size_t> efforts{10, 12, 14, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512};
  size_t threads = 1, build_threads = 2, limit = 0, keep = 0;
  double seconds = 2;
  bool scan = false;
  GraphOptions graph;
};

void add_options(CLI::App& app, Options& o) {
  app.add_option("--base", o.base, "vectors to index, .fvecs")->required();
  app.add_option("--query", o.query, "queries, .fvecs")->required();
  app.add_option("--truth", o.truth, "the nearest rows of each query, .ivecs")->required();
  app.add_option("--json", o.json, "where results go as well");
  app.add_option("--metric", o.metric, "cosine, dot or euclidean");
  app.add_option("--threads", o.threads, "that search")->check(CLI::Range(1, 64));
  app.add_option("--build-threads", o.build_threads, "that build")->check(CLI::Range(1, 64));
  app.add_option("--efforts", o.efforts, "of the searches, with commas between")->delimiter(',');
  app.add_option("--seconds", o.seconds, "per effort, at least all queries once");
  app.add_option("--limit", o.limit, "rows indexed; 0: all");
  app.add_option("--keep", o.keep, "candidates scored from their vectors; 0: ten and an eighth of the effort, at least twenty");
  app.add_option("--scan", o.scan, "look at every node instead of walking");
  app.add_option("--degree", o.graph.degree)->check(CLI::Range(1, 64));
  app.add_option("--capacity", o.graph.capacity)->check(CLI::Range(1, 64));
  app.add_option("--build-effort", o.graph.build_effort);
  app.add_option("--spread", o.graph.spread);
}

constexpr size_t kWanted = 10;

// The ten best of the candidates by the true score.
void rescore(const Rows<float>& base, const Scorer& scorer, const std::vector<float>& norms, const std::vector<Candidate>& candidates,
             size_t keep, std::vector<std::pair<float, uint32_t>>& out) {
  out.clear();
  const size_t n = std::min(candidates.size(), keep);
  const bool from_disk = pages_lately();
  for (size_t i = 0; i < n; ++i) (from_disk ? read_ahead : prefetch)(base.row(candidates[i].node), base.dimension * sizeof(float));
  for (size_t i = 0; i < n; ++i) out.emplace_back(-scorer.score(base.row(candidates[i].node), norms[candidates[i].node]), candidates[i].node);
  std::sort(out.begin(), out.end());
  if (out.size() > kWanted) out.resize(kWanted);
}

// What one thread saw.
struct Tally {
  std::vector<double> seconds;  // of each query
  uint64_t hits = 0;
  double cpu_s = 0;
};

class Bench {
 public:
  explicit Bench(const Options& options)
      : o_(options),
        base_(o_.base),
        query_(o_.query),
        truth_(o_.truth),
        rows_(o_.limit ? std::min(o_.limit, base_.count) : base_.count),
        metric_(*parse_metric(o_.metric)),
        norms_(rows_) {
    for (size_t i = 0; i < rows_; ++i) norms_[i] = norm(base_.row(i), base_.dimension);
  }

  boost::json::object build() {
    Executor executor("build", o_.build_threads > 1 ? o_.build_threads - 1 : 1, 64);
    Executor* pool = o_.build_threads > 1 ? &executor : nullptr;
    const size_t before = anonymous_bytes();
    const auto start = std::chrono::steady_clock::now();
    std::vector<const float*> pointers(rows_), sample;
    for (size_t i = 0; i < rows_; ++i) pointers[i] = base_.row(i);
    for (size_t i = 0; i < rows_; i += std::max<size_t>(rows_ / 10'000, 1)) sample.push_back(pointers[i]);
    graph_ = std::make_unique<Graph>(std::make_shared<const Quantizer>(metric_, base_.dimension, sample), o_.graph);
    if (!graph_->append(pointers, pool)) throw std::runtime_error("no memory for the codes");
    const double append_s = seconds_since(start);
    graph_->link(uint32_t(rows_), pool);
    const double build_s = seconds_since(start);
    base_.read_at_random();  // as segments are
    const size_t anonymous = anonymous_bytes() - before;
    fmt::print("rows {} build {:.1f} s (codes {:.1f}, link {:.1f}), anonymous {:.1f} MB\n", rows_, build_s, append_s, build_s - append_s,
               double(anonymous) / 1e6);
    return {{"rows", rows_},           {"dimension", base_.dimension}, {"build_s", build_s},
            {"anon_bytes", anonymous}, {"mapped_bytes", base_.bytes()}, {"graph_bytes", graph_->memory_bytes()}};
  }

  boost::json::object measure(size_t effort) const {
    std::vector<Tally> tallies(o_.threads);
    std::vector<std::thread> threads;
    for (Tally& tally : tallies) threads.emplace_back([&] { search(effort, tally); });
    for (auto& thread : threads) thread.join();
    std::vector<double> seconds;
    double cpu_s = 0, busy_s = 0;
    uint64_t hits = 0;
    for (const Tally& tally : tallies) {
      seconds.insert(seconds.end(), tally.seconds.begin(), tally.seconds.end());
      cpu_s += tally.cpu_s;
      hits += tally.hits;
    }
    std::sort(seconds.begin(), seconds.end());
    for (const double s : seconds) busy_s += s;
    const double asked = double(seconds.size());
    const double recall = double(hits) / (asked * kWanted), qps = double(o_.threads) * asked / busy_s, cpu_us = 1e6 * cpu_s / asked;
    const double p50 = seconds[seconds.size() / 2] * 1e6, p99 = seconds[seconds.size() * 99 / 100] * 1e6;
    fmt::print("effort {:4} recall {:.4f} qps {:8.0f} p50 {:6.1f} us p99 {:6.1f} us cpu {:6.1f} us\n", effort, recall, qps, p50, p99,
               cpu_us);
    return {{"effort", effort}, {"recall", recall}, {"qps", qps}, {"p50_us", p50}, {"p99_us", p99}, {"cpu_us", cpu_us}};
  }

 private:
  // All queries again and again until the time is up.
  void search(size_t effort, Tally& tally) const {
    const size_t keep = o_.keep ? o_.keep : kWanted + std::max<size_t>(kWanted, effort / 8);
    QueryCodes codes;
    std::vector<Candidate> candidates;
    std::vector<std::pair<float, uint32_t>> best;
    const auto begin = std::chrono::steady_clock::now();
    const double cpu_begin = cpu_seconds();
    while (seconds_since(begin) < o_.seconds || tally.seconds.empty())
      for (size_t q = 0; q < query_.count; ++q) {
        const auto asked = std::chrono::steady_clock::now();
        graph_->quantizer().prepare(query_.row(q), codes);
        if (o_.scan)
          graph_->scan(codes, 0, uint32_t(rows_), effort, nullptr, candidates);
        else
          graph_->search(codes, effort, nullptr, candidates);
        rescore(base_, Scorer(metric_, query_.row(q), query_.dimension), norms_, candidates, keep, best);
        tally.seconds.push_back(seconds_since(asked));
        const int32_t* truth = truth_.row(q);
        for (const auto& [score, node] : best) tally.hits += std::find(truth, truth + kWanted, int32_t(node)) != truth + kWanted;
      }
    tally.cpu_s = cpu_seconds() - cpu_begin;
  }

  const Options& o_;
  const Rows<float> base_, query_;
  const Rows<int32_t> truth_;
  const size_t rows_;
  const Metric metric_;
  std::vector<float> norms_;
  std::unique_ptr<Graph> graph_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The vector index alone: build time, memory, and for each effort recall, queries a second and latency.");
  Options options;
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  Bench bench(options);
  const boost::json::object header = bench.build();
  boost::json::array points;
  for (const size_t effort : options.efforts) points.push_back(bench.measure(effort));
  if (!options.json.empty())
    std::ofstream(options.json) << boost::json::serialize(boost::json::object{{"header", header}, {"points", points}}) << "\n";
}
