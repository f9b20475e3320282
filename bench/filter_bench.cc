// Filtered search through VectorStore::search over .fvecs files, one thread: for each share of the rows that a filter lets through recall
// against exact search and processor time, beside the same search without a filter; and what filters, facets, groups and sorts cost alone.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <numeric>
#include <random>
#include <set>

#include "clocks.h"
#include "fvecs.h"
#include "must.h"
#include "mvs/mvs.h"

using namespace quarry;
using namespace quarry::mvs;

namespace {

constexpr const char* kTable = "col_bench";
constexpr size_t kBest = 10, kBatch = 5000;
constexpr int64_t kStartUs = 1'700'000'000'000'000;  // of the rows' times
constexpr double kShares[] = {0.5, 0.35, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001};
constexpr const char* kKinds[] = {"keyword", "integer range", "the query's side", "the other side", "undeclared"};

struct Options {
  std::string base, query, json, texts;
  size_t limit = 0, effort = 0, truths = 200, rounds = 3;
  bool alone = true;
  std::vector<double> shares{std::begin(kShares), std::end(kShares)};
  std::vector<std::string> kinds{std::begin(kKinds), std::end(kKinds)};
};

// A direction along which the rows differ much: the first principal component, by power iteration over a sample.
std::vector<double> main_direction(const Rows<float>& base, size_t rows) {
  const size_t step = std::max<size_t>(rows / 2000, 1), d = base.dimension;
  std::vector<double> mean(d), axis(d, 1);
  size_t n = 0;
  for (size_t i = 0; i < rows; i += step, ++n)
    for (size_t j = 0; j < d; ++j) mean[j] += base.row(i)[j];
  for (double& m : mean) m /= double(n);
  for (int round = 0; round < 20; ++round) {
    std::vector<double> next(d);
    for (size_t i = 0; i < rows; i += step) {
      double along = 0;
      for (size_t j = 0; j < d; ++j) along += (base.row(i)[j] - mean[j]) * axis[j];
      for (size_t j = 0; j < d; ++j) next[j] += along * (base.row(i)[j] - mean[j]);
    }
    const double length = std::sqrt(std::inner_product(next.begin(), next.end(), next.begin(), 0.0));
    for (size_t j = 0; j < d; ++j) axis[j] = next[j] / length;
  }
  return axis;
}

double along(const std::vector<double>& axis, const float* row) { return std::inner_product(axis.begin(), axis.end(), row, 0.0); }

Filter filter_of(json::value source) { return must(parse_filter(source)); }
json::object condition_json(std::string_view field, std::string_view op, json::value value) {
  return {{"field", field}, {"operator", op}, {"value", std::move(value)}};
}
Filter condition_of(std::string_view field, std::string_view op, json::value value) {
  return filter_of(condition_json(field, op, std::move(value)));
}
std::string share_field(double share) { return fmt::format("share_{}", share * 1000); }

class Bench {
 public:
  explicit Bench(const Options& options)
      : o_(options),
        base_(o_.base),
        query_(o_.query),
        rows_(o_.limit ? std::min(o_.limit, base_.count) : base_.count),
        axis_(main_direction(base_, rows_)),
        executor_("bench", 2, 256),
        objects_(objects::make_memory_store()) {
    StoreOptions store;
    store.store = objects_.get();
    store.executor = &executor_;
    store_ = must(VectorStore::open(store));
    for (size_t i = 0; i < rows_; ++i) places_.push_back(along(axis_, base_.row(i)));
    if (!o_.texts.empty()) read_texts();
    sorted_places_ = places_;
    std::sort(sorted_places_.begin(), sorted_places_.end());
  }

  void load() {
    TableSpec spec{kTable, "org/ns/col_bench", {{"v", "uri", uint32_t(base_.dimension), Metric::kCosine}}, {}};
    for (const double share : kShares) spec.fields.push_back({share_field(share), FieldType::kString});
    spec.fields.insert(spec.fields.end(), {{"n", FieldType::kInteger},
                                           {"price", FieldType::kFloat},
                                           {"at", FieldType::kDatetime},
                                           {"ok", FieldType::kBoolean},
                                           {"name", FieldType::kString},
                                           {"side", FieldType::kFloat},
                                           {"text", FieldType::kText}});
    if (const auto made = store_->create_table(spec); !made.ok()) throw std::runtime_error(made.error().message);
    const auto start = std::chrono::steady_clock::now();
    for (size_t at = 0; at < rows_; at += kBatch) {
      WriteBatch batch;
      for (size_t i = at; i < std::min(rows_, at + kBatch); ++i) batch.upserts.push_back(document(i));
      must(store_->write(kTable, std::move(batch)));
    }
    if (const auto done = store_->maintain(kTable); !done.ok()) throw std::runtime_error(done.error().message);
    const auto stats = must(store_->stats(kTable));
    fmt::print("rows {} loaded and indexed in {:.1f} s, {} files, {:.1f} MB\n", rows_, seconds_since(start), stats.files,
               double(stats.memory_bytes) / 1e6);
  }

