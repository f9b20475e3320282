// Grouped aggregation over a stream of JSON documents: the contract's DocumentAggregationRequest and ObjectAggregationRequest, less their
// filters, which the caller applies to the stream.
//
// Groups. A field's value, a list taken whole (unless unwound), missing as null. date_trunc gives the start of the unit as a timestamp,
// date_part a number, both in UTC and with the names and meanings of MongoDB: weeks begin on Sunday, week is 0..53, dayOfWeek 1
// (Sunday)..7, dayOfYear 1..366; what is no timestamp groups as null. range_buckets group by "[low, high)"; values outside any range by
// default_bucket, or null; a bucket of a field that group_by names takes that place. Functions. count: documents, or those where `field` is
// not null. sum, avg: numbers only; sum of none is 0, avg of none null; integers stay integers while they fit. min, max: in the order of
// compare_json, null if there are none. first, last: by the order of the stream. push: all values, add_to_set: each once, count_distinct:
// how many (distinct_field or field). unwind: one document per element of a list; documents where it is missing or empty drop out.
#pragma once

#include <memory>

#include "base/result.h"

namespace quarry::retrieval {

class Aggregation {
 public:
  struct Limits {
    size_t max_groups = 50'000;
    size_t max_bytes = 64u << 20;  // held by groups, pushed values and sets
  };

  // `request` is the operation's body; members that are not about aggregation are ignored. 422 with the location.
  static Result<std::unique_ptr<Aggregation>> parse(const json::object& request, Limits limits);
  static Result<std::unique_ptr<Aggregation>> parse(const json::object& request) { return parse(request, Limits()); }
  virtual ~Aggregation() = default;

  // kBadRequest once a limit is passed, with what to do about it.
  virtual Status add(const json::object& document) = 0;
  // {results: [{group, metrics}], total_groups, query_info}. Order: sort_by, then the group's values; total_groups counts before `limit`.
  virtual json::object finish() = 0;
};

}  // namespace quarry::retrieval
