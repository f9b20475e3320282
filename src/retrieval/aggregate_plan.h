// An aggregation as asked for. Private to aggregate.
#pragma once

#include <vector>

#include "model/filter.h"
#include "retrieval/aggregate_functions.h"

namespace quarry::retrieval {

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

// Checks and reads a DocumentAggregationRequest. 422 with the location.
Result<AggregationPlan> parse_aggregation(const json::object& request);

}  // namespace quarry::retrieval
