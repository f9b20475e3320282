#include "retrieval/aggregate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "model/filter.h"
#include "model/json_schema.h"
#include "model/nearest_name.h"
#include "retrieval/aggregate_date.h"
#include "retrieval/aggregate_functions.h"
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

struct GroupKey {
  std::string field, alias, date_trunc, date_part;
  bool is_bucket = false;
  json::array boundaries;
  json::value default_bucket;
};

struct Metric {
  AggregateFunction function = AggregateFunction::kCount;
  std::string field, alias;
};

struct AggregationPlan {
  std::vector<GroupKey> keys;
  std::vector<Metric> metrics;
  std::vector<Filter> having;
  std::string unwind, sort_by;
  bool descending = true;
  size_t limit = SIZE_MAX;
};

// ---- reading the request ----------------------------------------------------------------------------------------------

const json::array& list_of(const json::object& o, std::string_view name) {
  static const json::array kNone;
  const json::value* v = o.if_contains(name);
  return v == nullptr ? kNone : v->as_array();
}

Result<GroupKey> parse_bucket(const json::object& o, const json::array& at) {
  GroupKey key{.field = text_of(o, "field"), .alias = text_of(o, "field"), .date_trunc = "", .date_part = "", .is_bucket = true, .boundaries = list_of(o, "boundaries"), .default_bucket = nullptr};
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
    return validation_error("unknown_field", at, fmt::format("'{}' is no group field or alias of this aggregation; did you mean '{}'?", name.substr(0, 255), nearest_name(name, names_)));
  }

  Status read_keys() {
    for (const json::value& item : list_of(request_, "group_by")) {
      const json::object& o = item.as_object();
      json::array at{"body", "group_by", plan_.keys.size()};
      GroupKey key{.field = text_of(o, "field"), .alias = text_of(o, "alias", text_of(o, "field")), .date_trunc = text_of(o, "date_trunc"), .date_part = text_of(o, "date_part"), .is_bucket = false, .boundaries = {}, .default_bucket = nullptr};
      if (!key.date_trunc.empty() && !key.date_part.empty()) return validation_error("value_error", at, "give date_trunc or date_part, not both");
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
    auto same = std::find_if(plan_.keys.begin(), plan_.keys.end(), [&](const GroupKey& k) { return k.field == bucket.field && !k.is_bucket && k.date_trunc.empty() && k.date_part.empty(); });
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
      if (metric.field.empty() && metric.function != AggregateFunction::kCount) return validation_error("missing", extended(at, "field"), fmt::format("function '{}' needs 'field'", text_of(o, "function")));
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

// ---- running it -------------------------------------------------------------------------------------------------------

json::value bucket_of(const GroupKey& key, const json::value& value) {
  bool is_comparable = value.is_string() == key.boundaries[0].is_string() && (value.is_string() || value.is_number());
  for (size_t i = 1; is_comparable && i < key.boundaries.size(); ++i) {
    bool is_inside = compare_json(value, key.boundaries[i - 1]) >= 0 && compare_json(value, key.boundaries[i]) < 0;
    auto shown = [](const json::value& v) { return v.is_string() ? std::string(v.get_string()) : v.is_double() ? fmt::format("{}", v.get_double()) : json::serialize(v); };
    if (is_inside) return json::value(fmt::format("[{}, {})", shown(key.boundaries[i - 1]), shown(key.boundaries[i])));
  }
  return key.default_bucket;
}

json::value key_value(const GroupKey& key, const json::value* value) {
  json::value given = value == nullptr ? json::value(nullptr) : *value;
  if (key.is_bucket) return bucket_of(key, given);
  if (!key.date_trunc.empty()) return truncate_date(given, key.date_trunc);
  if (!key.date_part.empty()) return date_part(given, key.date_part);
  return given;
}

struct Group {
  json::array values;  // of the keys
  std::vector<Accumulator> metrics;
};

// What fields resolve to: the document, but the unwound path gives one element.
struct View {
  const json::object& document;
  std::string_view unwound;
  const json::value* element = nullptr;

  const json::value* find(const std::string& path) const {
    if (element == nullptr || !path.starts_with(unwound)) return find_path(document, path);
    if (path.size() == unwound.size()) return element;
    if (path[unwound.size()] != '.') return find_path(document, path);
    const json::object* inner = element->if_object();
    return inner == nullptr ? nullptr : find_path(*inner, std::string_view(path).substr(unwound.size() + 1));
  }
};

class GroupedAggregation final : public Aggregation {
 public:
  GroupedAggregation(AggregationPlan plan, Limits limits) : plan_(std::move(plan)), limits_(limits) {}

  Status add(const json::object& document) override {
    ++documents_;
    if (plan_.unwind.empty()) return add_view({document, {}});
    const json::value* value = find_path(document, plan_.unwind);
    if (value == nullptr || value->is_null()) return Ok{};
    const json::array* list = value->if_array();
    if (list == nullptr) return add_view({document, plan_.unwind, value});
    for (const json::value& element : *list) QUARRY_RETURN_IF_ERROR(add_view({document, plan_.unwind, &element}));
    return Ok{};
  }

  json::object finish() override {
    // Without keys there is one group, even of nothing.
    if (plan_.keys.empty() && groups_.empty()) groups_.push_back(new_group({}));
    std::vector<json::object> rows;
    for (const Group& group : groups_) {
      json::object row = row_of(group);
      if (passes(row)) rows.push_back(std::move(row));
    }
    order(rows);
    json::array results;
    for (size_t i = 0; i < std::min(rows.size(), plan_.limit); ++i) results.push_back(std::move(rows[i]));
    return {{"results", std::move(results)}, {"total_groups", rows.size()}, {"query_info", {{"documents", documents_}, {"groups_before_having", groups_.size()}}}};
  }

 private:
  Group new_group(json::array values) const {
    Group group{std::move(values), {}};
    for (const Metric& metric : plan_.metrics) group.metrics.emplace_back(metric.function);
    return group;
  }

  Status add_view(const View& view) {
    json::array values;
    for (const GroupKey& key : plan_.keys) values.push_back(key_value(key, view.find(key.field)));
    std::string name = json::serialize(values);
    auto found = index_.find(name);
    if (found == index_.end()) {
      if (groups_.size() == limits_.max_groups) return bad_request(fmt::format("the aggregation has more than {} groups; filter the documents or group by fewer fields", limits_.max_groups));
      bytes_ += 2 * name.size() + plan_.metrics.size() * sizeof(Accumulator);
      found = index_.emplace(std::move(name), groups_.size()).first;
      groups_.push_back(new_group(std::move(values)));
    }
    Group& group = groups_[found->second];
    for (size_t i = 0; i < plan_.metrics.size(); ++i) {
      const std::string& field = plan_.metrics[i].field;
      bytes_ += group.metrics[i].add(field.empty() ? nullptr : view.find(field), field.empty());
    }
    if (bytes_ <= limits_.max_bytes) return Ok{};
    return bad_request(fmt::format("the aggregation holds more than {} MiB; filter the documents or collect fewer values", limits_.max_bytes >> 20));
  }

  json::object row_of(const Group& group) const {
    json::object key, metrics;
    for (size_t i = 0; i < plan_.keys.size(); ++i) key[plan_.keys[i].alias] = group.values[i];
    for (size_t i = 0; i < plan_.metrics.size(); ++i) metrics[plan_.metrics[i].alias] = group.metrics[i].result();
    return {{"group", std::move(key)}, {"metrics", std::move(metrics)}};
  }

  bool passes(const json::object& row) const {
    if (plan_.having.empty()) return true;
    json::object flat = row.at("group").as_object();
    for (const auto& metric : row.at("metrics").as_object()) flat[metric.key()] = metric.value();
    return std::all_of(plan_.having.begin(), plan_.having.end(), [&](const Filter& f) { return matches(f, flat); });
  }

  static const json::value& value_of(const json::object& row, const std::string& name) {
    static const json::value kNull;
    const json::object& metrics = row.at("metrics").as_object();
    if (const json::value* v = metrics.if_contains(name)) return *v;
    const json::value* v = row.at("group").as_object().if_contains(name);
    return v == nullptr ? kNull : *v;
  }

  void order(std::vector<json::object>& rows) const {
    std::stable_sort(rows.begin(), rows.end(), [&](const json::object& a, const json::object& b) {
      if (!plan_.sort_by.empty())
        if (int c = compare_json(value_of(a, plan_.sort_by), value_of(b, plan_.sort_by))) return plan_.descending ? c > 0 : c < 0;
      for (const GroupKey& key : plan_.keys)
        if (int c = compare_json(value_of(a, key.alias), value_of(b, key.alias))) return c < 0;
      return false;
    });
  }

  const AggregationPlan plan_;
  const Limits limits_;
  std::vector<Group> groups_;
  std::unordered_map<std::string, size_t> index_;
  uint64_t documents_ = 0;
  size_t bytes_ = 0;
};

}  // namespace

Result<std::unique_ptr<Aggregation>> Aggregation::parse(const json::object& request, Limits limits) {
  static const json::object kParsed = parse_schema_text(kSchema);
  json::object checked = request;
  QUARRY_RETURN_IF_ERROR(check_json(kParsed, checked, {"body"}));
  QUARRY_ASSIGN_OR_RETURN(AggregationPlan plan, PlanReader(checked).read());
  return std::unique_ptr<Aggregation>(std::make_unique<GroupedAggregation>(std::move(plan), limits));
}

}  // namespace quarry::retrieval
