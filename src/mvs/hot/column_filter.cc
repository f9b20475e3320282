#include "mvs/hot/column_filter.h"

#include <algorithm>

#include "model/geo.h"
#include "mvs/hot/column_condition.h"
#include "mvs/hot/document_reader.h"

namespace quarry::mvs {
namespace {

class Evaluator {
 public:
  Evaluator(const Segment& segment, IndexUse use) : segment_(segment), schema_(segment.block().schema()), use_(use) {}

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
    const int column = column_of(condition);
    ColumnAnswer answer(candidates.size());
    if (column >= 0) {
      answer = ask_column(condition, column, candidates);
    } else if (is_geo(condition.op)) {
      answer = ask_points(condition, candidates);
    } else {
      answer = ask_members(condition, candidates);
    }
    QUARRY_RETURN_IF_ERROR(ask_documents(condition, answer.unsure, answer.matching));
    return std::move(answer.matching);
  }

  ColumnAnswer ask_points(const Filter& condition, const Bitmap& candidates) const {
    ColumnAnswer answer(candidates.size());
    answer.unsure = candidates;
    if (use_ == IndexUse::kWhenWorth && candidates.count() < kFewRows) return answer;
    const GeoIndex* index = segment_.geo_index(condition.field, use_);
    if (index == nullptr) return answer;
    answer.unsure &= index->other();
    index->add_rows(condition, answer.matching);
    answer.matching &= candidates;
    return answer;
  }

  ColumnAnswer ask_members(const Filter& condition, const Bitmap& candidates) const {
    ColumnAnswer answer(candidates.size());
    const bool few = use_ == IndexUse::kWhenWorth && candidates.count() < kFewRows;
    const MemberIndex* index = few ? nullptr : segment_.member_index(condition.field, use_);
    if (index != nullptr) {
      index->add_rows(condition, answer.matching);
      answer.matching &= candidates;
    } else {
      answer.unsure = candidates;
    }
    return answer;
  }

  ColumnAnswer ask_column(const Filter& condition, int column, const Bitmap& candidates) const {
    const size_t count = use_ == IndexUse::kAlways ? SIZE_MAX : segment_.rows() < kFewRows ? 0 : candidates.count();
    if (count >= kFewRows && is_about_words(condition.op) && schema_.columns()[size_t(column)].kind == ColumnKind::kString) {
      if (const WordIndex* index = segment_.word_index(column, use_)) return ask_words(condition, segment_, column, *index, candidates);
    } else if (count >= kFewRows) {
      if (const ValueIndex* index = segment_.value_index(column, use_))
        if (auto answer = ask_index(condition, segment_, column, *index, candidates, count)) return std::move(*answer);
    }
    return scan_column(condition, segment_, column, candidates);
  }

  Status ask_documents(const Filter& condition, const Bitmap& rows, Bitmap& out) const {
    if (rows.none()) return Ok{};
    const DocumentReader documents(segment_.block(), condition.field);
    const bool at_empty = matches(condition, json::object());
    Status status = Ok{};
    rows.for_each([&](size_t row) {
      if (!status.ok()) return;
      if (documents.is_empty(row)) {
        if (at_empty) out.set(row);
        return;
      }
      auto document = documents.read(row);
      if (!document.ok())
        status = std::move(document).error();
      else if (matches(condition, *document))
        out.set(row);
    });
    return status;
  }

  static constexpr size_t kFewRows = 256;  // are looked at sooner than an index is asked

  const Segment& segment_;
  const TableSchema& schema_;
  const IndexUse use_;
};

}  // namespace

Result<Bitmap> filter_rows(const Filter& filter, const Segment& segment, Bitmap candidates, IndexUse use) {
  if (filter.matches_all()) return candidates;
  return Evaluator(segment, use).run(filter, std::move(candidates));
}

}  // namespace quarry::mvs
