// Search by words, one thread: bench-text PARAGRAPHS.jsonl QUERIES.txt ROUNDS. One JSON line: what building took, and for the segment alone
// and for VectorStore::search (with and without the documents' payload) queries a second, percentiles of the latency and the best of
// each query as line numbers.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>

#include "mvs/hot/snapshot.h"
#include "mvs/text/text_search.h"
#include "mvs/warm/row_encoder.h"

namespace quarry::mvs {
namespace {

constexpr const char* kTable = "col_bench";
constexpr size_t kBatch = 5000, kBest = 10, kShown = 30;

double cpu_s() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) / 1e9;
}

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::vector<std::string> read_lines(const char* path) {
  std::ifstream in(path);
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(std::move(line));
  return out;
}

std::string id_of(size_t line) { return fmt::format("p{:06}", line); }

std::vector<Document> read_documents(const char* path) {
  std::vector<Document> out;
  for (const auto& line : read_lines(path)) {
    Document d;
    d.document_id = id_of(out.size());
    d.payload["text"] = json::parse(line).at("text");
    out.push_back(std::move(d));
  }
  return out;
}

SearchRequest request_of(const std::string& words, size_t k) {
  SearchRequest r;
  r.table_id = kTable;
  r.query = TextQuery{.text = words};
  r.k = k;
  return r;
}

using Hits = std::vector<std::string>;
using Search = std::function<Hits(const std::string& words, size_t k)>;

// Every query once for warmth and for the kShown best, then `rounds` times for the ten best. CPU times leave out what others on the machine
// take.
json::object measure(const std::vector<std::string>& queries, int rounds, const Search& search) {
  std::vector<double> took, cpu;
  json::array found;
  for (const auto& query : queries) {
    json::array ids;
    for (const auto& id : search(query, kShown)) ids.emplace_back(std::stoi(id.substr(1)));
    found.push_back(std::move(ids));
  }
  const double began = now_s();
  for (int round = 0; round < rounds; ++round)
    for (const auto& query : queries) {
      const double before = now_s(), cpu_before = cpu_s();
      search(query, kBest);
      cpu.push_back(cpu_s() - cpu_before);
      took.push_back(now_s() - before);
    }
  const double seconds = now_s() - began;
  std::sort(took.begin(), took.end());
  std::sort(cpu.begin(), cpu.end());
  return {{"qps", double(took.size()) / seconds},
          {"p50_us", took[took.size() / 2] * 1e6},
          {"p99_us", took[took.size() * 99 / 100] * 1e6},
          {"cpu_p99_us", cpu[cpu.size() * 99 / 100] * 1e6},
          {"found", std::move(found)}};
}

TableSpec spec() { return {kTable, "bench/ns/col", {}, {{"text", FieldType::kText}}}; }

Result<json::object> over_segment(const std::vector<Document>& documents, const std::vector<std::string>& queries, int rounds) {
  QUARRY_ASSIGN_OR_RETURN(TableSchema made, TableSchema::from_spec(spec()));
  const auto schema = std::make_shared<const TableSchema>(std::move(made));
  RowEncoder encoder(schema, documents.size());
  for (const auto& d : documents) QUARRY_RETURN_IF_ERROR(encoder.append(d));
  QUARRY_ASSIGN_OR_RETURN(auto batch, encoder.finish());
  QUARRY_ASSIGN_OR_RETURN(auto block, RowBlock::make(schema, std::move(batch)));
  Snapshot snapshot;
  snapshot.schema = schema;
  snapshot.views.push_back({std::make_shared<const Segment>(1, std::move(block)), nullptr, nullptr, documents.size()});
  QUARRY_ASSIGN_OR_RETURN(snapshot.analyzer, Analyzer::make("english"));
  const Segment& segment = *snapshot.views[0].segment;
  const double began = now_s();
  QUARRY_ASSIGN_OR_RETURN(const auto text, segment.text().field(segment, "text", snapshot.analyzer, nullptr, nullptr));
  const double seconds = now_s() - began;
  uint64_t scored = 0;
  Error failure;
  json::object out = measure(queries, rounds, [&](const std::string& words, size_t k) {
    const SearchRequest request = request_of(words, k);
    const auto found = text_search(snapshot, request, std::get<TextQuery>(request.query), nullptr, system_clock());
    Hits hits;
    if (!found.ok()) return failure = found.error(), hits;
    scored += found->rows_scored;
    for (const auto& row : found->rows) hits.emplace_back(row.view->segment->block().document_id(row.row));
    return hits;
  });
  if (!failure.message.empty()) return failure;
  out["build_s"] = seconds;
  out["index_bytes"] = text.index->bytes().size();
  out["terms"] = text.index->terms();
  out["rows_scored"] = double(scored) / double(queries.size() * size_t(rounds + 1));
  return out;
}

Result<json::object> over_store(const std::vector<Document>& documents, const std::vector<std::string>& queries, int rounds, bool payload) {
  const auto objects = objects::make_memory_store();
  QUARRY_ASSIGN_OR_RETURN(const auto store, VectorStore::open({.store = objects.get(), .commit_window_us = 0}));
  QUARRY_RETURN_IF_ERROR(store->create_table(spec()));
  for (size_t at = 0; at < documents.size(); at += kBatch) {
    WriteBatch batch;
    batch.upserts.assign(documents.begin() + ptrdiff_t(at), documents.begin() + ptrdiff_t(std::min(at + kBatch, documents.size())));
    QUARRY_RETURN_IF_ERROR(store->write(kTable, std::move(batch)));
  }
  QUARRY_RETURN_IF_ERROR(store->maintain(kTable));
  Error failure;
  json::object out = measure(queries, rounds, [&](const std::string& words, size_t k) {
    SearchRequest request = request_of(words, k);
    request.projection.payload = payload;
    const auto found = store->search(request);
    Hits hits;
    if (!found.ok()) return failure = found.error(), hits;
    for (const auto& hit : found->hits) hits.push_back(hit.document.document_id);
    return hits;
  });
  if (!failure.message.empty()) return failure;
  QUARRY_ASSIGN_OR_RETURN(const auto stats, store->stats(kTable));
  out["segments"] = stats.files;
  return out;
}

int run(const char* paragraphs, const char* queries_path, int rounds) {
  const auto documents = read_documents(paragraphs);
  const auto queries = read_lines(queries_path);
  if (documents.empty() || queries.empty() || rounds < 1) return std::fprintf(stderr, "no paragraphs, no queries or no rounds\n"), 1;
  json::object out{{"paragraphs", documents.size()}, {"queries", queries.size()}};
  const auto keep = [&](const char* name, Result<json::object> result) {
    if (result.ok())
      out[name] = std::move(result).value();
    else
      std::fprintf(stderr, "%s: %s\n", name, result.error().message.c_str());
    return out.contains(name);
  };
  if (!keep("segment", over_segment(documents, queries, rounds)) || !keep("store", over_store(documents, queries, rounds, false)) ||
      !keep("store_payload", over_store(documents, queries, rounds, true)))
    return 1;
  std::printf("%s\n", json::serialize(out).c_str());
  return 0;
}

}  // namespace
}  // namespace quarry::mvs

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: %s PARAGRAPHS.jsonl QUERIES.txt ROUNDS\n", argv[0]), 2;
  return quarry::mvs::run(argv[1], argv[2], std::atoi(argv[3]));
}
