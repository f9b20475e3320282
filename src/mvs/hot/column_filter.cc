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
      answer = ask_path(condition, candidates);
    }
    QUARRY_RETURN_IF_ERROR(ask_documents(condition, answer.unsure, answer.matching));
    return std::move(answer.matching);
  }

  ColumnAnswer ask_points(const Filter& condition, const Bitmap& candidates) const {
    ColumnAnswer answer(candidates.size());
    answer.unsure = candidates;
    if (counted(candidates) < kFewRows) return answer;
    const GeoIndex* index = segment_.geo_index(condition.field, use_);
    if (index == nullptr) return answer;
    answer.unsure &= index->other();
    index->add_rows(condition, answer.matching);
    answer.matching &= candidates;
    return answer;
  }

  ColumnAnswer ask_path(const Filter& condition, const Bitmap& candidates) const {
    const size_t count = counted(candidates);
    ColumnAnswer answer(candidates.size());
    if (count < kFewRows) {
      answer.unsure = candidates;
    } else if (const MemberIndex* index = segment_.member_index(condition.field, use_)) {
      index->add_rows(condition, answer.matching);
      answer.matching &= candidates;
    } else if (const PathColumn* made = segment_.path_column(condition.field, reading_of(condition), use_)) {
      return ask_values(condition, made->column(), &made->index(), candidates, count);
    } else {
      answer.unsure = candidates;
    }
    return answer;
  }

  static PathReading reading_of(const Filter& condition) {
    return is_ordering(condition.op) && is_timestamp(condition.value) ? PathReading::kTimes : PathReading::kValues;
  }

  ColumnAnswer ask_column(const Filter& condition, int at, const Bitmap& candidates) const {
    const size_t count = counted(candidates);
    const ValueColumn column = segment_.column(at);
    if (count < kFewRows) return scan_column(condition, column, candidates);
    if (!is_about_words(condition.op) || column.kind != ColumnKind::kString)
      return ask_values(condition, column, segment_.value_index(at, use_), candidates, count);
    const WordIndex* index = segment_.word_index(at, use_);
    return index != nullptr ? ask_words(condition, column, *index, candidates) : scan_column(condition, column, candidates);
  }

  // `index`: nullptr where there is none.
  static ColumnAnswer ask_values(const Filter& condition, const ValueColumn& column, const ValueIndex* index, const Bitmap& candidates,
                                 size_t count) {
    if (index != nullptr)
      if (auto answer = ask_index(condition, column, *index, candidates, count)) return std::move(*answer);
    return scan_column(condition, column, candidates);
  }

  // As many as to choose a way by.
  size_t counted(const Bitmap& candidates) const {
    if (use_ == IndexUse::kAlways) return SIZE_MAX;
    return segment_.rows() < kFewRows ? 0 : candidates.count();
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
