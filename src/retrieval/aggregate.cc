#include "retrieval/aggregate.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "model/filter.h"
#include "retrieval/aggregate_date.h"
#include "retrieval/aggregate_plan.h"

namespace quarry::retrieval {
namespace {

json::value bucket_of(const GroupKey& key, const json::value& value) {
  bool is_comparable = value.is_string() == key.boundaries[0].is_string() && (value.is_string() || value.is_number());
  for (size_t i = 1; is_comparable && i < key.boundaries.size(); ++i) {
    bool is_inside = compare_json(value, key.boundaries[i - 1]) >= 0 && compare_json(value, key.boundaries[i]) < 0;
    auto shown = [](const json::value& v) {
      return v.is_string() ? std::string(v.get_string()) : v.is_double() ? fmt::format("{}", v.get_double()) : json::serialize(v);
    };
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
    return {{"results", std::move(results)},
            {"total_groups", rows.size()},
            {"query_info", {{"documents", documents_}, {"groups_before_having", groups_.size()}}}};
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
      if (groups_.size() == limits_.max_groups)
        return bad_request(
            fmt::format("the aggregation has more than {} groups; filter the documents or group by fewer fields", limits_.max_groups));
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
    return bad_request(
        fmt::format("the aggregation holds more than {} MiB; filter the documents or collect fewer values", limits_.max_bytes >> 20));
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
  QUARRY_ASSIGN_OR_RETURN(AggregationPlan plan, parse_aggregation(request));
  return std::unique_ptr<Aggregation>(std::make_unique<GroupedAggregation>(std::move(plan), limits));
}

}  // namespace quarry::retrieval
