#include "mvs/cold/cold_reads.h"

#include <algorithm>

#include "base/hash.h"
#include "mvs/cold/dense_candidates.h"
#include "mvs/hot/exact_search.h"
#include "mvs/hot/facet.h"
#include "mvs/hot/scan.h"
#include "mvs/text/text_search.h"

namespace quarry::mvs {
namespace {

// Rows found, and what they point into.
struct Found {
  std::shared_ptr<const Snapshot> snapshot;
  ExactResult result;
};

ColdNeeds needs_of(const SearchRequest& request, const TableSchema& schema) {
  ColdNeeds out;
  need_filter(request.filter, out);
  if (request.group) need_field(request.group->field, out);
  if (const auto* text = std::get_if<TextQuery>(&request.query)) {
    const auto fields = text->fields.empty() ? text_fields(schema) : text->fields;
    out.text_fields.insert(fields.begin(), fields.end());
    out.text = text;
  } else if (const int column = schema.find_vector(request.vector_name); column >= 0) {
    out.columns.insert(schema.columns()[size_t(column)].name);
  }
  return out;
}

// Every row is scored.
Result<Found> search_columns(const ColdView& view, const SearchRequest& request, const ColdReadOptions& options) {
  Found out;
  std::unique_ptr<RowScorer> scorer;
  const auto* text = std::get_if<TextQuery>(&request.query);
  if (text == nullptr) {
    QUARRY_ASSIGN_OR_RETURN(scorer, make_row_scorer(*view.schema(), request));
  }
  QUARRY_ASSIGN_OR_RETURN(out.snapshot, view.snapshot(needs_of(request, *view.schema())));
  if (text != nullptr) {
    QUARRY_ASSIGN_OR_RETURN(out.result, text_search(*out.snapshot, request, *text, options.executor, *options.clock));
  } else {
    QUARRY_ASSIGN_OR_RETURN(out.result, exact_search(*out.snapshot, request, *scorer, options.executor, *options.clock));
  }
  return out;
}

// The files that have no lists for the query: they are in memory.
void add_whole_files(const ColdView& view, Snapshot& out) {
  for (const auto& file : view.files())
    if (file.cold == nullptr) out.views.push_back({file.segment, file.file, file.deleted, file.live});
}

// Candidates by their codes, read whole and scored.
Result<Found> search_candidates(const ColdView& view, const SearchRequest& request, const ColdReadOptions& options) {
  QUARRY_ASSIGN_OR_RETURN(const auto scorer, make_row_scorer(*view.schema(), request));
  std::shared_ptr<const Snapshot> matching;
  if (!request.filter.matches_all()) {
    ColdNeeds needs;
    need_filter(request.filter, needs);
    QUARRY_ASSIGN_OR_RETURN(matching, view.snapshot(needs));
  }
  QUARRY_ASSIGN_OR_RETURN(const auto candidates, dense_candidates(view, request, matching.get()));
  QUARRY_ASSIGN_OR_RETURN(const auto rows, view.rows(candidates));
  auto snapshot = std::make_shared<Snapshot>(*rows);
  add_whole_files(view, *snapshot);
  Found out;
  QUARRY_ASSIGN_OR_RETURN(out.result, exact_search(*snapshot, request, *scorer, options.executor, *options.clock));
  out.snapshot = std::move(snapshot);
  return out;
}

// The best groups out of as many of the best rows as fill them. Nothing: that would be a large part of the table.
Result<std::optional<Found>> search_groups(const ColdView& view, const SearchRequest& request, const ColdReadOptions& options) {
  constexpr size_t kMostRows = 1024;
  Found out;
  QUARRY_ASSIGN_OR_RETURN(auto groups, groups_of_best(request, kMostRows, [&](const SearchRequest& rows) -> Result<ExactResult> {
                            QUARRY_ASSIGN_OR_RETURN(out, search_candidates(view, rows, options));
                            return std::move(out.result);
                          }));
  if (!groups) return std::optional<Found>();
  out.result = std::move(*groups);
  return std::optional<Found>(std::move(out));
}

std::vector<RowRef> refs_of(const std::vector<ScoredRow>& rows) {
  std::vector<RowRef> out;
  for (const ScoredRow& row : rows) out.push_back({row.view->segment->uid(), row.row});
  return out;
}

SearchResult result_of(const ColdView& view, const Found& found) {
  SearchResult out;
  out.tier = Tier::kCold;
  out.version = view.version();
  out.rows_scored = found.result.rows_scored;
  return out;
}

// The rows are whole.
Result<SearchResult> hits_of(const ColdView& view, const Found& found, const Projection& projection) {
  SearchResult out = result_of(view, found);
  for (const ScoredRow& row : found.result.rows) {
    QUARRY_ASSIGN_OR_RETURN(auto document, row.view->segment->block().document(row.row, projection));
    out.hits.push_back({row.score, std::move(document)});
  }
  return out;
}

Result<SearchResult> read_hits(const ColdView& view, const Found& found, const Projection& projection) {
  SearchResult out = result_of(view, found);
  QUARRY_ASSIGN_OR_RETURN(auto documents, view.documents(refs_of(found.result.rows), projection));
  for (size_t i = 0; i < documents.size(); ++i) out.hits.push_back({found.result.rows[i].score, std::move(documents[i])});
  return out;
}

// Without the index that a snapshot in memory has; of several rows the newest file's.
std::optional<RowRef> find_row(const Snapshot& snapshot, std::string_view document_id) {
  const uint64_t hash = hash64(document_id);
  for (auto view = snapshot.views.rbegin(); view != snapshot.views.rend(); ++view) {
    const auto& hashes = view->segment->id_hashes();
    for (auto at = std::find(hashes.begin(), hashes.end(), hash); at != hashes.end(); at = std::find(at + 1, hashes.end(), hash)) {
      const auto row = size_t(at - hashes.begin());
      if (view->is_live(row) && view->segment->block().document_id(row) == document_id) return RowRef{view->segment->uid(), uint32_t(row)};
    }
  }
  return std::nullopt;
}

}  // namespace

Result<SearchResult> cold_search(const ColdView& view, const SearchRequest& request, const ColdReadOptions& options) {
  if (std::holds_alternative<DenseQuery>(request.query) && !request.exact) {
    if (!request.group) {
      QUARRY_ASSIGN_OR_RETURN(const Found found, search_candidates(view, request, options));
      return hits_of(view, found, request.projection);
    }
    QUARRY_ASSIGN_OR_RETURN(const auto found, search_groups(view, request, options));
    if (found) return hits_of(view, *found, request.projection);
  }
  QUARRY_ASSIGN_OR_RETURN(const Found found, search_columns(view, request, options));
  return read_hits(view, found, request.projection);
}

Result<std::vector<Document>> cold_get(const ColdView& view, const std::vector<std::string>& document_ids, const Projection& projection) {
  QUARRY_ASSIGN_OR_RETURN(const auto snapshot, view.snapshot({}));
  std::vector<RowRef> rows;
  for (const auto& id : document_ids)
    if (const auto row = find_row(*snapshot, id)) rows.push_back(*row);
  return view.documents(rows, projection);
}

Result<ScanResult> cold_scan(const ColdView& view, const ScanRequest& request, const ColdReadOptions& options) {
  ColdNeeds needs;
  need_filter(request.filter, needs);
  if (request.sort) {
    need_field(request.sort->field, needs);
    need_field(request.sort->fallback_field, needs);
  }
  QUARRY_ASSIGN_OR_RETURN(const auto snapshot, view.snapshot(needs));
  QUARRY_ASSIGN_OR_RETURN(const RowPage page, scan_rows(*snapshot, request, options.executor));
  ScanResult out;
  out.version = view.version();
  out.has_more = page.has_more;
  out.total = page.total;
  QUARRY_ASSIGN_OR_RETURN(out.documents, view.documents(page.refs(), request.projection));
  return out;
}

Result<uint64_t> cold_count(const ColdView& view, const Filter& filter, const ColdReadOptions& options) {
  if (filter.matches_all()) {
    uint64_t rows = 0;
    for (const auto& file : view.files()) rows += file.live;
    return rows;
  }
  ColdNeeds needs;
  need_filter(filter, needs);
  QUARRY_ASSIGN_OR_RETURN(const auto snapshot, view.snapshot(needs));
  return count_rows(*snapshot, filter, options.executor);
}

Result<std::vector<FacetValue>> cold_facet(const ColdView& view, const Filter& filter, const std::string& field, size_t limit) {
  ColdNeeds needs;
  need_filter(filter, needs);
  need_field(field, needs);
  QUARRY_ASSIGN_OR_RETURN(const auto snapshot, view.snapshot(needs));
  return facet_rows(*snapshot, filter, field, limit);
}

}  // namespace quarry::mvs
