// The vector index alone, over .fvecs files: build time, memory, and for each effort recall, queries a second and latency.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <set>
#include <thread>

#include "mvs/hot/kernels.h"
#include "mvs/index/graph.h"

using namespace quarry;
using namespace quarry::mvs;

namespace {

// Rows of 32-bit values behind a 32-bit count, as .fvecs and .ivecs hold them; mapped, not read.
template <class T>
class Rows {
 public:
  explicit Rows(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY);
    struct stat info{};
    if (fd < 0 || ::fstat(fd, &info) != 0) throw std::runtime_error("cannot open " + path);
    bytes_ = size_t(info.st_size);
    base_ = static_cast<const T*>(::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, fd, 0));
    ::close(fd);
    dimension = size_t(*reinterpret_cast<const int32_t*>(base_));
    count = bytes_ / (4 * (dimension + 1));
  }
  const T* row(size_t i) const { return base_ + i * (dimension + 1) + 1; }
  size_t bytes() const { return bytes_; }

  size_t dimension = 0, count = 0;

 private:
  const T* base_;
  size_t bytes_ = 0;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Of the calling thread: what others on the machine take does not count.
double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

size_t anonymous_bytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  std::string line;
  while (std::getline(file, line))
    if (line.rfind("Anonymous:", 0) == 0) return size_t(std::stoull(line.substr(10))) << 10;
  return 0;
}

struct Options {
  std::string base, query, truth, json, efforts = "10,16,24,32,48,64,96,128,192,256,384,512";
  std::string metric = "cosine";
  size_t threads = 1, build_threads = 2, limit = 0, keep = 0;
  double seconds = 2;
  bool refine = true, scan = false;
  GraphOptions graph;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--base") o.base = value;
    else if (flag == "--query") o.query = value;
    else if (flag == "--truth") o.truth = value;
    else if (flag == "--json") o.json = value;
    else if (flag == "--metric") o.metric = value;
    else if (flag == "--threads") o.threads = std::stoul(value);
    else if (flag == "--build-threads") o.build_threads = std::stoul(value);
    else if (flag == "--efforts") o.efforts = value;
    else if (flag == "--seconds") o.seconds = std::stod(value);
    else if (flag == "--limit") o.limit = std::stoul(value);
    else if (flag == "--keep") o.keep = std::stoul(value);
    else if (flag == "--scan") o.scan = value != "0";
    else if (flag == "--refine") o.refine = value != "0";
    else if (flag == "--degree") o.graph.degree = uint32_t(std::stoul(value));
    else if (flag == "--capacity") o.graph.capacity = uint32_t(std::stoul(value));
    else if (flag == "--build-effort") o.graph.build_effort = uint32_t(std::stoul(value));
    else if (flag == "--spread") o.graph.spread = std::stof(value);
    else throw std::runtime_error("unknown flag " + flag);
  }
  return o;
}

constexpr size_t kWanted = 10;

// The ten best of the candidates by the true score.
void rescore(const Rows<float>& base, const Scorer& scorer, const std::vector<float>& norms, const std::vector<Candidate>& candidates, size_t keep,
             std::vector<std::pair<float, uint32_t>>& out) {
  out.clear();
  const size_t n = std::min(candidates.size(), keep);
  for (size_t i = 0; i < n; ++i) {
    const char* row = reinterpret_cast<const char*>(base.row(candidates[i].node));
    for (size_t b = 0; b < base.dimension * 4; b += 64) __builtin_prefetch(row + b);
  }
  for (size_t i = 0; i < n; ++i) out.emplace_back(-scorer.score(base.row(candidates[i].node), norms[candidates[i].node]), candidates[i].node);
  std::sort(out.begin(), out.end());
  if (out.size() > kWanted) out.resize(kWanted);
}

}  // namespace

