// Runs a retriever: loads its collections, binds its stages, runs them in order within the time budget, pages and presents what is left.
#include <fmt/format.h>

#include <algorithm>

#include "base/rng.h"
#include "model/ids.h"
#include "retrieval/result_writer.h"
#include "retrieval/retriever_binder.h"

namespace quarry::retrieval {
namespace {

uint64_t fresh_seed() {
  uint64_t seed = 0;
  fill_secure_random(std::span<uint8_t>(reinterpret_cast<uint8_t*>(&seed), sizeof seed));
  return seed >> 11;  // 53 bits: what a JSON number carries, as the sample stage tells it
}

Result<Collections> collections_of(const RequestContext& context, const Environment& env, const ParsedRetriever& retriever) {
  if (env.find_collections) return env.find_collections(context, retriever.collection_ids);
  QUARRY_ASSIGN_OR_RETURN(std::vector<Collection> all, load_collections(context, *env.catalog, retriever.collection_ids));
  return std::make_shared<const std::vector<Collection>>(std::move(all));
}

Result<Collections> targeted_collections(const RequestContext& context, const Environment& env, const ParsedRetriever& retriever,
                                         const ExecuteOptions& options) {
  QUARRY_ASSIGN_OR_RETURN(Collections all, collections_of(context, env, retriever));
  const std::string& target = options.target_collection_id;
  if (target.empty()) return all;
  std::string known;
  for (const Collection& collection : *all) {
    if (collection.collection_id == target || collection.name == target)
      return std::make_shared<const std::vector<Collection>>(1, collection);
    known += (known.empty() ? "" : ", ") + collection.collection_id;
  }
  return bad_request(fmt::format("target_collection_id '{}' is not among the retriever's collections: {}", target.substr(0, 255), known));
}

Result<Filter> bound_filter(const json::value& filters, const json::object& inputs, const json::object& context) {
  if (filters.is_null()) return Filter{};
  json::value bound = filters;
  QUARRY_RETURN_IF_ERROR(bind_templates(bound, TemplateScope{&inputs, nullptr, &context}, {"body", "filters"}));
  return parse_filter_at(bound, {"body", "filters"});
}

class RetrieverExecutor {
 public:
  RetrieverExecutor(Execution& execution, ExecuteOptions& options) : execution_(execution), options_(options) {}

  Result<ExecutionResult> run() {
    QUARRY_RETURN_IF_ERROR(prepare());
    for (size_t i = 0; i < stages_.size(); ++i) QUARRY_RETURN_IF_ERROR(step(i));
    return finish();
  }

 private:
  Status prepare() {
    QUARRY_ASSIGN_OR_RETURN(options_.inputs, bind_inputs(execution_.retriever, std::move(options_.inputs)));
    const json::object& inputs = options_.inputs;
    json::object context = context_members(execution_.request, execution_.retriever, execution_.execution_id);
    QUARRY_ASSIGN_OR_RETURN(stages_, bind_stages(execution_.retriever, inputs, context));
    QUARRY_ASSIGN_OR_RETURN(execution_.filter, bound_filter(execution_.options.filters, inputs, context));
    QUARRY_ASSIGN_OR_RETURN(execution_.collections,
                            targeted_collections(execution_.request, execution_.env, execution_.retriever, execution_.options));
    const Environment& env = execution_.env;
    for (const Collection& collection : *execution_.collections) {
      if (collection.lifecycle == LifecycleState::kArchived) continue;
      if (env.open_collection) env.open_collection(execution_.request, collection);
      if (env.note_query) env.note_query(collection);
    }
    return Ok{};
  }

  bool is_request_over() const { return execution_.request.expired(); }

  Status step(size_t i) {
    if (is_request_over()) return Error{ErrorKind::kTimeout, "the request ran past its deadline"};
    const BoundStage& stage = stages_[i];
    StageReport& report = result_.stages.emplace_back();
    report.name = stage.parsed->stage_name;
    report.stage_id = stage.parsed->stage_id;
    report.input_count = execution_.rows.size();
    report.output_count = 0;
    if (execution_.now_us() >= execution_.deadline_us) execution_.exceeded = true;
    if (execution_.exceeded && stage.stage->reads_store(execution_)) {
      leave_out(report, "the time budget is used up");
      return Ok{};
    }
    return run_stage(i, report);
  }

  Status run_stage(size_t i, StageReport& report) {
    const BoundStage& stage = stages_[i];
    int64_t began_us = execution_.now_us();
    int64_t deadline_us = execution_.exceeded ? execution_.request.deadline_us : execution_.deadline_us;
    StageRun run{execution_, report, *stage.parsed, std::span(stages_).subspan(i + 1), deadline_us};
    Status status = stage.stage->run(stage.parameters, run);
    report.duration_ms = static_cast<double>(execution_.now_us() - began_us) / 1000;
    if (status.ok()) {
      if (execution_.started) report.output_count = execution_.rows.size();
      return Ok{};
    }
    report.output_count = execution_.rows.size();
    return settle(std::move(status).error(), *stage.parsed, report);
  }

