// feature_search: ranks the documents of the retriever's collections by the likeness of their vectors to one or several queries, or by the
// queries' words.
#include "retrieval/stages/feature_search.h"

#include <fmt/format.h>

#include <algorithm>

#include "retrieval/hydrate.h"
#include "retrieval/targets.h"

namespace quarry::retrieval {
namespace {

constexpr size_t kMaxTopK = 5000;

bool is_one_class(const SearchPlan& plan) {
  return std::all_of(plan.tasks.begin(), plan.tasks.end(), [&](const SearchTask& task) {
    const CollectionVector *a = task.vector, *b = plan.tasks[0].vector;
    if (a == nullptr || b == nullptr) return a == b;
    return a->feature_uri == b->feature_uri && a->metric == b->metric;
  });
}

GatherOptions options_for(const FeatureSearchSpec& spec, const SearchPlan& plan) {
  GatherOptions options;
  bool is_single = spec.searches.size() == 1 && plan.random_searches.empty();
  options.group_in_store = is_single && spec.group_by && is_one_class(plan);
  // Several lists: most rows are cut, so that payloads are read for the survivors only.
  options.with_payload = is_single && plan.tasks.size() == 1;
  if (is_single && !spec.group_by) options.k_limit = spec.final_top_k;
  return options;
}

// Where the pipeline ends in a search that leaves its size open, the page that is asked for decides.
void fit_to_page(FeatureSearchSpec& spec, const SearchPlan& plan, const StageRun& run) {
  const ExecuteOptions& options = run.execution.options;
  const json::object& written = run.parsed.parameters;
  if (options.limit == 0 || !run.following.empty() || spec.group_by || written.contains("final_top_k")) return;
  // Where the page after a document begins is not known before the document is found.
  size_t wanted = options.after_document_id.empty() ? options.offset + options.limit + 1 : kMaxTopK;
  spec.final_top_k = std::clamp<size_t>(wanted, spec.final_top_k, kMaxTopK);
  // Fused scores depend on the lengths of the lists: longer lists for later pages would make each page part of another ranking.
  if (spec.searches.size() != 1 || !is_one_class(plan)) return;
  const json::value* searches = written.if_contains("searches");
  const json::array* list = searches == nullptr ? nullptr : searches->if_array();
  if (list != nullptr && list->size() == 1 && list->front().is_object() && !list->front().get_object().contains("top_k"))
    spec.searches.front().top_k = std::max(spec.searches.front().top_k, spec.final_top_k);
}

void describe(const FeatureSearchSpec& spec, const SearchPlan& plan, StageReport& report) {
  json::array collections;
  for (const auto& targets : plan.targets)
    for (const Collection* collection : targets) {
      json::value id(collection->collection_id);
      if (std::find(collections.begin(), collections.end(), id) == collections.end()) collections.push_back(std::move(id));
    }
  report.metadata["collections"] = std::move(collections);
  report.metadata["searches"] = spec.searches.size();
  if (spec.searches.size() > 1) report.metadata["fusion"] = to_string(spec.fusion);
}

class FeatureSearchStage final : public Stage {
 public:
  const StageDefinition& definition() const override {
    static const StageDefinition kDefinition{
        "feature_search",
        "Finds documents by the likeness of their vectors to text, a vector or another document, or by words; "
        "several searches are fused into one ranking.",
        StageCategory::kFilter, "search", feature_search_schema()};
    return kDefinition;
  }

  Status normalize(json::object& parameters, const json::array& at) const override { return normalize_feature_search(parameters, at); }
  Status check(const json::object& parameters, const json::array& at, Form form) const override {
    return check_feature_search(parameters, at, form);
  }

