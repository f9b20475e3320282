#include "mvs/hot/facet.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "mvs/hot/column_filter.h"
#include "mvs/hot/field_reader.h"

namespace quarry::mvs {
namespace {

constexpr size_t kRowsPerRead = 16;  // of an index's order that are passed in the time of reading one row

// Texts, which most facets are of, are counted where they lie.
class FacetCounter {
 public:
  Status add(const FieldReader& reader, size_t row) {
    QUARRY_ASSIGN_OR_RETURN(const FieldKey key, reader.key(row));
    if (const auto* text = std::get_if<std::string_view>(&key)) {
      ++texts_[*text];
    } else if (const auto* held = std::get_if<json::value>(&key)) {
      add_value(*held);
    } else if (key.index() != 0) {
      QUARRY_ASSIGN_OR_RETURN(const auto value, reader.value(row));
      if (value) add_value(*value);
    }
    return Ok{};
  }

  // `row` and others of its segment, `count` together, that have the same value in a column.
  Status add_equal(const FieldReader& reader, size_t row, uint64_t count) {
    QUARRY_ASSIGN_OR_RETURN(const FieldKey key, reader.key(row));
    if (const auto* text = std::get_if<std::string_view>(&key)) {
      texts_[*text] += count;
      return Ok{};
    }
    QUARRY_ASSIGN_OR_RETURN(const auto value, reader.value(row));
    if (value) values_[*value] += count;
    return Ok{};
  }

  std::vector<FacetValue> finish(size_t limit) {
    for (const auto& [text, count] : texts_) values_[json::value(json::string(text))] += count;
    std::vector<FacetValue> out;
    for (const auto& [value, count] : values_) out.push_back({value, count});
    std::stable_sort(out.begin(), out.end(), [](const FacetValue& a, const FacetValue& b) { return a.count > b.count; });
    if (out.size() > limit) out.resize(limit);
    return out;
  }

 private:
  struct Less {
    bool operator()(const json::value& a, const json::value& b) const { return compare_json(a, b) < 0; }
  };

  void add_value(const json::value& value) {
    if (const auto* array = value.if_array()) {
      elements_.clear();
      for (const auto& element : *array)
        if (!element.is_null()) elements_.push_back(&element);
      std::sort(elements_.begin(), elements_.end(), [](const auto* a, const auto* b) { return Less()(*a, *b); });
      for (size_t i = 0; i < elements_.size(); ++i)
        if (i == 0 || Less()(*elements_[i - 1], *elements_[i])) ++values_[*elements_[i]];
    } else if (!value.is_null()) {
      ++values_[value];
    }
  }

  std::unordered_map<std::string_view, uint64_t> texts_;  // they live in segments of the snapshot
  std::map<json::value, uint64_t, Less> values_;
  std::vector<const json::value*> elements_;  // of one document's array
};

bool is_number(ColumnKind kind) {
  return kind == ColumnKind::kInt32 || kind == ColumnKind::kInt64 || kind == ColumnKind::kNumber || kind == ColumnKind::kFloat;
}

// Counts rows that the index of the field's column answers for, and takes them from `rows`.
Status count_indexed(const Segment& segment, const FieldReader& reader, IndexUse use, Bitmap& rows, FacetCounter& counter) {
  const int column = reader.column();
  const size_t count = rows.count();
  if (column < 0 || (use == IndexUse::kWhenWorth && count * kRowsPerRead < segment.rows())) return Ok{};
  const ValueIndex* index = segment.value_index(column, use);
  if (index == nullptr) return Ok{};
  const Column& spec = segment.block().schema().columns()[size_t(column)];
  Bitmap decided = rows, rest(rows.size());
  if (!spec.system) {
    rest = rows;
    rest &= segment.overridden(column);
    // Of equal numbers written in several ways the first one stands for all: only a look at each row tells which that is.
    if (is_number(spec.kind) && !rest.none()) return Ok{};
    decided.subtract(rest);
  }
  const bool all = decided.count() == segment.rows();
  for (size_t g = 0; g < index->groups(); ++g) {
    const auto members = index->rows().rows_of(g);
    const auto is_counted = [&](uint32_t row) { return decided.test(row); };
    const auto first = all ? members.begin() : std::find_if(members.begin(), members.end(), is_counted);
    if (first == members.end()) continue;
    const size_t counted = all ? members.size() : size_t(std::count_if(first, members.end(), is_counted));
    QUARRY_RETURN_IF_ERROR(counter.add_equal(reader, *first, counted));
  }
  rows = std::move(rest);
  return Ok{};
}

}  // namespace

Result<std::vector<FacetValue>> facet_rows(const Snapshot& snapshot, const Filter& filter, const std::string& field, size_t limit,
                                           IndexUse use) {
  FacetCounter counter;
  for (const SegmentView& view : snapshot.views) {
    QUARRY_ASSIGN_OR_RETURN(Bitmap rows, filter_rows(filter, *view.segment, view.live_rows(), use));
    const FieldReader reader(*view.segment, field);
    QUARRY_RETURN_IF_ERROR(count_indexed(*view.segment, reader, use, rows, counter));
    Status status = Ok{};
    rows.for_each([&](size_t row) {
      if (status.ok()) status = counter.add(reader, row);
    });
    QUARRY_RETURN_IF_ERROR(status);
  }
  return counter.finish(limit);
}

}  // namespace quarry::mvs
