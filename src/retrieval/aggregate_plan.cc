#include "retrieval/aggregate_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/json_schema.h"
#include "model/nearest_name.h"
#include "retrieval/stage.h"

namespace quarry::retrieval {
namespace {

constexpr std::string_view kSchema = R"({
  "type": "object",
  "additionalProperties": true,
  "properties": {
    "group_by": {"type": "array", "maxItems": 10, "items": {"type": "object", "required": ["field"], "properties": {
      "field": {"type": "string", "minLength": 1, "maxLength": 512}, "alias": {"type": "string", "minLength": 1, "maxLength": 255},
      "date_trunc": {"type": "string", "enum": ["year", "month", "week", "day", "hour", "minute", "second"]},
      "date_part": {"type": "string", "enum": ["year", "month", "week", "day", "dayOfWeek", "dayOfYear", "hour", "minute", "second"]}}}},
    "aggregations": {"type": "array", "minItems": 1, "maxItems": 50, "items": {"type": "object", "required": ["function", "alias"], "properties": {
      "function": {"type": "string", "enum": ["count", "count_distinct", "sum", "avg", "min", "max", "first", "last", "push", "add_to_set"]},
      "field": {"type": "string", "minLength": 1, "maxLength": 512}, "alias": {"type": "string", "minLength": 1, "maxLength": 255},
      "distinct_field": {"type": "string", "minLength": 1, "maxLength": 512}}}},
    "having": {"type": "array", "maxItems": 20, "items": {"type": "object", "required": ["field", "operator", "value"], "properties": {
      "field": {"type": "string", "minLength": 1}, "operator": {"type": "string"}, "value": {}}}},
    "unwind": {"type": "string", "minLength": 1, "maxLength": 512},
    "range_buckets": {"type": "array", "maxItems": 10, "items": {"type": "object", "required": ["field", "boundaries"], "properties": {
      "field": {"type": "string", "minLength": 1, "maxLength": 512},
      "boundaries": {"type": "array", "minItems": 1, "maxItems": 1000, "items": {"type": ["number", "string"]}}, "default_bucket": {"type": "string"}}}},
    "sort_by": {"type": "string", "minLength": 1},
    "sort_direction": {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
    "limit": {"type": "integer", "minimum": 1}
  },
  "required": ["aggregations"]
})";

const json::array& list_of(const json::object& o, std::string_view name) {
  static const json::array kNone;
  const json::value* v = o.if_contains(name);
  return v == nullptr ? kNone : v->as_array();
}

Result<GroupKey> parse_bucket(const json::object& o, const json::array& at) {
  GroupKey key{.field = text_of(o, "field"),
               .alias = text_of(o, "field"),
               .date_trunc = "",
               .date_part = "",
               .is_bucket = true,
               .boundaries = list_of(o, "boundaries"),
               .default_bucket = nullptr};
  if (o.contains("default_bucket")) key.default_bucket = o.at("default_bucket");
  for (size_t i = 1; i < key.boundaries.size(); ++i)
    if (compare_json(key.boundaries[i - 1], key.boundaries[i]) >= 0 || key.boundaries[i].is_string() != key.boundaries[0].is_string())
      return validation_error("value_error", extended(extended(at, "boundaries"), i), "boundaries must ascend and be of one type");
  return key;
}

class PlanReader {
 public:
  explicit PlanReader(const json::object& request) : request_(request) {}

  Result<AggregationPlan> read() {
    QUARRY_RETURN_IF_ERROR(read_keys());
    QUARRY_RETURN_IF_ERROR(read_metrics());
    QUARRY_RETURN_IF_ERROR(read_having());
    plan_.unwind = text_of(request_, "unwind");
    plan_.sort_by = text_of(request_, "sort_by");
    plan_.descending = text_of(request_, "sort_direction", "desc") == "desc";
    plan_.limit = static_cast<size_t>(integer_of(request_, "limit", INT64_MAX));
    if (!plan_.sort_by.empty()) QUARRY_RETURN_IF_ERROR(check_name(plan_.sort_by, {"body", "sort_by"}));
    return std::move(plan_);
  }

