// sort_relevance: orders documents by a score.
#include <algorithm>
#include <numeric>

#include "retrieval/scan.h"

namespace quarry::retrieval {
namespace {

constexpr std::string_view kSchema = R"({
  "type": "object",
  "properties": {
    "score_field": {"type": "string", "minLength": 1, "maxLength": 512, "default": "score", "description": "Dotted path of the number to order by; 'score' is the pipeline's own."},
    "direction": {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
    "feature_address": {"type": "string", "minLength": 1, "description": "Orders by the score that the last feature_search gave under this feature URI."},
    "missing_score": {"type": "string", "enum": ["bottom", "top", "zero"], "default": "bottom", "description": "Where documents without the number go."}
  }
})";

std::optional<double> feature_score(const Row& row, const std::string& uri) {
  const CollectionVector* vector = row.collection == nullptr ? nullptr : row.collection->find_vector(uri);
  std::string_view canonical = vector == nullptr ? std::string_view(uri) : std::string_view(vector->feature_uri);
  for (const FeatureScore& score : row.feature_scores)
    if (score.feature_uri == canonical) return score.score;
  return std::nullopt;
}

std::optional<double> score_of(const Row& row, const std::string& field, const std::string& feature) {
  if (!feature.empty()) return feature_score(row, feature);
  json::value scratch;
  const json::value* value = row_field(row, field, scratch);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

class SortRelevanceStage final : public Stage {
 public:
  const StageDefinition& definition() const override {
    static const StageDefinition kDefinition{"sort_relevance", "Orders documents by a relevance score; equal scores by document_id.",
                                             StageCategory::kSort, "trending-up", parse_schema_text(kSchema)};
    return kDefinition;
  }

  Status normalize(json::object& parameters, const json::array&) const override {
    rename_member(parameters, "order", "direction");
    if (text_of(parameters, "feature_address") == "null") parameters.erase("feature_address");
    return Ok{};
  }

  Status run(const json::object& parameters, StageRun& run) const override {
    QUARRY_RETURN_IF_ERROR(ensure_rows(run));
    std::vector<Row>& rows = run.execution.rows;
    std::string field = text_of(parameters, "score_field", "score"), feature = text_of(parameters, "feature_address");
    std::string missing = text_of(parameters, "missing_score", "bottom");
    bool ascending = text_of(parameters, "direction", "desc") == "asc";
    std::vector<std::optional<double>> scores;
    for (const Row& row : rows) {
      std::optional<double> score = score_of(row, field, feature);
      scores.push_back(!score && missing == "zero" ? 0.0 : score);
    }
    std::vector<size_t> index(rows.size());
    std::iota(index.begin(), index.end(), size_t{0});
    std::sort(index.begin(), index.end(), [&](size_t a, size_t b) {
      if (scores[a].has_value() != scores[b].has_value()) return scores[a].has_value() == (missing != "top");
      if (scores[a] && *scores[a] != *scores[b]) return (*scores[a] < *scores[b]) == ascending;
      return rows[a].document.document_id != rows[b].document.document_id ? rows[a].document.document_id < rows[b].document.document_id
                                                                          : a < b;
    });
    std::vector<Row> sorted;
    sorted.reserve(rows.size());
    for (size_t i : index) sorted.push_back(std::move(rows[i]));
    rows = std::move(sorted);
    return Ok{};
  }

  StageEstimate estimate(const json::object&, const PlanState& state) const override {
    uint64_t rows = state.started ? state.rows : std::min<uint64_t>(state.total_documents(), kMaxScannedRows);
    return {rows, static_cast<double>(rows) / 1000, {}};
  }
};

}  // namespace

const Stage& sort_relevance_stage() {
  static const SortRelevanceStage kStage;
  return kStage;
}

}  // namespace quarry::retrieval