  boost::json::array searches() {
    boost::json::array out;
    const double plain_us = measure("no filter", 1, [](size_t) { return Filter{}; }, 0, out);
    for (const double share : o_.shares)
      for (const std::string& kind : o_.kinds) measure(kind, share, [&](size_t q) { return filter(kind, q, share); }, plain_us, out);
    return out;
  }

  boost::json::array filters_alone() {
    boost::json::array out;
    for (const char* field : {"ok", "name", "n"}) groups(field, out);
    const auto time = [](int64_t second) { return json::value(json::string(format_timestamp(kStartUs + second * 1'000'000))); };
    const auto place = [](double lat, double lon) { return json::object{{"lat", lat}, {"lon", lon}}; };
    const json::object near{{"center", place(48, 11)}, {"radius", 1'000'000}};
    const json::object box{{"top_left", place(50, -10)}, {"bottom_right", place(40, 10)}};
    json::object prefix = condition_json("name", "starts_with", "name_1");
    prefix["case_sensitive"] = true;
    const json::array autumn{condition_json("at", "gte", time(200'000)), condition_json("at", "lt", time(300'000))};
    const json::object mixed{{"AND", json::array{condition_json("share_100", "eq", "in"), condition_json("n", "gte", 300'000)}},
                             {"NOT", json::array{condition_json("ok", "eq", true)}}};
    count("keyword eq, 10 %", condition_of("share_100", "eq", "in"), out);
    count("keyword in, 3 of 1,000", condition_of("name", "in", json::array{"name_001", "name_500", "name_999"}), out);
    count("keyword starts_with, case", filter_of(prefix), out);
    count("keyword contains", condition_of("name", "contains", "_77"), out);
    count("integer eq", condition_of("n", "eq", int64_t(123'457)), out);
    count("integer range, 1 %", condition_of("n", "lt", int64_t(10'000)), out);
    count("integer range, 50 %", condition_of("n", "lt", int64_t(500'000)), out);
    count("float range, 10 %", condition_of("price", "gte", 90.0), out);
    count("time range, 10 %", filter_of(autumn), out);
    count("bool eq", condition_of("ok", "eq", true), out);
    count("keyword and range and not", filter_of(mixed), out);
    count("geo radius, about 1 %", condition_of("place", "geo_radius", near), out);
    count("geo box, about 0.3 %", condition_of("place", "geo_bounding_box", box), out);
    undeclared(out);
    if (!texts_.empty()) words(out);
    for (const char* field : {"share_100", "name", "ok", "n"}) facet(field, {}, out);
    facet("name", condition_of("share_100", "eq", "in"), out);
    for (const char* field : {"name", "n"}) sort(field, {}, out);
    return out;
  }

 private:
  void read_texts() {
    std::ifstream in(o_.texts);
    for (std::string line; texts_.size() < rows_ && std::getline(in, line);)
      texts_.emplace_back(json::parse(line).at("text").as_string());
  }

  // Fields of "offer", which no schema declares: nearly every row has values of its own.
  void undeclared(boost::json::array& out) {
    const auto time = [](int64_t second) { return json::value(json::string(format_timestamp(kStartUs + second * 1'000'000))); };
    json::object prefix = condition_json("offer.id", "starts_with", "offer_00");
    prefix["case_sensitive"] = true;
    const json::array autumn{condition_json("offer.seen", "gte", time(200'000)), condition_json("offer.seen", "lt", time(300'000))};
    count("undeclared text eq", condition_of("offer.id", "eq", offer_id(rows_ / 2)), out);
    count("undeclared text in, 3", condition_of("offer.id", "in", json::array{offer_id(1), offer_id(rows_ / 2), "none"}), out);
    count("undeclared text starts_with, case", filter_of(prefix), out);
    count("undeclared text contains", condition_of("offer.id", "contains", "_77"), out);
    count("undeclared number range, 10 %", condition_of("offer.price", "gte", 90.0), out);
    count("undeclared time range, 10 %", filter_of(autumn), out);
    for (const char* field : {"shop", "offer.id", "offer.price"}) {
      sort(field, {}, out);
      sort(field, condition_of("share_100", "eq", "in"), out);
      facet(field, {}, out);
      facet(field, condition_of("share_100", "eq", "in"), out);
      groups(field, out);
    }
  }

  static json::string offer_id(size_t row) { return json::string(fmt::format("offer_{:016x}", row * 0x9e3779b97f4a7c15)); }

  void words(boost::json::array& out) {
    count("text, two words", condition_of("text", "text", "kernel memory"), out);
    count("words, one of two", condition_of("text", "words", "kernel memory"), out);
    count("words, the", condition_of("text", "words", "the"), out);
    count("phrase", condition_of("text", "phrase", "file descriptor"), out);
    count("phrase of frequent words", condition_of("text", "phrase", "of the"), out);
    count("text contains", condition_of("text", "contains", "kernel"), out);
  }

  void groups(const std::string& field, boost::json::array& out) {
    SearchRequest r = request(0, {});
    r.exact = true;
    r.group = GroupSpec{field, 3, 10};
    const auto run = [&] { return must(store_->search(r)); };
    time_alone("exact groups by " + field, run().hits.size(), run, out);
  }

  Document document(size_t i) const {
    std::mt19937_64 random(i * 977 + 5);
    std::uniform_real_distribution<double> unit;
    Document d;
    d.document_id = fmt::format("doc_{:07}", i);
    for (const double share : kShares) d.payload[share_field(share)] = unit(random) < share ? "in" : "out";
    d.payload["n"] = int64_t(random() % 1'000'000);
    d.payload["price"] = 100 * unit(random);
    d.payload["at"] = format_timestamp(kStartUs + int64_t(random() % 1'000'000) * 1'000'000);
    d.payload["ok"] = random() % 4 == 0;
    d.payload["name"] = fmt::format("name_{:03}", random() % 1000);
    d.payload["side"] = places_[i];
    if (!texts_.empty()) d.payload["text"] = texts_[i % texts_.size()];
    d.payload["place"] = {{"lat", 180 * unit(random) - 90}, {"lon", 360 * unit(random) - 180}};
    const auto seen = format_timestamp(kStartUs + int64_t(random() % 1'000'000) * 1'000'000);
    d.payload["offer"] = {{"id", offer_id(i)}, {"price", 100 * unit(random)}, {"seen", seen}};
    d.payload["shop"] = fmt::format("shop_{}", random() % 20);
    d.vectors = {{"v", std::vector<float>(base_.row(i), base_.row(i) + base_.dimension)}};
    return d;
  }

  Filter filter(const std::string& kind, size_t q, double share) const {
    if (kind == kKinds[0]) return condition_of(share_field(share), "eq", "in");
    if (kind == kKinds[1]) return condition_of("n", "lt", int64_t(share * 1'000'000));
    if (kind == kKinds[4]) return condition_of("offer.price", "lt", share * 100);
    return side(q, share, kind == kKinds[2]);
  }

  // The share of the rows that lie at the query's end of the main direction, or at the other.
  Filter side(size_t q, double share, bool same) const {
    const auto n = size_t(share * double(rows_));
    const bool high = (along(axis_, query_.row(q)) > sorted_places_[rows_ / 2]) == same;
    return high ? condition_of("side", "gte", sorted_places_[rows_ - n]) : condition_of("side", "lt", sorted_places_[n]);
  }

  SearchRequest request(size_t q, Filter filter) const {
    SearchRequest r;
    r.table_id = kTable;
    r.vector_name = "v";
    r.query = DenseQuery{std::vector<float>(query_.row(q), query_.row(q) + query_.dimension)};
    r.filter = std::move(filter);
    r.k = kBest;
    r.effort = o_.effort;
    r.projection = {.payload = false};
    return r;
  }

  std::set<std::string> ids(const SearchRequest& r) const {
    std::set<std::string> out;
    for (const auto& hit : must(store_->search(r)).hits) out.insert(hit.document.document_id);
    return out;
  }

  // The least processor time of a round over all queries, in microseconds a query.
  template <class FilterOf>
  double measure(const std::string& what, double share, FilterOf&& filter_of, double plain_us, boost::json::array& out) {
    size_t found = 0, wanted = 0;
    for (size_t q = 0; q < std::min(o_.truths, query_.count); ++q) {
      SearchRequest r = request(q, filter_of(q));
      const auto quick = ids(r);
      r.exact = true;
      const auto exact = ids(r);
      wanted += exact.size();
      for (const auto& id : quick) found += exact.contains(id);
    }
    std::vector<SearchRequest> requests;
    for (size_t q = 0; q < query_.count; ++q) requests.push_back(request(q, filter_of(q)));
    double best_us = 1e18, best_wall_us = 1e18;
    for (size_t round = 0; round < o_.rounds; ++round) {
      const auto start = std::chrono::steady_clock::now();
      const double cpu = cpu_seconds();
      for (const auto& r : requests) must(store_->search(r));
      best_us = std::min(best_us, 1e6 * (cpu_seconds() - cpu) / double(requests.size()));
      best_wall_us = std::min(best_wall_us, 1e6 * seconds_since(start) / double(requests.size()));
    }
    const double recall = wanted == 0 ? 1 : double(found) / double(wanted), ratio = plain_us > 0 ? plain_us / best_us : 1;
    fmt::print("{:18} {:6.2f} % recall {:.4f} cpu {:7.1f} us wall {:7.1f} us, {:.2f} of the rate without a filter\n", what, share * 100,
               recall, best_us, best_wall_us, ratio);
    std::fflush(stdout);
    out.push_back(
        {{"filter", what}, {"share", share}, {"recall", recall}, {"cpu_us", best_us}, {"wall_us", best_wall_us}, {"of_plain", ratio}});
    return best_us;
  }

  template <class F>
  void time_alone(const std::string& what, uint64_t result, F&& run, boost::json::array& out) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    const double early_us = 1e6 * seconds_since(begin);
    for (int i = 0; i < 5; ++i) run();  // indexes are made on the way
    double best_us = 1e18;
    for (int round = 0; round < 5; ++round) {
      int n = 0;
      const auto start = std::chrono::steady_clock::now();
      for (; n < 3 || (seconds_since(start) < 0.02 && n < 1000); ++n) run();
      best_us = std::min(best_us, 1e6 * seconds_since(start) / n);
    }
    fmt::print("{:32} {:8} {:10.1f} us, asked first {:10.1f} us\n", what, result, best_us, early_us);
    std::fflush(stdout);
    out.push_back({{"what", what}, {"result", result}, {"us", best_us}, {"early_us", early_us}});
  }
  void count(const std::string& what, const Filter& filter, boost::json::array& out) {
    time_alone(
        what, must(store_->count(kTable, filter)), [&] { must(store_->count(kTable, filter)); }, out);
  }
  void facet(const std::string& field, const Filter& filter, boost::json::array& out) {
    const auto run = [&] { return must(store_->facet(kTable, filter, field, 10)); };
    time_alone("facet of " + field + (filter.matches_all() ? "" : " where 10 %"), run().front().count, run, out);
  }
  void sort(const std::string& field, const Filter& filter, boost::json::array& out) {
    ScanRequest r;
    r.table_id = kTable;
    r.filter = filter;
    r.sort = SortSpec{.field = field};
    r.limit = 10;
    r.projection = {.payload = false};
    const auto run = [&] { return must(store_->scan(r)); };
    time_alone("sort by " + field + (filter.matches_all() ? "" : " where 10 %"), run().documents.size(), run, out);
  }

  const Options& o_;
  const Rows<float> base_, query_;
  const size_t rows_;
  const std::vector<double> axis_;
  std::vector<double> places_, sorted_places_;
  std::vector<std::string> texts_;
  Executor executor_;
  std::unique_ptr<objects::ObjectStore> objects_;
  std::unique_ptr<VectorStore> store_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Filtered search through the vector store: recall and processor time by the share of rows that a filter lets through.");
  Options o;
  app.add_option("--base", o.base, "vectors to index, .fvecs")->required();
  app.add_option("--query", o.query, "queries, .fvecs")->required();
  app.add_option("--json", o.json, "where results go as well");
  app.add_option("--texts", o.texts, "JSON lines whose \"text\" the rows get, for filters by words");
  app.add_option("--limit", o.limit, "rows indexed; 0: all");
  app.add_option("--effort", o.effort, "of the searches; 0: the store's choice");
  app.add_option("--truths", o.truths, "queries whose recall is measured");
  app.add_option("--rounds", o.rounds, "over all queries; the quickest counts");
  app.add_option("--alone", o.alone, "measure filters, facets, groups and sorts without a filtered search too");
  app.add_option("--shares", o.shares, "of the rows that filters let through")->delimiter(',')->check(CLI::IsMember(Options().shares));
  app.add_option("--kinds", o.kinds, "of filters")->delimiter(',')->check(CLI::IsMember(Options().kinds));
  CLI11_PARSE(app, argc, argv);
  Bench bench(o);
  bench.load();
  boost::json::object out{{"searches", bench.searches()}};
  if (o.alone) out["alone"] = bench.filters_alone();
  if (!o.json.empty()) std::ofstream(o.json) << boost::json::serialize(out) << "\n";
}
