#include "mvs/hot/column_filter.h"

#include <arrow/api.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "mvs/warm/json_text.h"

namespace quarry::mvs {
namespace {

template <class T>
const T& as(const arrow::Array& array) {
  return static_cast<const T&>(array);
}

bool is_ordering(FilterOp op) { return op == FilterOp::kGt || op == FilterOp::kLt || op == FilterOp::kGte || op == FilterOp::kLte; }

template <class T>
bool ordered(FilterOp op, const T& a, const T& b) {
  switch (op) {
    case FilterOp::kGt: return b < a;
    case FilterOp::kLt: return a < b;
    case FilterOp::kGte: return !(a < b);
    default: return !(b < a);
  }
}

bool is_timestamp(const json::value& value) { return value.is_string() && parse_timestamp(value.get_string()).ok(); }

// One condition whose field is a column of the segment.
class ColumnCondition {
 public:
  ColumnCondition(const Filter& condition, const Segment& segment, int column)
      : condition_(condition),
        segment_(segment),
        column_(column),
        spec_(segment.block().schema().columns()[size_t(column)]),
        array_(segment.block().array(column)) {}

  // The candidates that match; rows that the column can't answer for are added to `unsure` instead.
  void evaluate(const Bitmap& candidates, Bitmap& out, Bitmap& unsure) {
    const bool at_null = matches_condition(condition_, nullptr);
    const Bitmap* overridden = spec_.system ? nullptr : &segment_.overridden(column_);
    const bool exact = value_is_exact();
    if (is_keyword_look_up() && !at_null) return look_up(candidates, overridden, out, unsure);
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
      return;
    }
    candidates.for_each([&](size_t row) {
      if (overridden != nullptr && overridden->test(row))
        unsure.set(row);
      else if (array_ == nullptr || array_->IsNull(int64_t(row)) ? at_null : slow(row))
        out.set(row);
    });
  }

 private:
  // Whether an index over the column's values answers.
  bool is_keyword_look_up() const {
    constexpr size_t kMinRows = 64;
    return array_ != nullptr && spec_.kind == ColumnKind::kString && condition_.op == FilterOp::kEq && condition_.value.is_string() &&
           segment_.rows() >= kMinRows;
  }

  void look_up(const Bitmap& candidates, const Bitmap* overridden, Bitmap& out, Bitmap& unsure) const {
    Bitmap found(candidates.size());
    const auto& value = condition_.value.get_string();
    segment_.keyword_index(column_).add_rows({value.data(), value.size()}, found);
    found &= candidates;
    if (overridden != nullptr && !overridden->none()) {
      Bitmap elsewhere = *overridden;
      elsewhere &= candidates;
      found.subtract(elsewhere);
      unsure |= elsewhere;
    }
    out |= found;
  }

  // Whether a column value that is not null decides the condition even where the JSON column holds another form of it: numbers compare by
  // value, times by instant.
  bool value_is_exact() const {
    switch (spec_.kind) {
      case ColumnKind::kNumber:
      case ColumnKind::kFloat:
      case ColumnKind::kInt64: return true;
      case ColumnKind::kTimestamp: return is_ordering(condition_.op);
      default: return false;
    }
  }

