// One metric of one group. Private to aggregate.
#pragma once

#include <unordered_set>
#include <vector>

#include "base/result.h"

namespace quarry::retrieval {

enum class AggregateFunction { kCount, kCountDistinct, kSum, kAvg, kMin, kMax, kFirst, kLast, kPush, kAddToSet };

// By the contract's names; the request was checked.
AggregateFunction parse_aggregate_function(std::string_view name);

class Accumulator {
 public:
  explicit Accumulator(AggregateFunction function) : function_(function) {}

  // `value`: the field's, or null pointer where it is missing; `counts_documents` for count without a field. Returns the bytes it now holds
  // more.
  size_t add(const json::value* value, bool counts_documents);
  json::value result() const;

 private:
  size_t add_value(const json::value& value);
  void add_number(const json::value& value);

  AggregateFunction function_;
  uint64_t count_ = 0;
  int64_t whole_ = 0;  // the sum while it is an integer
  double sum_ = 0;
  bool is_whole_ = true;
  bool has_value_ = false;
  json::value value_;                  // min, max, first, last
  json::array values_;                 // push, add_to_set
  std::unordered_set<uint64_t> seen_;  // hashes of values
};

}  // namespace quarry::retrieval
