#include "retrieval/stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/nearest_name.h"

namespace quarry::retrieval {
namespace {

// Stages of the contract that later work brings.
constexpr std::array<std::string_view, 20> kNotBuilt{
    "aggregate",
    "api_call",
    "cluster",
    "code_execution",
    "document_enrich",
    "external_reverse_image",
    "external_web_search",
    "group_by",
    "json_transform",
    "llm_enrich",
    "llm_filter",
    "maxsim_rerank",
    "mmr",
    "query_expand",
    "rag_prepare",
    "rerank",
    "sql_lookup",
    "summarize",
    "taxonomy_enrich",
    "web_scrape",
};

std::string known_ids() {
  std::string out;
  for (const Stage* stage : all_stages()) out += (out.empty() ? "" : ", ") + stage->definition().stage_id;
  return out;
}

}  // namespace

void StageRun::warn(std::string text) {
  json::value& list = report.metadata["warnings"];
  if (!list.is_array()) list.emplace_array();
  json::array& warnings = list.get_array();
  if (std::find(warnings.begin(), warnings.end(), json::value(text)) == warnings.end()) warnings.emplace_back(text);
}

uint64_t PlanState::total_documents() const {
  uint64_t sum = 0;
  for (const Collection* collection : collections) {
    auto found = documents.find(collection->collection_id);
    if (found != documents.end()) sum += found->second;
  }
  return sum;
}

Status Stage::normalize(json::object&, const json::array&) const { return Ok{}; }

Status Stage::check(const json::object&, const json::array&, Form) const { return Ok{}; }

bool Stage::reads_store(const Execution& execution) const { return !execution.started; }

Status Stage::bind(json::object& parameters, const TemplateScope& scope, const json::array& at) const {
  json::value wrapped(std::move(parameters));
  Status status = bind_templates(wrapped, scope, at);
  parameters = std::move(wrapped.get_object());
  return status;
}

const std::vector<const Stage*>& all_stages() {
  static const std::vector<const Stage*> kStages{
      &attribute_filter_stage(), &feature_search_stage(), &sort_attribute_stage(), &sort_relevance_stage(),
      &deduplicate_stage(),      &limit_stage(),          &sample_stage()};
  return kStages;
}

Result<const Stage*> find_stage(std::string_view stage_id, const json::array& at) {
  for (const Stage* stage : all_stages())
    if (stage->definition().stage_id == stage_id) return stage;
  if (std::find(kNotBuilt.begin(), kNotBuilt.end(), stage_id) != kNotBuilt.end()) {
    return Error{ErrorKind::kNotImplemented, fmt::format("stage '{}' is not available yet; available: {}", stage_id, known_ids()),
                 json::object{{"stage_id", stage_id}, {"location", at}, {"retryable", false}}};
  }
  std::vector<std::string> names(kNotBuilt.begin(), kNotBuilt.end());
  for (const Stage* stage : all_stages()) names.push_back(stage->definition().stage_id);
  return validation_error("unknown_stage", at,
                          fmt::format("unknown stage '{}'; did you mean '{}'? Available: {}", stage_id.substr(0, 100),
                                      nearest_name(stage_id, names), known_ids()));
}

std::vector<StageDefinition> list_stages() {
  std::vector<StageDefinition> out;
  for (const Stage* stage : all_stages()) out.push_back(stage->definition());
  return out;
}

std::string_view to_string(StageCategory category) {
  switch (category) {
    case StageCategory::kFilter: return "filter";
    case StageCategory::kSort: return "sort";
    case StageCategory::kReduce: return "reduce";
    case StageCategory::kApply: return "apply";
    case StageCategory::kEnrich: return "enrich";
  }
  return "filter";
}

json::object parse_schema_text(std::string_view text) {
  boost::system::error_code failed;
  json::value schema = json::parse(text, failed);
  QUARRY_CHECK(!failed && schema.is_object());
  return std::move(schema.get_object());
}

Error not_built(std::string_view what, const json::array& at) {
  return {ErrorKind::kNotImplemented, std::string(what), json::object{{"location", at}, {"retryable", false}}};
}

void rename_member(json::object& o, std::string_view from, std::string_view to) {
  auto found = o.find(from);
  if (found == o.end() || o.contains(to)) return;
  json::value value = std::move(found->value());
  o.erase(from);
  o[to] = std::move(value);
}

int64_t integer_of(const json::object& o, std::string_view name, int64_t fallback) {
  const json::value* v = o.if_contains(name);
  if (v == nullptr || !v->is_number()) return fallback;
  boost::system::error_code failed;
  auto number = v->to_number<int64_t>(failed);
  return failed ? fallback : number;
}

double number_of(const json::object& o, std::string_view name, double fallback) {
  const json::value* v = o.if_contains(name);
  return v == nullptr || !v->is_number() ? fallback : v->to_number<double>();
}

bool bool_of(const json::object& o, std::string_view name, bool fallback) {
  const json::value* v = o.if_contains(name);
  return v == nullptr || !v->is_bool() ? fallback : v->get_bool();
}

std::string text_of(const json::object& o, std::string_view name, std::string_view fallback) {
  const json::value* v = o.if_contains(name);
  return std::string(v == nullptr || !v->is_string() ? fallback : std::string_view(v->get_string()));
}

std::vector<std::string> texts_of(const json::object& o, std::string_view name) {
  std::vector<std::string> out;
  const json::value* v = o.if_contains(name);
  if (v == nullptr || !v->is_array()) return out;
  for (const json::value& item : v->get_array())
    if (item.is_string()) out.emplace_back(item.get_string());
  return out;
}

Result<Filter> parse_filter_at(const json::value& source, const json::array& at) {
  Result<Filter> filter = parse_filter(source);
  if (filter.ok()) return filter;
  Error error = std::move(filter).error();
  if (json::value* list = error.details.if_contains("validation_errors"); list != nullptr && list->is_array()) {
    for (json::value& item : list->get_array()) {
      json::value* location = item.is_object() ? item.get_object().if_contains("location") : nullptr;
      if (location == nullptr || !location->is_array()) continue;
      json::array whole = at;
      for (const json::value& step : location->get_array()) whole.push_back(step);
      *location = std::move(whole);
    }
  }
  return error;
}

Status check_filter_at(const json::value& source, const json::array& at, Form form) {
  if (form == Form::kStored && holds_template(source)) return Ok{};
  QUARRY_RETURN_IF_ERROR(parse_filter_at(source, at));
  return Ok{};
}

json::array extended(const json::array& at, json::value step) {
  json::array out = at;
  out.push_back(std::move(step));
  return out;
}

}  // namespace quarry::retrieval