  Status settle(Error error, const ParsedStage& stage, StageReport& report) {
    if (is_request_over()) return Error{ErrorKind::kTimeout, "the request ran past its deadline"};
    if (error.kind == ErrorKind::kTimeout && execution_.now_us() >= execution_.deadline_us) {
      execution_.exceeded = true;
      leave_out(report, "the time budget is used up");
      return Ok{};
    }
    if (stage.on_error != "skip") return std::move(error).with_context(fmt::format("stage '{}'", stage.stage_name));
    leave_out(report, error.message);
    has_errors_ = true;
    return Ok{};
  }

  void leave_out(StageReport& report, const std::string& reason) {
    report.error = reason;
    report.output_count = execution_.rows.size();
    result_.warnings.push_back(fmt::format("Stage '{}' was left out: {}", report.name, reason));
  }

  Result<ExecutionResult> finish() {
    page();
    result_.execution_id = execution_.execution_id;
    result_.results = present(std::move(execution_.rows), execution_, result_.warnings);
    for (const StageReport& report : result_.stages) take_warnings(report);
    bool is_clean = !has_errors_ && !execution_.exceeded && execution_.degraded.empty();
    result_.status = is_clean ? "COMPLETED" : "COMPLETED_WITH_ERRORS";
    result_.facets = std::move(execution_.facets);
    result_.degraded = std::move(execution_.degraded);
    result_.limits = std::move(execution_.limits);
    result_.total_time_ms = static_cast<double>(execution_.now_us() - execution_.started_us) / 1000;
    write_budget();
    if (execution_.options.explain) {
      QUARRY_ASSIGN_OR_RETURN(result_.explain_plan, explain(execution_.request, execution_.env, execution_.retriever, execution_.options));
    }
    return std::move(result_);
  }

  size_t page_begin() const {
    const std::string& after = execution_.options.after_document_id;
    if (after.empty()) return execution_.options.offset;
    const std::vector<Row>& rows = execution_.rows;
    auto at = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.document.document_id == after; });
    return static_cast<size_t>(at - rows.begin()) + (at == rows.end() ? 0 : 1);
  }

  void page() {
    std::vector<Row>& rows = execution_.rows;
    result_.total = rows.size();
    result_.offset = page_begin();
    result_.limit = execution_.options.limit;
    size_t offset = std::min(rows.size(), result_.offset);
    rows.erase(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(offset));
    result_.has_more = result_.limit > 0 && rows.size() > result_.limit;
    if (result_.has_more) rows.resize(result_.limit);
  }

  void take_warnings(const StageReport& report) {
    const json::value* list = report.metadata.if_contains("warnings");
    if (list == nullptr || !list->is_array()) return;
    for (const json::value& warning : list->get_array()) {
      std::string text(warning.as_string());
      if (std::find(result_.warnings.begin(), result_.warnings.end(), text) == result_.warnings.end())
        result_.warnings.push_back(std::move(text));
    }
  }

  void write_budget() {
    const ParsedRetriever& retriever = execution_.retriever;
    if (retriever.max_time_ms) result_.budget["max_time_ms"] = *retriever.max_time_ms;
    if (retriever.max_credits) result_.budget["max_credits"] = *retriever.max_credits;
    result_.budget["time_used_ms"] = result_.total_time_ms;
    result_.budget["credits_used"] = 0.0;  // nothing here costs credits
    result_.budget["exceeded"] = execution_.exceeded;
  }

  Execution& execution_;
  ExecuteOptions& options_;  // the execution's; their inputs are bound in place
  std::vector<BoundStage> stages_;
  ExecutionResult result_;
  bool has_errors_ = false;
};

}  // namespace

Result<ExecutionResult> execute(const RequestContext& context, const Environment& env, const ParsedRetriever& retriever,
                                ExecuteOptions options) {
  Execution execution{.request = context, .env = env, .retriever = retriever, .options = options};
  execution.execution_id = new_id("exec");
  execution.seed = options.random_seed ? *options.random_seed : fresh_seed();
  execution.started_us = execution.now_us();
  execution.deadline_us = context.deadline_us;
  if (retriever.max_time_ms) {
    int64_t allowed_us = std::min<int64_t>(*retriever.max_time_ms, 86'400'000) * 1000;
    execution.deadline_us = std::min(execution.deadline_us, execution.started_us + allowed_us);
  }
  return RetrieverExecutor(execution, options).run();
}

}  // namespace quarry::retrieval
