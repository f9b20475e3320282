// explain(): what an execution would do and about what it would cost, without running it.
#include <fmt/format.h>

#include "model/json_schema.h"
#include "retrieval/retriever_binder.h"
#include "retrieval/targets.h"

namespace quarry::retrieval {
namespace {

class RetrieverPlanner {
 public:
  RetrieverPlanner(const RequestContext& context, const Environment& env, const ParsedRetriever& retriever, const ExecuteOptions& options)
      : context_(context), env_(env), retriever_(retriever), options_(options) {}

  Result<json::object> plan() {
    QUARRY_ASSIGN_OR_RETURN(collections_, load_collections(context_, *env_.catalog, retriever_.collection_ids));
    read_statistics();
    json::object inputs = lenient_inputs();
    for (const ParsedStage& stage : retriever_.stages) QUARRY_RETURN_IF_ERROR(add_stage(stage, inputs));
    return reply();
  }

 private:
  // What is missing stays a template in the plan.
  json::object lenient_inputs() const {
    Result<json::object> bound = bind_inputs(retriever_, options_.inputs);
    return bound.ok() ? std::move(bound).value() : options_.inputs;
  }

  void read_statistics() {
    for (const Collection& collection : collections_) {
      if (collection.lifecycle == LifecycleState::kArchived) continue;
      state_.collections.push_back(&collection);
      if (env_.open_collection) env_.open_collection(context_, collection);
      Result<mvs::TableStats> stats = env_.vectors->stats(collection.table_id());
      state_.documents[collection.collection_id] = stats.ok() ? stats->documents : 0;
    }
  }

  Result<json::object> bound_parameters(const ParsedStage& parsed, const Stage& stage, const json::object& inputs) const {
    json::object context = context_members(context_, retriever_, "");
    json::array at{"stages", parsed.stage_name, "config", "parameters"};
    json::object bound = parsed.parameters;
    Status status = stage.bind(bound, TemplateScope{&inputs, nullptr, &context}, at);
    if (!status.ok() && !is_missing_input(status.error())) return std::move(status).error();
    if (!status.ok()) bound = parsed.parameters;
    QUARRY_RETURN_IF_ERROR(check_json(stage.definition().parameter_schema, bound, at, {.allow_templates = true}));
    return bound;
  }

  Status add_stage(const ParsedStage& parsed, const json::object& inputs) {
    QUARRY_ASSIGN_OR_RETURN(const Stage* stage, find_stage(parsed.stage_id, {"stages", stages_.size()}));
    QUARRY_ASSIGN_OR_RETURN(json::object parameters, bound_parameters(parsed, *stage, inputs));
    StageEstimate estimate = stage->estimate(parameters, state_);
    uint64_t input = state_.started ? state_.rows : state_.total_documents();
    double efficiency = input == 0 ? 0 : static_cast<double>(estimate.output) / static_cast<double>(input);
    suggest(parsed);
    stages_.push_back(json::object{{"stage_index", stages_.size()},
                                   {"stage_name", parsed.stage_name},
                                   {"stage_type", to_string(parsed.category)},
                                   {"estimated_input", input},
                                   {"estimated_output", estimate.output},
                                   {"estimated_efficiency", efficiency},
                                   {"estimated_cost_credits", 0.0},
                                   {"estimated_duration_ms", estimate.duration_ms},
                                   {"cache_likely", false},
                                   {"optimization_notes", json::array(estimate.notes.begin(), estimate.notes.end())},
                                   {"warnings", warnings()}});
    details_.push_back(
        json::object{{"stage_id", parsed.stage_id}, {"stage_name", parsed.stage_name}, {"parameters", std::move(parameters)}});
    durations_.emplace_back(parsed.stage_name, estimate.duration_ms);
    state_.started = true;
    state_.rows = estimate.output;
    previous_ = parsed.stage_id;
    return Ok{};
  }

  json::array warnings() const {
    json::array out;
    if (state_.started) return out;
    std::string archived;
    for (const Collection& collection : collections_)
      if (collection.lifecycle == LifecycleState::kArchived) archived += (archived.empty() ? "" : ", ") + collection.collection_id;
    if (!archived.empty()) out.emplace_back("Skipped archived collections: " + archived);
    for (const Collection* collection : state_.collections)
      if (tier_of(*collection) == "cold")
        out.emplace_back(fmt::format("Collection {} is cold: its search takes longer", collection->collection_id));
    return out;
  }

  void suggest(const ParsedStage& parsed) {
    if (parsed.stage_id == "attribute_filter" && previous_ == "feature_search") {
      suggestions_.push_back(json::object{
          {"stage_name", parsed.stage_name},
          {"suggestion",
           "Put these conditions into the search's 'filters', or this stage before it: the search then ranks matching documents only."}});
    }
    if (parsed.stage_id == "feature_search" && previous_ == "attribute_filter") is_optimized_ = true;
    if (parsed.stage_id == "sort_attribute" && previous_ == "attribute_filter") is_optimized_ = true;
  }

  json::array targets() const {
    json::array out;
    for (const Collection& collection : collections_) {
      bool is_archived = collection.lifecycle == LifecycleState::kArchived;
      auto found = state_.documents.find(collection.collection_id);
      out.push_back(json::object{{"collection_id", collection.collection_id},
                                 {"tier", is_archived ? "archived" : tier_of(collection)},
                                 {"documents", found == state_.documents.end() ? 0 : found->second}});
    }
    return out;
  }

  json::object reply() {
    double total_ms = 0;
    for (const auto& [name, ms] : durations_) total_ms += ms;
    json::array bottlenecks;
    for (const auto& [name, ms] : durations_)
      if (ms * 2 > total_ms) bottlenecks.emplace_back(name);
    return json::object{{"retriever_id", retriever_.retriever_id},
                        {"retriever_name", retriever_.retriever_name},
                        {"estimated_cost", {{"credits", 0.0}, {"duration_ms", total_ms}}},
                        {"total_estimated_stages", stages_.size()},
                        {"execution_plan", std::move(stages_)},
                        {"optimization_suggestions", std::move(suggestions_)},
                        {"bottleneck_stages", std::move(bottlenecks)},
                        {"optimization_level", "mvp"},
                        {"optimization_applied", is_optimized_},
                        {"optimization_details", {{"collections", targets()}, {"stages", std::move(details_)}}}};
  }

  const RequestContext& context_;
  const Environment& env_;
  const ParsedRetriever& retriever_;
  const ExecuteOptions& options_;
  std::vector<Collection> collections_;
  PlanState state_;
  json::array stages_, details_, suggestions_;
  std::vector<std::pair<std::string, double>> durations_;
  std::string previous_;
  bool is_optimized_ = false;
};

}  // namespace

Result<json::object> explain(const RequestContext& context, const Environment& env, const ParsedRetriever& retriever,
                             const ExecuteOptions& options) {
  return RetrieverPlanner(context, env, retriever, options).plan();
}

}  // namespace quarry::retrieval
