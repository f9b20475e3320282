#include "retrieval/scan.h"

#include <fmt/format.h>

#include <algorithm>

#include "retrieval/hydrate.h"
#include "retrieval/targets.h"

namespace quarry::retrieval {
namespace {

bool is_stage(const BoundStage& stage, std::string_view id) { return stage.parsed->stage_id == id; }

// How many rows can still matter after this stage.
size_t rows_wanted(const StageRun& run) {
  std::span<const BoundStage> next = run.following;
  if (!next.empty() && is_stage(next.front(), "sort_attribute")) next = next.subspan(1);
  if (!next.empty() && is_stage(next.front(), "limit"))
    return static_cast<size_t>(integer_of(next.front().parameters, "offset", 0) + integer_of(next.front().parameters, "limit", 10));
  const ExecuteOptions& options = run.execution.options;
  if (next.empty() && options.limit > 0 && options.after_document_id.empty()) return options.offset + options.limit + 1;
  return SIZE_MAX;
}

std::optional<RowOrder> following_order(const StageRun& run) {
  if (run.following.empty() || !is_stage(run.following.front(), "sort_attribute")) return std::nullopt;
  return sort_order_of(run.following.front().parameters);
}

// Alike for all documents of a collection, and not the store's: a payload field of this name is another.
bool is_of_collection(std::string_view field) { return field == "score" || field == "collection_id" || field == "_source_tier"; }

struct Scanned {
  std::vector<Document> documents;
  uint64_t total = 0;       // that match
  uint64_t considered = 0;  // that there are
};

std::vector<Row> merge(std::vector<Scanned> scanned, const std::vector<const Collection*>& targets, const std::optional<RowOrder>& order) {
  std::vector<Row> rows;
  for (size_t i = 0; i < scanned.size(); ++i) {
    for (Document& document : scanned[i].documents) {
      Row row;
      row.collection = targets[i];
      row.document = std::move(document);
      row.tier = tier_of(*targets[i]);
      rows.push_back(std::move(row));
    }
  }
  std::sort(rows.begin(), rows.end(), ranks_before);  // all scores are 1: by document_id
  if (order) sort_rows(rows, *order);
  return rows;
}

void note_limit(StageRun& run, uint64_t total) {
  run.warn(fmt::format("Only {} of {} documents were read; narrow the filter, or search or limit earlier", kMaxScannedRows, total));
  run.execution.limits.push_back(json::object{{"name", "scanned_documents"},
                                              {"requested", total},
                                              {"applied", kMaxScannedRows},
                                              {"ceiling", kMaxScannedRows},
                                              {"stage", run.parsed.stage_name}});
}

}  // namespace

RowOrder sort_order_of(const json::object& parameters) {
  std::string field = text_of(parameters, "field", "metadata.created_at");
  // Documents whose metadata holds no times of its own sort by when they were written.
  std::string fallback = field == "metadata.created_at" || field == "metadata.updated_at" ? field.substr(field.find('.') + 1) : "";
  return {std::move(field), text_of(parameters, "direction", "desc") != "asc", bool_of(parameters, "nulls_last", true),
          std::move(fallback)};
}

Status scan_rows(StageRun& run, const Filter& filter, std::optional<RowOrder> order) {
  Execution& execution = run.execution;
  QUARRY_ASSIGN_OR_RETURN(std::vector<const Collection*> targets, target_collections(run, {}));
  if (!order) order = following_order(run);
  size_t wanted = rows_wanted(run);
  size_t cap = std::min(wanted, kMaxScannedRows);
  std::vector<Filter> parts{filter, execution.filter, execution.pushed};
  Filter all = all_of(std::move(parts));
  std::vector<Scanned> scanned(targets.size());
  auto read = [&](size_t i) -> Status {
    mvs::ScanRequest request;
    request.table_id = targets[i]->table_id();
    request.filter = for_collection(all, *targets[i]);
    if (order && !is_of_collection(order->field))
      request.sort = mvs::SortSpec{order->field, order->descending, order->nulls_last, order->fallback_field, true};
    request.limit = cap;
    request.with_total = true;
    QUARRY_ASSIGN_OR_RETURN(mvs::ScanResult result, execution.env.vectors->scan(request));
    scanned[i] = {std::move(result.documents), result.total.value_or(0), documents_in(execution, *targets[i])};
    return Ok{};
  };
  QUARRY_RETURN_IF_ERROR(read_targets(run, targets, read));
  uint64_t total = 0;
  for (const Scanned& one : scanned) {
    total += one.total;
    run.report.input_count += one.considered;
  }
  std::vector<Row> rows = merge(std::move(scanned), targets, order);
  if (rows.size() > cap) rows.resize(cap);
  if (wanted > kMaxScannedRows && total > kMaxScannedRows) note_limit(run, total);
  run.report.metadata["source_tiers"] = count_tiers(rows);
  run.report.metadata["matched"] = total;
  execution.rows = std::move(rows);
  execution.pushed = Filter{};
  execution.started = true;
  return Ok{};
}

uint64_t documents_in(const Execution& execution, const Collection& collection) {
  Result<mvs::TableStats> stats = execution.env.vectors->stats(collection.table_id());
  return stats.ok() ? stats->documents : 0;
}

Status ensure_rows(StageRun& run) { return run.execution.started ? Status(Ok{}) : scan_rows(run, Filter{}, std::nullopt); }

}  // namespace quarry::retrieval
