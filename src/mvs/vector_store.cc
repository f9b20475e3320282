// The registry of tables, and the read side of VectorStore.
#include <fmt/format.h>

#include <array>
#include <shared_mutex>
#include <span>

#include "base/log.h"
#include "mvs/cold/cold_reads.h"
#include "mvs/hot/exact_search.h"
#include "mvs/hot/facet.h"
#include "mvs/hot/scan.h"
#include "mvs/index/dense_search.h"
#include "mvs/index/recall_probe.h"
#include "mvs/log_follower.h"
#include "mvs/table.h"
#include "mvs/text/text_search.h"
#include "mvs/tiering/eviction_policy.h"
#include "mvs/tiering/tier_metrics.h"

namespace quarry::mvs {
namespace {

class VectorStoreImpl : public VectorStore {
 public:
  explicit VectorStoreImpl(const StoreOptions& options)
      : shared_(std::make_shared<StoreShared>(options)),
        recall_probe_(std::make_shared<RecallProbe>(options.background != nullptr ? options.background : options.executor, *options.clock,
                                                    options.recall_probe_interval_us)) {
    if (options.follow_interval_us > 0) follower_ = std::make_unique<LogFollower>(options.follow_interval_us, [this] { return all(); });
    shared_->make_room = [this](uint64_t excess_bytes, const Table* needed) { make_room(excess_bytes, needed); };
  }

  ~VectorStoreImpl() override {
    close();
    shared_->cold.stop();
  }

  void close() override {
    follower_.reset();
    for (const auto& table : all()) table->close();
  }

  Status create_table(const TableSpec& spec) override {
    QUARRY_RETURN_IF_ERROR(check_spec(spec));
    if (find(spec.table_id).ok()) return already_exists(fmt::format("table '{}' exists", spec.table_id));
    auto table = std::make_shared<Table>(shared_, spec);
    QUARRY_RETURN_IF_ERROR(table->create());
    std::unique_lock lock(mutex_);
    tables_.insert_or_assign(spec.table_id, std::move(table));
    return Ok{};
  }

  Status attach_table(const TableSpec& spec) override {
    QUARRY_RETURN_IF_ERROR(check_spec(spec));
    std::unique_lock lock(mutex_);
    if (!tables_.contains(spec.table_id)) tables_.emplace(spec.table_id, std::make_shared<Table>(shared_, spec));
    return Ok{};
  }

  Status extend_table(const TableSpec& spec) override {
    QUARRY_ASSIGN_OR_RETURN(const auto table, find(spec.table_id));
    return table->extend(spec);
  }

  Status drop_table(std::string_view table_id) override {
    QUARRY_ASSIGN_OR_RETURN(const auto table, find(table_id));
    QUARRY_RETURN_IF_ERROR(table->drop());
    std::unique_lock lock(mutex_);
    tables_.erase(std::string(table_id));
    return Ok{};
  }

  Result<WriteResult> write(std::string_view table_id, WriteBatch batch) override {
    QUARRY_ASSIGN_OR_RETURN(const auto table, find(table_id));
    return table->write(std::move(batch));
  }

  Result<uint64_t> delete_where(std::string_view table_id, const Filter& filter) override {
    QUARRY_ASSIGN_OR_RETURN(const auto table, find(table_id));
    return table->delete_where(filter);
  }

  Result<SearchResult> search(const SearchRequest& request) override {
    const auto whole = [&](const ServedSnapshot& served) { return search_whole(served, request); };
    const auto in_parts = [&] {
      return [request, options = cold_options()](const ColdView& view) { return cold_search(view, request, options); };
    };
    auto out = read<SearchResult>(request.table_id, request.deadline_us, whole, in_parts);
    if (out.ok()) TierMetrics::searches(out->tier).Increment();
    return out;
  }

  Result<std::vector<Document>> get(std::string_view table_id, const std::vector<std::string>& document_ids,
                                    const Projection& projection) override {
    const auto whole = [&](const ServedSnapshot& served) { return get_whole(*served.snapshot, document_ids, projection); };
    const auto in_parts = [&] {
      return [document_ids, projection](const ColdView& view) { return cold_get(view, document_ids, projection); };
    };
    return read<std::vector<Document>>(table_id, INT64_MAX, whole, in_parts);
  }

  Result<ScanResult> scan(const ScanRequest& request) override {
    const auto whole = [&](const ServedSnapshot& served) { return scan_snapshot(*served.snapshot, request, shared_->options.executor); };
    const auto in_parts = [&] {
      return [request, options = cold_options()](const ColdView& view) { return cold_scan(view, request, options); };
    };
    return read<ScanResult>(request.table_id, INT64_MAX, whole, in_parts);
  }

  Status for_each(std::string_view table_id, const Filter& filter, const Projection& projection,
                  const std::function<bool(const Document&)>& visit) override {
    QUARRY_ASSIGN_OR_RETURN(const auto table, find(table_id));
    QUARRY_RETURN_IF_ERROR(table->begin_read(INT64_MAX));
    QUARRY_ASSIGN_OR_RETURN(const ServedSnapshot served, table->serve(INT64_MAX));
    return visit_rows(*served.snapshot, filter, projection, visit);
  }