int main(int argc, char** argv) {
  const Options o = parse(argc, argv);
  const Rows<float> base(o.base), query(o.query);
  const Rows<int32_t> truth(o.truth);
  const size_t rows = o.limit ? std::min(o.limit, base.count) : base.count;
  const Metric metric = *parse_metric(o.metric);
  Executor executor("build", o.build_threads > 1 ? o.build_threads - 1 : 1, 64);
  Executor* pool = o.build_threads > 1 ? &executor : nullptr;

  std::vector<float> norms(rows);
  for (size_t i = 0; i < rows; ++i) norms[i] = norm(base.row(i), base.dimension);
  const size_t before = anonymous_bytes();
  const auto start = std::chrono::steady_clock::now();
  std::vector<const float*> pointers(rows);
  for (size_t i = 0; i < rows; ++i) pointers[i] = base.row(i);
  std::vector<const float*> sample;
  for (size_t i = 0; i < rows; i += std::max<size_t>(rows / 10000, 1)) sample.push_back(pointers[i]);
  Graph graph(std::make_shared<const Quantizer>(metric, base.dimension, sample), o.graph);
  graph.append(pointers, pool);
  const double append_s = seconds_since(start);
  graph.link(uint32_t(rows), pool);
  const double link_s = seconds_since(start);
  if (o.refine) graph.refine(pool);
  const double build_s = seconds_since(start);
  const size_t anonymous = anonymous_bytes() - before;
  boost::json::object header{{"rows", rows}, {"dimension", base.dimension}, {"build_s", build_s}, {"anon_bytes", anonymous},
                             {"mapped_bytes", base.bytes()}, {"graph_bytes", graph.memory_bytes()}};
  fmt::print("rows {} build {:.1f} s (codes {:.1f}, link {:.1f}), anonymous {:.1f} MB\n", rows, build_s, append_s, link_s - append_s,
             double(anonymous) / 1e6);
  boost::json::array points;
  std::stringstream list(o.efforts);
  for (std::string text; std::getline(list, text, ',');) {
    const size_t effort = std::stoul(text);
    const size_t keep = o.keep ? o.keep : kWanted + std::max<size_t>(kWanted, effort / 8);
    std::vector<std::vector<double>> times(o.threads);
    std::atomic<uint64_t> hits{0}, asked{0};
    std::atomic<double> cpu{0};
    const auto begin = std::chrono::steady_clock::now();
    const auto work = [&](size_t t) {
      QueryCodes codes;
      std::vector<Candidate> candidates;
      std::vector<std::pair<float, uint32_t>> best;
      uint64_t found = 0, done = 0;
      const double cpu_begin = cpu_seconds();
      while (seconds_since(begin) < o.seconds || done < query.count)
        for (size_t q = 0; q < query.count; ++q, ++done) {
          const auto t0 = std::chrono::steady_clock::now();
          graph.quantizer().prepare(query.row(q), codes);
          if (o.scan)
            graph.scan(codes, 0, uint32_t(rows), effort, nullptr, candidates);
          else
            graph.search(codes, effort, nullptr, candidates);
          const Scorer scorer(metric, query.row(q), query.dimension);
          rescore(base, scorer, norms, candidates, keep, best);
          times[t].push_back(seconds_since(t0));
          for (const auto& [score, node] : best)
            found += std::find(truth.row(q), truth.row(q) + kWanted, int32_t(node)) != truth.row(q) + kWanted;
        }
      cpu += cpu_seconds() - cpu_begin;
      hits += found;
      asked += done;
    };
    std::vector<std::thread> threads;
    for (size_t t = 0; t < o.threads; ++t) threads.emplace_back(work, t);
    for (auto& t : threads) t.join();
    const double wall = seconds_since(begin);
    std::vector<double> all;
    for (const auto& t : times) all.insert(all.end(), t.begin(), t.end());
    std::sort(all.begin(), all.end());
    double busy = 0;
    for (double t : all) busy += t;
    const double recall = double(hits) / double(asked * kWanted), qps = double(o.threads) * double(asked) / (busy);
    const double p50 = all[all.size() / 2] * 1e6, p99 = all[all.size() * 99 / 100] * 1e6;
    (void)wall;
    fmt::print("effort {:4} recall {:.4f} qps {:8.0f} p50 {:6.1f} us p99 {:6.1f} us cpu {:6.1f} us\n", effort, recall, qps, p50, p99,
               1e6 * cpu / double(asked));
    points.push_back(boost::json::object{{"effort", effort}, {"recall", recall}, {"qps", qps}, {"p50_us", p50}, {"p99_us", p99}, {"cpu_us", 1e6 * cpu / double(asked)}});
  }
  if (!o.json.empty()) std::ofstream(o.json) << boost::json::serialize(boost::json::object{{"header", header}, {"points", points}}) << "\n";
}
