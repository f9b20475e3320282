// ExecutionResult as the contract's ExecuteRetrieverResponse.
#include <fmt/format.h>

#include "retrieval/retrieval.h"

namespace quarry::retrieval {
namespace {

json::object stage_members(StageReport& report) {
  json::object out{{"name", report.name},
                   {"stage_id", report.stage_id},
                   {"input_count", report.input_count},
                   {"output_count", report.output_count},
                   {"duration_ms", report.duration_ms},
                   {"efficiency", report.efficiency()},
                   {"cache_hit", false},
                   {"metadata", std::move(report.metadata)}};
  if (!report.error.empty()) out["error"] = report.error;
  return out;
}

json::value stage_list(std::vector<StageReport>& reports) {
  json::array out;
  for (StageReport& report : reports) out.push_back(stage_members(report));
  return out;
}

// A second stage of a name becomes "name_2".
json::value stage_map(std::vector<StageReport>& reports) {
  json::object out;
  for (StageReport& report : reports) {
    std::string key = report.name;
    for (int n = 2; out.contains(key); ++n) key = fmt::format("{}_{}", report.name, n);
    out[key] = stage_members(report);
  }
  return out;
}

json::object pagination_members(const ExecutionResult& result) {
  json::object out{{"offset", result.offset}, {"returned", result.results.size()}, {"total", result.total}, {"has_more", result.has_more}};
  if (result.limit > 0) out["limit"] = result.limit;
  if (result.has_more) out["next_offset"] = result.offset + result.results.size();
  return out;
}

}  // namespace

json::object to_json(ExecutionResult result, std::string_view retriever_id, bool as_map) {
  json::object out{{"retriever_id", retriever_id}, {"execution_id", result.execution_id}, {"status", result.status}};
  out["pagination"] = pagination_members(result);
  json::array documents;
  documents.reserve(result.results.size());
  for (json::object& document : result.results) documents.push_back(std::move(document));
  out["results"] = std::move(documents);
  out["stage_statistics"] = json::object{{"stages", as_map ? stage_map(result.stages) : stage_list(result.stages)},
                                         {"total_time_ms", result.total_time_ms},
                                         {"credits_used", 0.0}};
  if (!result.facets.empty()) out["facets"] = std::move(result.facets);
  out["budget"] = std::move(result.budget);
  out["warnings"] = json::array(result.warnings.begin(), result.warnings.end());
  if (!result.degraded.empty()) out["degraded"] = std::move(result.degraded);
  if (!result.limits.empty()) out["limits"] = std::move(result.limits);
  if (!result.explain_plan.empty()) out["explain_plan"] = std::move(result.explain_plan);
  return out;
}

}  // namespace quarry::retrieval