  Result<uint64_t> count(std::string_view table_id, const Filter& filter) override {
    const auto whole = [&](const ServedSnapshot& served) { return count_rows(*served.snapshot, filter, shared_->options.executor); };
    const auto in_parts = [&] {
      return [filter, options = cold_options()](const ColdView& view) { return cold_count(view, filter, options); };
    };
    return read<uint64_t>(table_id, INT64_MAX, whole, in_parts);
  }

  Result<std::vector<FacetValue>> facet(std::string_view table_id, const Filter& filter, const std::string& field, size_t limit) override {
    const auto whole = [&](const ServedSnapshot& served) { return facet_rows(*served.snapshot, filter, field, limit); };
    const auto in_parts = [&] {
      return [filter, field, limit](const ColdView& view) { return cold_facet(view, filter, field, limit); };
    };
    return read<std::vector<FacetValue>>(table_id, INT64_MAX, whole, in_parts);
  }

  Result<TableStats> stats(std::string_view table_id) override {
    QUARRY_ASSIGN_OR_RETURN(const auto table, find(table_id));
    return table->stats();
  }

  Status set_tier(std::string_view table_id, Tier tier) override {
    QUARRY_ASSIGN_OR_RETURN(const auto table, find(table_id));
    return table->set_tier(tier);
  }

  void release_memory(std::string_view table_id) override {
    if (const auto table = find(table_id); table.ok()) (*table)->evict();
  }

  std::vector<TableUsage> usage() override {
    std::vector<TableUsage> out;
    std::shared_lock lock(mutex_);
    for (const auto& [id, table] : tables_) out.push_back(table->usage());
    return out;
  }

  Status maintain(std::string_view table_id) override {
    QUARRY_ASSIGN_OR_RETURN(const auto table, find(table_id));
    return table->maintain();
  }

 private:
  static Status check_spec(const TableSpec& spec) {
    if (spec.table_id.empty()) return bad_request("a table needs an id");
    if (auto analyzer = Analyzer::make(spec.text_language); !analyzer.ok()) return std::move(analyzer).error();
    return objects::validate_key(spec.prefix + "/_delta_log/00000000000000000000.json");
  }

  ColdReadOptions cold_options() const { return {shared_->options.executor, shared_->options.clock}; }

  // `whole` answers from a snapshot. `in_parts`, asked for cold tables only, gives what answers from a view and holds what it needs for that.
  template <class T, class Whole, class InParts>
  Result<T> read(std::string_view table_id, int64_t deadline_us, const Whole& whole, const InParts& in_parts) const {
    QUARRY_ASSIGN_OR_RETURN(const auto table, find(table_id));
    QUARRY_ASSIGN_OR_RETURN(const bool is_cold, table->begin_read(deadline_us));
    if (is_cold) return table->read_in_parts<T>(in_parts(), deadline_us);
    QUARRY_ASSIGN_OR_RETURN(const ServedSnapshot served, table->serve(deadline_us));
    return whole(served);
  }

  static Result<std::vector<Document>> get_whole(const Snapshot& snapshot, const std::vector<std::string>& document_ids,
                                                 const Projection& projection) {
    std::vector<Document> out;
    for (const auto& id : document_ids) {
      const auto ref = snapshot.find(id);
      if (!ref) continue;
      QUARRY_ASSIGN_OR_RETURN(auto document, snapshot.view(ref->segment)->segment->block().document(ref->row, projection));
      out.push_back(std::move(document));
    }
    return out;
  }

  Result<SearchResult> search_whole(const ServedSnapshot& served, const SearchRequest& request) const {
    QUARRY_ASSIGN_OR_RETURN(const ExactResult found, search_served(served, request));
    SearchResult out;
    out.tier = served.tier;
    out.version = served.snapshot->version;
    out.rows_scored = found.rows_scored;
    QUARRY_RETURN_IF_ERROR(read_hits(found.rows, request.projection, out.hits));
    return out;
  }

  // Documents lie far apart: each would wait for memory, one line after another.
  static Status read_hits(std::span<const ScoredRow> rows, const Projection& projection, std::vector<Hit>& out) {
    constexpr size_t kFetchedAtOnce = 16;
    out.reserve(rows.size());
    for (; !rows.empty(); rows = rows.subspan(std::min(kFetchedAtOnce, rows.size()))) {
      const auto some = rows.first(std::min(kFetchedAtOnce, rows.size()));
      for (const ScoredRow& row : some) row.view->segment->block().prefetch_values(row.row);
      for (const ScoredRow& row : some) row.view->segment->block().prefetch_texts(row.row);
      for (const ScoredRow& row : some) {
        QUARRY_ASSIGN_OR_RETURN(auto document, row.view->segment->block().document(row.row, projection));
        out.push_back({row.score, std::move(document)});
      }
    }
    return Ok{};
  }