 private:
  Status take_alias(const std::string& alias, const json::array& at) {
    if (std::find(names_.begin(), names_.end(), alias) != names_.end())
      return validation_error("value_error", at, fmt::format("the name '{}' is given twice; set different aliases", alias));
    names_.push_back(alias);
    return Ok{};
  }

  Status check_name(const std::string& name, const json::array& at) const {
    if (std::find(names_.begin(), names_.end(), name) != names_.end()) return Ok{};
    return validation_error("unknown_field", at,
                            fmt::format("'{}' is no group field or alias of this aggregation; did you mean '{}'?", name.substr(0, 255),
                                        nearest_name(name, names_)));
  }

  Status read_keys() {
    for (const json::value& item : list_of(request_, "group_by")) {
      const json::object& o = item.as_object();
      json::array at{"body", "group_by", plan_.keys.size()};
      GroupKey key{.field = text_of(o, "field"),
                   .alias = text_of(o, "alias", text_of(o, "field")),
                   .date_trunc = text_of(o, "date_trunc"),
                   .date_part = text_of(o, "date_part"),
                   .is_bucket = false,
                   .boundaries = {},
                   .default_bucket = nullptr};
      if (!key.date_trunc.empty() && !key.date_part.empty())
        return validation_error("value_error", at, "give date_trunc or date_part, not both");
      QUARRY_RETURN_IF_ERROR(take_alias(key.alias, at));
      plan_.keys.push_back(std::move(key));
    }
    size_t index = 0;
    for (const json::value& item : list_of(request_, "range_buckets")) {
      json::array at{"body", "range_buckets", index++};
      QUARRY_ASSIGN_OR_RETURN(GroupKey bucket, parse_bucket(item.as_object(), at));
      QUARRY_RETURN_IF_ERROR(place_bucket(std::move(bucket), at));
    }
    return Ok{};
  }

  Status place_bucket(GroupKey bucket, const json::array& at) {
    auto same = std::find_if(plan_.keys.begin(), plan_.keys.end(), [&](const GroupKey& k) {
      return k.field == bucket.field && !k.is_bucket && k.date_trunc.empty() && k.date_part.empty();
    });
    if (same != plan_.keys.end()) {
      bucket.alias = same->alias;
      *same = std::move(bucket);
      return Ok{};
    }
    QUARRY_RETURN_IF_ERROR(take_alias(bucket.alias, at));
    plan_.keys.push_back(std::move(bucket));
    return Ok{};
  }

  Status read_metrics() {
    for (const json::value& item : list_of(request_, "aggregations")) {
      const json::object& o = item.as_object();
      json::array at{"body", "aggregations", plan_.metrics.size()};
      Metric metric{parse_aggregate_function(text_of(o, "function")), text_of(o, "field"), text_of(o, "alias")};
      if (metric.function == AggregateFunction::kCountDistinct && o.contains("distinct_field")) metric.field = text_of(o, "distinct_field");
      if (metric.field.empty() && metric.function != AggregateFunction::kCount)
        return validation_error("missing", extended(at, "field"), fmt::format("function '{}' needs 'field'", text_of(o, "function")));
      QUARRY_RETURN_IF_ERROR(take_alias(metric.alias, extended(at, "alias")));
      plan_.metrics.push_back(std::move(metric));
    }
    return Ok{};
  }

  Status read_having() {
    for (const json::value& item : list_of(request_, "having")) {
      json::array at{"body", "having", plan_.having.size()};
      QUARRY_RETURN_IF_ERROR(check_name(text_of(item.as_object(), "field"), extended(at, "field")));
      QUARRY_ASSIGN_OR_RETURN(Filter filter, parse_filter_at(item, at));
      plan_.having.push_back(std::move(filter));
    }
    return Ok{};
  }

  const json::object& request_;
  AggregationPlan plan_;
  std::vector<std::string> names_;
};

}  // namespace

Result<AggregationPlan> parse_aggregation(const json::object& request) {
  static const json::object kParsed = parse_schema_text(kSchema);
  json::object checked = request;
  QUARRY_RETURN_IF_ERROR(check_json(kParsed, checked, {"body"}));
  return PlanReader(checked).read();
}

}  // namespace quarry::retrieval
