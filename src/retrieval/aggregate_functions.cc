#include "retrieval/aggregate_functions.h"

#include "base/hash.h"
#include "model/filter.h"

namespace quarry::retrieval {

AggregateFunction parse_aggregate_function(std::string_view name) {
  if (name == "count_distinct") return AggregateFunction::kCountDistinct;
  if (name == "sum") return AggregateFunction::kSum;
  if (name == "avg") return AggregateFunction::kAvg;
  if (name == "min") return AggregateFunction::kMin;
  if (name == "max") return AggregateFunction::kMax;
  if (name == "first") return AggregateFunction::kFirst;
  if (name == "last") return AggregateFunction::kLast;
  if (name == "push") return AggregateFunction::kPush;
  if (name == "add_to_set") return AggregateFunction::kAddToSet;
  return AggregateFunction::kCount;
}

size_t Accumulator::add(const json::value* value, bool counts_documents) {
  if (counts_documents) {
    ++count_;
    return 0;
  }
  if (value == nullptr || value->is_null()) return 0;
  return add_value(*value);
}

size_t Accumulator::add_value(const json::value& value) {
  switch (function_) {
    case AggregateFunction::kCount: ++count_; return 0;
    case AggregateFunction::kSum:
    case AggregateFunction::kAvg: add_number(value); return 0;
    case AggregateFunction::kMin:
    case AggregateFunction::kMax: {
      int c = has_value_ ? compare_json(value, value_) : 0;
      if (!has_value_ || (function_ == AggregateFunction::kMin ? c < 0 : c > 0)) value_ = value;
      has_value_ = true;
      return 0;
    }
    case AggregateFunction::kFirst:
      if (!has_value_) value_ = value;
      has_value_ = true;
      return 0;
    case AggregateFunction::kLast:
      value_ = value;
      has_value_ = true;
      return 0;
    case AggregateFunction::kCountDistinct: return seen_.insert(hash64(json::serialize(value))).second ? 32 : 0;
    case AggregateFunction::kAddToSet:
    case AggregateFunction::kPush: {
      std::string text = json::serialize(value);
      if (function_ == AggregateFunction::kAddToSet && !seen_.insert(hash64(text)).second) return 0;
      values_.push_back(value);
      return 64 + text.size();
    }
  }
  return 0;
}

void Accumulator::add_number(const json::value& value) {
  if (!value.is_number()) return;
  ++count_;
  sum_ += value.to_number<double>();
  if (!is_whole_) return;
  is_whole_ = value.is_int64() && !__builtin_add_overflow(whole_, value.get_int64(), &whole_);
}

json::value Accumulator::result() const {
  switch (function_) {
    case AggregateFunction::kCount: return count_;
    case AggregateFunction::kCountDistinct: return seen_.size();
    case AggregateFunction::kSum: return is_whole_ ? json::value(whole_) : json::value(sum_);
    case AggregateFunction::kAvg: return count_ == 0 ? json::value(nullptr) : json::value(sum_ / static_cast<double>(count_));
    case AggregateFunction::kPush:
    case AggregateFunction::kAddToSet: return values_;
    default: return value_;
  }
}

}  // namespace quarry::retrieval
