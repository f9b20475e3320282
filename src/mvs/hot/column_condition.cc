#include "mvs/hot/column_condition.h"

#include <arrow/api.h>

#include <unordered_set>

namespace quarry::mvs {
namespace {

template <class T>
const T& as(const arrow::Array& array) {
  return static_cast<const T&>(array);
}

template <class T>
bool ordered(FilterOp op, const T& a, const T& b) {
  switch (op) {
    case FilterOp::kGt: return b < a;
    case FilterOp::kLt: return a < b;
    case FilterOp::kGte: return !(a < b);
    default: return !(b < a);
  }
}

class ColumnCondition {
 public:
  ColumnCondition(const Filter& condition, const ValueColumn& column) : condition_(condition), column_(column), array_(column.array) {}

  ColumnAnswer evaluate(const Bitmap& candidates) {
    ColumnAnswer answer(candidates.size());
    Bitmap &out = answer.matching, &unsure = answer.unsure;
    const bool at_null = matches_condition(condition_, nullptr);
    const Bitmap* overridden = column_.overridden;
    const bool exact = value_is_exact(condition_, column_.kind);
    if (prepare_fast()) {
      candidates.for_each([&](size_t row) {
        if (array_->IsValid(int64_t(row))) {
          if (!exact && overridden != nullptr && overridden->test(row))
            unsure.set(row);
          else if (fast(int64_t(row)))
            out.set(row);
        } else if (overridden != nullptr && overridden->test(row)) {
          unsure.set(row);
        } else if (at_null) {
          out.set(row);
        }
      });
      return answer;
    }
    candidates.for_each([&](size_t row) {
      if (overridden != nullptr && overridden->test(row))
        unsure.set(row);
      else if (array_ == nullptr || array_->IsNull(int64_t(row)) ? at_null : slow(row))
        out.set(row);
    });
    return answer;
  }

 private:
  // Whether fast() can answer for rows that are not null.
  bool prepare_fast() {
    if (array_ == nullptr) return false;
    const json::value& value = condition_.value;
    const bool equality = condition_.op == FilterOp::kEq || condition_.op == FilterOp::kNe;
    switch (column_.kind) {
      case ColumnKind::kString:
        if (equality && value.is_string()) return set_mode(Mode::kStringEqual);
        if (is_ordering(condition_.op) && value.is_string() && !is_timestamp(value)) return set_mode(Mode::kStringOrder);
        if ((condition_.op == FilterOp::kIn || condition_.op == FilterOp::kNin) && value.is_array())
          return collect_texts(), set_mode(Mode::kStringIn);
        if (condition_.op == FilterOp::kStartsWith && condition_.case_sensitive && value.is_string()) return set_mode(Mode::kStringPrefix);
        return false;
      case ColumnKind::kInt64:
        if (value.is_int64() && (equality || is_ordering(condition_.op))) return set_mode(Mode::kInteger);
        return false;
      case ColumnKind::kNumber:
      case ColumnKind::kFloat:
        if (value.is_double() && (equality || is_ordering(condition_.op))) return number_ = value.get_double(), set_mode(Mode::kDouble);
        if (value.is_int64() && std::abs(value.get_int64()) < (int64_t{1} << 53) && (equality || is_ordering(condition_.op)))
          return number_ = double(value.get_int64()), set_mode(Mode::kDouble);
        return false;
      case ColumnKind::kTimestamp:
        if (is_ordering(condition_.op) && is_timestamp(value)) return time_ = *parse_timestamp(value.get_string()), set_mode(Mode::kTime);
        return false;
      default: return false;
    }
  }

  bool fast(int64_t row) const {
    const FilterOp op = condition_.op;
    switch (mode_) {
      case Mode::kStringEqual: return (as<arrow::StringArray>(*array_).GetView(row) == text_) == (op == FilterOp::kEq);
      case Mode::kStringIn: return texts_.contains(as<arrow::StringArray>(*array_).GetView(row)) == (op == FilterOp::kIn);
      case Mode::kStringOrder: return ordered(op, as<arrow::StringArray>(*array_).GetView(row), text_);
      case Mode::kStringPrefix: return as<arrow::StringArray>(*array_).GetView(row).starts_with(text_);
      case Mode::kInteger: return number_matches(as<arrow::Int64Array>(*array_).Value(row), condition_.value.get_int64());
      case Mode::kDouble: return number_matches(as<arrow::DoubleArray>(*array_).Value(row), number_);
      case Mode::kTime: return ordered(op, as<arrow::TimestampArray>(*array_).Value(row), time_);
    }
    return false;
  }

  template <class T>
  bool number_matches(T a, T b) const {
    if (condition_.op == FilterOp::kEq) return a == b;
    if (condition_.op == FilterOp::kNe) return !(a == b);
    return ordered(condition_.op, a, b);
  }

  bool slow(size_t row) {
    if (column_.kind == ColumnKind::kString) {
      // Keeps the string's capacity from row to row.
      scratch_.emplace_string() = as<arrow::StringArray>(*array_).GetView(int64_t(row));
    } else {
      scratch_ = column_.value(row);
    }
    return matches_condition(condition_, &scratch_);
  }

  enum class Mode { kStringEqual, kStringIn, kStringOrder, kStringPrefix, kInteger, kDouble, kTime };
  bool set_mode(Mode mode) {
    mode_ = mode;
    if (condition_.value.is_string()) text_ = condition_.value.get_string();
    return true;
  }

  // Operands of other kinds equal no text.
  void collect_texts() {
    for (const auto& operand : condition_.value.get_array())
      if (operand.is_string()) texts_.insert(operand.get_string());
  }

  const Filter& condition_;
  const ValueColumn& column_;
  const arrow::Array* const array_;
  Mode mode_ = Mode::kStringEqual;
  std::string_view text_;
  std::unordered_set<std::string_view> texts_;
  double number_ = 0;
  TimestampUs time_ = 0;
  json::value scratch_;
};

}  // namespace

ColumnAnswer scan_column(const Filter& condition, const ValueColumn& column, const Bitmap& candidates) {
  return ColumnCondition(condition, column).evaluate(candidates);
}

}  // namespace quarry::mvs