  Result<ExactResult> search_served(const ServedSnapshot& served, const SearchRequest& request) const {
    if (const auto* text = std::get_if<TextQuery>(&request.query))
      return text_search(*served.snapshot, request, *text, shared_->options.executor, *shared_->options.clock);
    QUARRY_ASSIGN_OR_RETURN(const auto scorer, make_row_scorer(*served.snapshot->schema, request));
    return vector_search(served, request, *scorer);
  }

  Result<ExactResult> vector_search(const ServedSnapshot& served, const SearchRequest& request, const RowScorer& scorer) const {
    const StoreOptions& options = shared_->options;
    const auto index = served.indexes->find(request.vector_name);
    if (request.exact || index == served.indexes->end())
      return exact_search(*served.snapshot, request, scorer, options.executor, *options.clock);
    if (request.group) return indexed_groups(*served.snapshot, *index->second, request, scorer, options.executor, *options.clock);
    auto found = indexed_search(*served.snapshot, *index->second, request, scorer, options.executor, *options.clock);
    if (found.ok()) recall_probe_->note(served.snapshot, request, *found);
    return found;
  }

  Result<std::shared_ptr<Table>> find(std::string_view table_id) const {
    std::shared_lock lock(mutex_);
    const auto it = tables_.find(table_id);
    if (it == tables_.end()) return not_found(fmt::format("table '{}' does not exist", table_id));
    return it->second;
  }

  std::vector<std::shared_ptr<Table>> all() const {
    std::shared_lock lock(mutex_);
    std::vector<std::shared_ptr<Table>> out;
    for (const auto& [id, table] : tables_) out.push_back(table);
    return out;
  }

  // What the cold tier keeps goes first, then the tables that were read longest ago.
  void make_room(uint64_t excess_bytes, const Table* needed) const {
    const uint64_t cached_bytes = shared_->cold.cached_bytes();
    shared_->cold.clear();
    const uint64_t freed_bytes = cached_bytes - std::min(cached_bytes, shared_->cold.cached_bytes());
    excess_bytes -= std::min(excess_bytes, freed_bytes);
    const auto tables = all();
    std::vector<EvictionCandidate> candidates;
    for (const auto& table : tables) {
      const TableUsage usage = table->usage();
      candidates.push_back({usage.memory_bytes, usage.last_read_us, usage.tier == Tier::kActive && table.get() != needed});
    }
    for (const size_t i : pick_evictions(candidates, excess_bytes)) {
      if (!tables[i]->evict()) continue;
      log_info("a collection left memory for want of room; it is served from the cold tier",
               {{"table", tables[i]->usage().table_id}, {"bytes", candidates[i].bytes}});
    }
  }

  const std::shared_ptr<StoreShared> shared_;
  const std::shared_ptr<RecallProbe> recall_probe_;
  mutable std::shared_mutex mutex_;  // of the map; held for a look-up, never during input or output
  std::map<std::string, std::shared_ptr<Table>, std::less<>> tables_;
  std::unique_ptr<LogFollower> follower_;  // null: nobody follows; ends before the tables do
};

}  // namespace

std::string_view to_string(Metric metric) {
  switch (metric) {
    case Metric::kCosine: return "cosine";
    case Metric::kDot: return "dot";
    case Metric::kEuclidean: return "euclidean";
  }
  return "cosine";
}

std::string_view to_string(VectorKind kind) {
  switch (kind) {
    case VectorKind::kDense: return "dense";
    case VectorKind::kSparse: return "sparse";
    case VectorKind::kMulti: return "multi_dense";
  }
  return "dense";
}

Result<VectorKind> parse_vector_kind(std::string_view name) {
  for (const VectorKind kind : {VectorKind::kDense, VectorKind::kSparse, VectorKind::kMulti})
    if (to_string(kind) == name) return kind;
  return bad_request(fmt::format("unknown vector type '{}': dense, sparse or multi_dense", name.substr(0, 100)));
}

std::string_view to_string(Tier tier) { return tier == Tier::kCold ? "cold" : "active"; }

Result<Metric> parse_metric(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, Metric>, 5> kNames{{{"cosine", Metric::kCosine},
                                                                              {"dot", Metric::kDot},
                                                                              {"euclidean", Metric::kEuclidean},
                                                                              {"l2", Metric::kEuclidean},
                                                                              {"dotproduct", Metric::kDot}}};
  for (const auto& [known, metric] : kNames)
    if (known == name) return metric;
  return bad_request(fmt::format("unknown metric '{}': cosine, dot or euclidean", name));
}

Result<std::unique_ptr<VectorStore>> VectorStore::open(StoreOptions options) {
  if (options.store == nullptr) return internal_error("the vector store needs an object store");
  if (options.checkpoint_interval < 1 || options.target_file_bytes == 0)
    return bad_request("checkpoint_interval and target_file_bytes must be positive");
  return std::unique_ptr<VectorStore>(std::make_unique<VectorStoreImpl>(options));
}

}  // namespace quarry::mvs
