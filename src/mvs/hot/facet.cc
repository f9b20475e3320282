#include "mvs/hot/facet.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "mvs/hot/column_filter.h"
#include "mvs/hot/field_reader.h"

namespace quarry::mvs {
namespace {

// Texts, which most facets are of, are counted where they lie.
class FacetCounter {
 public:
  // `count` documents whose value is that of the row.
  Status add(const FieldReader& reader, size_t row, const FieldKey& key, uint64_t count) {
    if (const auto* text = std::get_if<std::string_view>(&key)) {
      texts_[*text] += count;
    } else if (const auto* held = std::get_if<json::value>(&key)) {
      add_value(*held, count);
    } else if (key.index() != 0) {
      QUARRY_ASSIGN_OR_RETURN(const auto value, reader.value(row));
      if (value) add_value(*value, count);
    }
    return Ok{};
  }

  std::vector<FacetValue> finish(size_t limit) {
    std::vector<Total> totals;
    for (const auto& [value, count] : values_) {
      if (const json::string* text = value.if_string())
        texts_[*text] += count;
      else
        totals.push_back({count, &value, {}});
    }
    for (const auto& [text, count] : texts_) totals.push_back({count, nullptr, text});
    limit = std::min(limit, totals.size());
    std::partial_sort(totals.begin(), totals.begin() + ptrdiff_t(limit), totals.end());
    std::vector<FacetValue> out;
    for (size_t i = 0; i < limit; ++i) out.push_back({totals[i].json(), totals[i].count});
    return out;
  }

 private:
  struct Less {
    bool operator()(const json::value& a, const json::value& b) const { return compare_json(a, b) < 0; }
  };

  struct Total {
    uint64_t count = 0;
    const json::value* value = nullptr;  // null: it is `text`
    std::string_view text;

    json::value json() const { return value != nullptr ? *value : json::value(json::string(text)); }
    bool operator<(const Total& other) const {
      static const json::value kText = json::string();
      if (count != other.count) return count > other.count;
      if (value == nullptr && other.value == nullptr) return text < other.text;
      return Less()(value != nullptr ? *value : kText, other.value != nullptr ? *other.value : kText);  // no other value is a text
    }
  };

  void add_value(const json::value& value, uint64_t count) {
    if (const auto* array = value.if_array()) {
      elements_.clear();
      for (const auto& element : *array)
        if (!element.is_null()) elements_.push_back(&element);
      std::sort(elements_.begin(), elements_.end(), [](const auto* a, const auto* b) { return Less()(*a, *b); });
      for (size_t i = 0; i < elements_.size(); ++i)
        if (i == 0 || Less()(*elements_[i - 1], *elements_[i])) values_[*elements_[i]] += count;
    } else if (!value.is_null()) {
      values_[value] += count;
    }
  }

  std::unordered_map<std::string_view, uint64_t> texts_;  // they live in segments of the snapshot
  std::map<json::value, uint64_t, Less> values_;
  std::vector<const json::value*> elements_;  // of one document's array
};

// Rows that are counted together.
struct Counted {
  uint32_t row = 0;  // the first of them
  uint32_t rows = 1;
  uint32_t group = RowGroups::kNone;
};

std::vector<Counted> counted_groups(const FieldGroups& groups, const Bitmap& rows) {
  Bitmap grouped = rows, single(rows.size());
  if (groups.elsewhere != nullptr) {
    single = rows;
    single &= *groups.elsewhere;
    grouped.subtract(single);
  }
  std::vector<Counted> out;
  single.for_each([&](size_t row) { out.push_back({uint32_t(row)}); });
  const bool all = grouped.count() == grouped.size();
  for (size_t g = 0; g < groups.rows->size(); ++g) {
    const auto members = groups.rows->rows_of(g);
    const auto is_counted = [&](uint32_t row) { return grouped.test(row); };
    const auto first = all ? members.begin() : std::find_if(members.begin(), members.end(), is_counted);
    if (first == members.end()) continue;
    out.push_back({*first, uint32_t(all ? members.size() : size_t(std::count_if(first, members.end(), is_counted))), uint32_t(g)});
  }
  // Of equal values written in several ways the first one stands for all.
  if (!groups.kind || !single.none()) std::sort(out.begin(), out.end(), [](const Counted& a, const Counted& b) { return a.row < b.row; });
  return out;
}

Status count_values(const FieldReader& reader, const Bitmap& rows, FacetCounter& counter) {
  const auto add = [&](const Counted& counted) -> Status {
    QUARRY_ASSIGN_OR_RETURN(const FieldKey key,
                            counted.group == RowGroups::kNone ? reader.key(counted.row) : reader.key_in(counted.group, counted.row));
    return counter.add(reader, counted.row, key, counted.rows);
  };
  if (const auto groups = reader.groups()) {
    for (const Counted& counted : counted_groups(*groups, rows)) QUARRY_RETURN_IF_ERROR(add(counted));
    return Ok{};
  }
  Status status = Ok{};
  rows.for_each([&](size_t row) {
    if (status.ok()) status = add({uint32_t(row)});
  });
  return status;
}

}  // namespace

Result<std::vector<FacetValue>> facet_rows(const Snapshot& snapshot, const Filter& filter, const std::string& field, size_t limit,
                                           IndexUse use) {
  FacetCounter counter;
  for (const SegmentView& view : snapshot.views) {
    QUARRY_ASSIGN_OR_RETURN(const Bitmap rows, filter_rows(filter, *view.segment, view.live_rows(), use));
    if (rows.none()) continue;
    const FieldReader reader(*view.segment, field, use, rows.count());
    QUARRY_RETURN_IF_ERROR(count_values(reader, rows, counter));
  }
  return counter.finish(limit);
}

}  // namespace quarry::mvs
