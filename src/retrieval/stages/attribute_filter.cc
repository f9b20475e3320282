// attribute_filter: keeps the documents that satisfy conditions on their fields. As the first stage it reads the collections; in front of a
// feature_search it becomes that search's filter; later it filters the documents at hand.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

#include "retrieval/hydrate.h"
#include "retrieval/scan.h"
#include "retrieval/targets.h"

namespace quarry::retrieval {
namespace {

constexpr std::string_view kSchema = R"({
  "type": "object",
  "properties": {
    "field": {"type": "string", "minLength": 1, "maxLength": 512, "description": "Dotted path of the field to test."},
    "operator": {"type": "string", "default": "eq", "enum": ["eq", "ne", "gt", "lt", "gte", "lte", "in", "nin", "contains", "starts_with", "ends_with", "regex", "exists", "is_null",
      "text", "phrase", "words", "geo_radius", "geo_bounding_box", "geo_polygon"]},
    "value": {"description": "What the field is compared with."},
    "conditions": {"anyOf": [{"type": "object"}, {"type": "array"}], "description": "A tree of AND, OR and NOT over {field, operator, value}."},
    "case_insensitive": {"type": "boolean", "default": false, "description": "Compares the value without regard to case. Conditions in a tree say it with case_sensitive."},
    "natural_language": {"type": "string", "description": "A condition in words."},
    "field_hints": {"type": "array", "items": {"type": "string"}, "description": "Fields that a condition in words may mean."},
    "batch_size": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100, "description": "A hint for reading; changes no result."}
  }
})";

constexpr std::string_view kStageId = "attribute_filter";

// Equality without case, as the anchored expression that it is.
json::object folded_equality(std::string_view field, std::string_view text) {
  std::string pattern = "^" + RE2::QuoteMeta(text) + "$";
  return {{"field", field}, {"operator", "regex"}, {"value", pattern}, {"case_sensitive", false}};
}

json::array folded_alternatives(std::string_view field, const json::array& values) {
  json::array out;
  for (const json::value& value : values) {
    if (value.is_string())
      out.push_back(folded_equality(field, value.get_string()));
    else
      out.push_back(json::object{{"field", field}, {"operator", "eq"}, {"value", value}});
  }
  return out;
}

json::value simple_condition(const json::object& parameters) {
  std::string field = text_of(parameters, "field"), op = text_of(parameters, "operator", "eq");
  bool ignores_case = bool_of(parameters, "case_insensitive", false);
  const json::value* value = parameters.if_contains("value");
  if (ignores_case && value != nullptr && (op == "eq" || op == "ne") && value->is_string()) {
    json::object equal = folded_equality(field, value->get_string());
    return op == "eq" ? json::value(std::move(equal)) : json::value(json::object{{"NOT", json::array{std::move(equal)}}});
  }
  if (ignores_case && value != nullptr && (op == "in" || op == "nin") && value->is_array())
    return json::object{{op == "in" ? "OR" : "NOT", folded_alternatives(field, value->get_array())}};
  json::object condition{{"field", field}, {"operator", op}, {"case_sensitive", !ignores_case}};
  if (value != nullptr) condition["value"] = *value;
  return condition;
}

struct ConditionSource {
  json::value filter;
  json::array at;
};

ConditionSource conditions_of(const json::object& parameters, const json::array& at) {
  const json::value* conditions = parameters.if_contains("conditions");
  if (conditions == nullptr) return {simple_condition(parameters), at};
  return {*conditions, extended(at, "conditions")};
}

class AttributeFilterStage final : public Stage {
 public:
  const StageDefinition& definition() const override {
    static const StageDefinition kDefinition{
        std::string(kStageId), "Keeps documents whose fields satisfy a condition, or a tree of conditions with AND, OR and NOT.",
        StageCategory::kFilter, "filter", parse_schema_text(kSchema)};
    return kDefinition;
  }

  Status normalize(json::object& parameters, const json::array&) const override {
    rename_member(parameters, "filters", "conditions");
    if (text_of(parameters, "natural_language") == "null") parameters.erase("natural_language");
    return Ok{};
  }

  Status check(const json::object& parameters, const json::array& at, Form form) const override {
    if (parameters.contains("natural_language"))
      return not_built("conditions in natural language are not available yet; write 'conditions'", extended(at, "natural_language"));
    bool has_field = parameters.contains("field"), has_tree = parameters.contains("conditions");
    if (has_field == has_tree)
      return validation_error(
          has_field ? "value_error" : "missing", extended(at, "conditions"),
          has_field ? "give 'field' or 'conditions', not both" : "give 'conditions', or 'field', 'operator' and 'value'");
    ConditionSource source = conditions_of(parameters, at);
    return check_filter_at(source.filter, source.at, form);
  }

  Status run(const json::object& parameters, StageRun& run) const override {
    ConditionSource source = conditions_of(parameters, {"stages", run.parsed.stage_name});
    QUARRY_ASSIGN_OR_RETURN(Filter filter, parse_filter_at(source.filter, source.at));
    if (run.execution.started) return keep_matching(filter, run);
    if (becomes_search_filter(run)) return push_down(std::move(filter), run);
    return scan_rows(run, filter, std::nullopt);
  }

  StageEstimate estimate(const json::object&, const PlanState& state) const override {
    uint64_t rows = state.started ? state.rows : state.total_documents();
    StageEstimate out{rows / 2, static_cast<double>(rows) / 2000, {"half of the documents are assumed to match"}};
    if (!state.started)
      out.notes.emplace_back("as the first stage it reads the collections, or becomes the filter of a feature_search that follows");
    return out;
  }

 private:
  static bool becomes_search_filter(const StageRun& run) {
    for (const BoundStage& next : run.following) {
      if (next.parsed->stage_id == "feature_search")
        return next.parsed->on_error != "skip";  // a search left out must leave the filter's documents
      if (next.parsed->stage_id != kStageId) return false;
    }
    return false;
  }

  static Status keep_matching(const Filter& filter, StageRun& run) {
    std::vector<Row>& rows = run.execution.rows;
    std::vector<char> matching(rows.size(), 0);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (i % 256 == 0 && run.expired()) return Error{ErrorKind::kTimeout, "the time is used up"};
      matching[i] = matches_row(filter, rows[i]);
    }
    keep_rows(rows, matching);
    return Ok{};
  }

  // The search reads only what matches, however much that is; here it is only counted.
  static Status push_down(Filter filter, StageRun& run) {
    Execution& execution = run.execution;
    std::vector<Filter> both{execution.pushed, std::move(filter)};
    execution.pushed = all_of(std::move(both));
    QUARRY_ASSIGN_OR_RETURN(std::vector<const Collection*> targets, target_collections(run, {}));
    std::vector<Filter> all{execution.pushed, execution.filter};
    Filter counted = all_of(std::move(all));
    std::vector<uint64_t> counts(targets.size(), 0), considered(targets.size(), 0);
    auto count = [&](size_t i) -> Status {
      considered[i] = documents_in(execution, *targets[i]);
      QUARRY_ASSIGN_OR_RETURN(counts[i], execution.env.vectors->count(targets[i]->table_id(), for_collection(counted, *targets[i])));
      return Ok{};
    };
    QUARRY_RETURN_IF_ERROR(read_targets(run, targets, count));
    for (uint64_t n : counts) run.report.output_count += n;
    for (uint64_t n : considered) run.report.input_count += n;
    run.report.metadata["pushed_down"] = true;
    return Ok{};
  }
};

}  // namespace

const Stage& attribute_filter_stage() {
  static const AttributeFilterStage kStage;
  return kStage;
}

}  // namespace quarry::retrieval
