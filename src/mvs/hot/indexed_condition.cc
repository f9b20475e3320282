// Conditions on columns that have an index over their values.
#include <algorithm>

#include "base/clock.h"
#include "mvs/hot/column_condition.h"

namespace quarry::mvs {
namespace {

constexpr size_t kRowsPerLookUp = 16;  // that a look at each row takes while a value is looked up

class IndexedCondition {
 public:
  IndexedCondition(const Filter& condition, ColumnKind kind, const ValueIndex& index, size_t candidates)
      : condition_(condition), kind_(kind), index_(index), candidates_(candidates) {}

  // Sets the rows with a value that match. False: looking at each row is cheaper.
  bool add_rows(Bitmap& out) const {
    switch (condition_.op) {
      case FilterOp::kEq: return index_.add_rows(index_.equal(condition_.value), out), true;
      case FilterOp::kNe: return add_rest([&](Bitmap& found) { return index_.add_rows(index_.equal(condition_.value), found), true; }, out);
      case FilterOp::kIn: return add_listed(out);
      case FilterOp::kNin: return add_rest([&](Bitmap& found) { return add_listed(found); }, out);
      case FilterOp::kGt:
      case FilterOp::kLt:
      case FilterOp::kGte:
      case FilterOp::kLte:
        if (const auto range = index_.ordered(condition_)) return index_.add_rows(*range, out), true;
        return add_by_value(out);
      case FilterOp::kExists:
      case FilterOp::kIsNull: {
        const json::value any = true;
        if (matches_condition(condition_, &any)) out |= index_.valid();
        return true;
      }
      case FilterOp::kStartsWith:
        if (!condition_.case_sensitive || kind_ != ColumnKind::kString || !condition_.value.is_string()) return add_by_value(out);
        return index_.add_rows(index_.with_prefix(condition_.value.get_string()), out), true;
      default: return add_by_value(out);
    }
  }

 private:
  bool add_listed(Bitmap& out) const {
    const json::array* list = condition_.value.if_array();
    if (list == nullptr) return index_.add_rows(index_.equal(condition_.value), out), true;
    if (list->size() * kRowsPerLookUp > candidates_) return false;
    for (const json::value& operand : *list) index_.add_rows(index_.equal(operand), out);
    return true;
  }

  template <class Add>
  bool add_rest(Add&& add, Bitmap& out) const {
    Bitmap found(out.size()), rest = index_.valid();
    if (!add(found)) return false;
    rest.subtract(found);
    out |= rest;
    return true;
  }

  // Asks each different value once.
  bool add_by_value(Bitmap& out) const {
    if (index_.groups() > candidates_) return false;
    for (size_t g = 0; g < index_.groups(); ++g) {
      const json::value value = index_.value(g);
      if (matches_condition(condition_, &value)) index_.add_rows({g, g + 1}, out);
    }
    return true;
  }

  const Filter& condition_;
  const ColumnKind kind_;
  const ValueIndex& index_;
  const size_t candidates_;
};

// Leaves of the rows that an index found those among the candidates, and to their documents those that the column does not decide.
void keep_decided(const Filter& condition, const ValueColumn& column, const Bitmap& valid, const Bitmap& candidates, ColumnAnswer& answer) {
  answer.matching &= candidates;
  if (column.overridden == nullptr || column.overridden->none()) return;
  answer.unsure = candidates;
  answer.unsure &= *column.overridden;
  if (value_is_exact(condition, column.kind)) answer.unsure.subtract(valid);
  answer.matching.subtract(answer.unsure);
}

}  // namespace

bool is_timestamp(const json::value& value) { return value.is_string() && parse_timestamp(value.get_string()).ok(); }
bool is_ordering(FilterOp op) { return op == FilterOp::kGt || op == FilterOp::kLt || op == FilterOp::kGte || op == FilterOp::kLte; }
bool is_about_words(FilterOp op) { return op == FilterOp::kText || op == FilterOp::kWords || op == FilterOp::kPhrase; }

bool value_is_exact(const Filter& condition, ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kNumber:
    case ColumnKind::kFloat:
    case ColumnKind::kInt64: return true;
    case ColumnKind::kTimestamp: return is_ordering(condition.op) && is_timestamp(condition.value);
    default: return false;
  }
}

std::optional<ColumnAnswer> ask_index(const Filter& condition, const ValueColumn& column, const ValueIndex& index, const Bitmap& candidates,
                                      size_t candidate_count) {
  ColumnAnswer answer(candidates.size());
  if (!IndexedCondition(condition, column.kind, index, candidate_count).add_rows(answer.matching)) return std::nullopt;
  if (matches_condition(condition, nullptr)) {
    Bitmap nulls(candidates.size(), true);
    nulls.subtract(index.valid());
    answer.matching |= nulls;
  }
  keep_decided(condition, column, index.valid(), candidates, answer);
  return answer;
}

ColumnAnswer ask_words(const Filter& condition, const ValueColumn& column, const WordIndex& index, const Bitmap& candidates) {
  ColumnAnswer answer(candidates.size());
  index.add_rows(condition.op, words_of(condition), answer.matching);
  keep_decided(condition, column, index.valid(), candidates, answer);
  return answer;
}

}  // namespace quarry::mvs
