// Counts of field values over what the searches may find.
#include <algorithm>

#include "retrieval/stages/feature_search.h"
#include "retrieval/targets.h"

namespace quarry::retrieval {
namespace {

// Values that each of several collections is asked for, so that their sums are right.
constexpr size_t kMaxValues = 10'000;

struct FacetTarget {
  const Collection* collection = nullptr;
  Filter filter;  // what at least one search lets through
};

Result<std::vector<FacetTarget>> targets_of(const FeatureSearchSpec& spec, const SearchPlan& plan, const Execution& execution) {
  std::vector<FacetTarget> out;
  for (size_t i = 0; i < plan.targets.size(); ++i) {
    for (const Collection* collection : plan.targets[i]) {
      auto found = std::find_if(out.begin(), out.end(), [&](const FacetTarget& t) { return t.collection == collection; });
      QUARRY_ASSIGN_OR_RETURN(Filter filter, filter_of(spec.searches[i], *collection, execution));
      if (found == out.end()) {
        Filter any;
        any.kind = Filter::Kind::kOr;
        any.children.push_back(std::move(filter));
        out.push_back({collection, std::move(any)});
      } else {
        found->filter.children.push_back(std::move(filter));
      }
    }
  }
  for (FacetTarget& target : out) {
    std::vector<Filter>& parts = target.filter.children;
    bool is_open = std::any_of(parts.begin(), parts.end(), [](const Filter& f) { return f.matches_all(); });
    if (is_open) {
      target.filter = Filter{};
    } else if (parts.size() == 1) {
      Filter only = std::move(parts.front());
      target.filter = std::move(only);
    }
  }
  return out;
}

class FacetSum {
 public:
  void add(const std::vector<mvs::FacetValue>& values) {
    for (const mvs::FacetValue& value : values) {
      Entry& entry = entries_[json::serialize(value.value)];
      entry.value = value.value;
      entry.count += value.count;
    }
  }

  json::array best(size_t limit) const {
    std::vector<const Entry*> order;
    for (const auto& [key, entry] : entries_) order.push_back(&entry);
    std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
      return a->count != b->count ? a->count > b->count : compare_json(a->value, b->value) < 0;
    });
    if (order.size() > limit) order.resize(limit);
    json::array out;
    for (const Entry* entry : order) out.push_back(json::object{{"value", entry->value}, {"count", entry->count}});
    return out;
  }

 private:
  struct Entry {
    json::value value;
    uint64_t count = 0;
  };
  std::map<std::string, Entry> entries_;
};

}  // namespace

Result<json::array> count_facets(const FeatureSearchSpec& spec, const SearchPlan& plan, StageRun& run) {
  json::array out;
  if (spec.facets.empty()) return out;
  QUARRY_ASSIGN_OR_RETURN(std::vector<FacetTarget> targets, targets_of(spec, plan, run.execution));
  std::vector<const Collection*> collections;
  for (const FacetTarget& target : targets) collections.push_back(target.collection);
  for (const FacetSpec& facet : spec.facets) {
    std::vector<std::vector<mvs::FacetValue>> found(targets.size());
    size_t limit = targets.size() > 1 ? kMaxValues : facet.limit;
    auto count = [&](size_t i) -> Status {
      QUARRY_ASSIGN_OR_RETURN(found[i],
                              run.execution.env.vectors->facet(targets[i].collection->table_id(), targets[i].filter, facet.key, limit));
      return Ok{};
    };
    if (!targets.empty()) QUARRY_RETURN_IF_ERROR(read_targets(run, collections, count));
    FacetSum sum;
    bool is_cut = false;
    for (const auto& values : found) {
      sum.add(values);
      is_cut = is_cut || (targets.size() > 1 && values.size() == limit);
    }
    json::object entry{{"key", facet.key}, {"values", sum.best(facet.limit)}};
    if (is_cut) entry["approximate"] = true;
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace quarry::retrieval