  // Whether fast() can answer for rows that are not null.
  bool prepare_fast() {
    if (array_ == nullptr) return false;
    const json::value& value = condition_.value;
    const bool equality = condition_.op == FilterOp::kEq || condition_.op == FilterOp::kNe;
    switch (spec_.kind) {
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
    if (spec_.kind == ColumnKind::kString) {
      // Keeps the string's capacity from row to row.
      scratch_.emplace_string() = as<arrow::StringArray>(*array_).GetView(int64_t(row));
    } else {
      scratch_ = segment_.block().column_value(column_, row);
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
  const Segment& segment_;
  const int column_;
  const Column& spec_;
  const arrow::Array* const array_;
  Mode mode_ = Mode::kStringEqual;
  std::string_view text_;
  std::unordered_set<std::string_view> texts_;
  double number_ = 0;
  TimestampUs time_ = 0;
  json::value scratch_;
};

class Evaluator {
 public:
  explicit Evaluator(const Segment& segment) : segment_(segment), schema_(segment.block().schema()) {}

  Result<Bitmap> run(const Filter& filter, Bitmap candidates) {
    switch (filter.kind) {
      case Filter::Kind::kAnd: return run_and(filter, std::move(candidates));
      case Filter::Kind::kOr: return run_or(filter, std::move(candidates));
      case Filter::Kind::kNot: {
        QUARRY_ASSIGN_OR_RETURN(const Bitmap matched, run_or(filter, candidates));
        candidates.subtract(matched);
        return candidates;
      }
      case Filter::Kind::kCondition: return run_condition(filter, candidates);
    }
    return candidates;
  }

 private:
  // -1: not a column, asked of the JSON document.
  int column_of(const Filter& condition) const {
    const int at = schema_.find(condition.field);
    if (at < 0 || is_vector(schema_.columns()[size_t(at)].kind) || condition.field == kPayloadJson) return -1;
    // A field that got its column after this file was written is still in the JSON column.
    if (segment_.block().array(at) == nullptr && !schema_.columns()[size_t(at)].system) return -1;
    return at;
  }

  bool is_columnar(const Filter& filter) const {
    if (filter.kind == Filter::Kind::kCondition) return column_of(filter) >= 0;
    return std::all_of(filter.children.begin(), filter.children.end(), [&](const Filter& f) { return is_columnar(f); });
  }

  // Columnar children first: they leave fewer rows to parse.
  std::vector<const Filter*> cheap_first(const Filter& filter) const {
    std::vector<const Filter*> out;
    for (const auto& child : filter.children) out.push_back(&child);
    std::stable_partition(out.begin(), out.end(), [&](const Filter* f) { return is_columnar(*f); });
    return out;
  }

  Result<Bitmap> run_and(const Filter& filter, Bitmap candidates) {
    for (const Filter* child : cheap_first(filter)) {
      if (candidates.none()) break;
      QUARRY_ASSIGN_OR_RETURN(candidates, run(*child, std::move(candidates)));
    }
    return candidates;
  }

  // The union of the children; of a NOT too.
  Result<Bitmap> run_or(const Filter& filter, Bitmap candidates) {
    Bitmap out(candidates.size());
    for (const Filter* child : cheap_first(filter)) {
      if (candidates.none()) break;
      QUARRY_ASSIGN_OR_RETURN(const Bitmap matched, run(*child, candidates));
      out |= matched;
      candidates.subtract(matched);
    }
    return out;
  }

  Result<Bitmap> run_condition(const Filter& condition, const Bitmap& candidates) {
    Bitmap out(candidates.size());
    const int column = column_of(condition);
    if (column < 0) {
      QUARRY_RETURN_IF_ERROR(ask_documents(condition, candidates, out));
      return out;
    }
    Bitmap unsure(candidates.size());
    ColumnCondition(condition, segment_, column).evaluate(candidates, out, unsure);
    QUARRY_RETURN_IF_ERROR(ask_documents(condition, unsure, out));
    return out;
  }

  // Whether the rest alone answers: no step of the path's beginning names a column.
  bool rest_suffices(const Filter& condition) const {
    const std::string_view field = condition.field;
    return schema_.find(field) < 0 && schema_.find(field.substr(0, field.find('.'))) < 0;
  }

  Status ask_documents(const Filter& condition, const Bitmap& rows, Bitmap& out) {
    if (rows.none()) return Ok{};
    const RowBlock& block = segment_.block();
    const bool rest_only = rest_suffices(condition);
    const std::string_view field = condition.field;
    const std::array steps{field, field.substr(0, field.find('.'))};
    const bool at_empty = matches(condition, json::object());
    Status status = Ok{};
    rows.for_each([&](size_t row) {
      if (!status.ok()) return;
      const auto rest = block.rest(row);
      if (rest_only && rest.empty()) {
        if (at_empty) out.set(row);
        return;
      }
      auto document = rest_only ? parse_members(rest, steps) : block.filter_document(row);
      if (!document.ok())
        status = std::move(document).error();
      else if (matches(condition, *document))
        out.set(row);
    });
    return status;
  }

  const Segment& segment_;
  const TableSchema& schema_;
};

}  // namespace

Result<Bitmap> filter_rows(const Filter& filter, const Segment& segment, Bitmap candidates) {
  if (filter.matches_all()) return candidates;
  return Evaluator(segment).run(filter, std::move(candidates));
}

}  // namespace quarry::mvs