  // A search that may be empty takes a missing input as an empty query.
  Status bind(json::object& parameters, const TemplateScope& scope, const json::array& at) const override {
    if (json::value* searches = parameters.if_contains("searches"); searches != nullptr && searches->is_array())
      for (json::value& search : searches->get_array()) forgive_missing(search, scope);
    QUARRY_RETURN_IF_ERROR(Stage::bind(parameters, scope, at));
    if (const json::value* group = parameters.if_contains("group_by");
        group != nullptr && group->is_object() && !parameters.contains("final_top_k"))
      parameters["final_top_k"] =
          std::clamp<int64_t>(integer_of(group->get_object(), "limit", 25) * integer_of(group->get_object(), "max_per_group", 1), 1, 5000);
    return Ok{};
  }

  bool reads_store(const Execution&) const override { return true; }

  Status run(const json::object& parameters, StageRun& run) const override {
    QUARRY_ASSIGN_OR_RETURN(FeatureSearchSpec spec, parse_feature_search(parameters, {"stages", run.parsed.stage_name}));
    if (spec.hard_timeout_ms) run.deadline_us = std::min(run.deadline_us, run.execution.now_us() + *spec.hard_timeout_ms * 1000);
    QUARRY_ASSIGN_OR_RETURN(SearchPlan plan, plan_searches(spec, run));
    fit_to_page(spec, plan, run);
    GatherOptions options = options_for(spec, plan);
    QUARRY_ASSIGN_OR_RETURN(std::vector<TaskResult> found, gather(spec, plan, options, run));
    QUARRY_ASSIGN_OR_RETURN(std::vector<std::vector<Row>> random, gather_random(spec, plan, run));
    if (!run.execution.started)
      for (const TaskResult& result : found) run.report.input_count += result.rows_scored;
    std::vector<Row> rows = combine(spec, plan, std::move(found), std::move(random));
    if (spec.group_by) run.report.metadata["groups"] = keep_groups(rows, *spec.group_by);
    cut(spec, rows);
    if (!options.with_payload) QUARRY_RETURN_IF_ERROR(hydrate(rows, run));
    QUARRY_RETURN_IF_ERROR(add_facets(spec, plan, run));
    describe(spec, plan, run.report);
    run.report.metadata["source_tiers"] = count_tiers(rows);
    run.execution.rows = std::move(rows);
    run.execution.pushed = Filter{};
    run.execution.started = true;
    return Ok{};
  }

  // Exact search compares every document: about 2,000 million multiply-adds a second.
  StageEstimate estimate(const json::object& parameters, const PlanState& state) const override {
    StageEstimate out;
    uint64_t searches =
        parameters.contains("searches") && parameters.at("searches").is_array() ? parameters.at("searches").get_array().size() : 1;
    uint64_t candidates = state.started ? state.rows : state.total_documents();
    out.output = std::min<uint64_t>(candidates, static_cast<uint64_t>(integer_of(parameters, "final_top_k", 25)));
    out.duration_ms = static_cast<double>(searches) * (5.0 + static_cast<double>(candidates) * 384 / 2e6);
    if (state.collections.size() > 1) out.notes.push_back(fmt::format("searches {} collections in parallel", state.collections.size()));
    return out;
  }

 private:
  static void forgive_missing(json::value& search, const TemplateScope& scope) {
    json::object* o = search.if_object();
    if (o == nullptr || !o->contains("query")) return;
    std::string on_empty = text_of(*o, "on_empty");
    if (!bool_of(*o, "optional", false) && on_empty != "skip" && on_empty != "random") return;
    json::value copy = o->at("query");
    Status bound = bind_templates(copy, scope, {});
    if (!bound.ok() && is_missing_input(bound.error())) (*o)["query"] = "";
  }

  static Status add_facets(const FeatureSearchSpec& spec, const SearchPlan& plan, StageRun& run) {
    if (spec.facets.empty()) return Ok{};
    if (run.expired()) {
      run.warn("Facets were left out: the time is used up");
      return Ok{};
    }
    QUARRY_ASSIGN_OR_RETURN(json::array facets, count_facets(spec, plan, run));
    for (json::value& facet : facets) run.execution.facets.push_back(std::move(facet));
    return Ok{};
  }
};

}  // namespace

const Stage& feature_search_stage() {
  static const FeatureSearchStage kStage;
  return kStage;
}

}  // namespace quarry::retrieval
