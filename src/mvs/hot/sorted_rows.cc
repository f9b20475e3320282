#include "mvs/hot/sorted_rows.h"

#include <algorithm>

#include "mvs/hot/field_reader.h"

namespace quarry::mvs {
namespace {

using Row = RowPage::Row;

struct SortedRow {
  FieldKey key;
  Row row;
};

std::optional<std::string_view> text_of(const FieldKey& key) {
  if (const auto* text = std::get_if<std::string_view>(&key)) return *text;
  const auto* value = std::get_if<json::value>(&key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string_view(value->get_string());
}

class SortOrder {
 public:
  explicit SortOrder(const SortSpec& spec) : spec_(spec) {}

  bool operator()(const SortedRow& a, const SortedRow& b) const {
    const bool no_a = a.key.index() == 0, no_b = b.key.index() == 0;
    if (no_a != no_b) return no_b == spec_.nulls_last;
    if (const int c = no_a ? 0 : compare(a.key, b.key); c != 0) return spec_.descending ? c > 0 : c < 0;
    return a.row.id() < b.row.id();
  }

 private:
  int compare(const FieldKey& a, const FieldKey& b) const {
    const bool time_a = std::holds_alternative<Instant>(a), time_b = std::holds_alternative<Instant>(b);
    if (spec_.by_time && time_a && text_of(b) && !time_b) return -1;
    if (spec_.by_time && time_b && text_of(a) && !time_a) return 1;
    return compare_keys(a, b);
  }

  const SortSpec& spec_;
};

// What a row is sorted by.
class SortKeyReader {
 public:
  SortKeyReader(const Segment& segment, const SortSpec& spec, size_t reads)
      : field_(segment, spec.field, IndexUse::kWhenWorth, reads), by_time_(spec.by_time) {
    if (!spec.fallback_field.empty()) fallback_.emplace(segment, spec.fallback_field, IndexUse::kWhenWorth, reads);
  }

  const FieldReader& field() const { return field_; }

  Result<FieldKey> key(size_t row) const {
    QUARRY_ASSIGN_OR_RETURN(FieldKey key, field_.key(row));
    if (fallback_ && key.index() == 0) {
      QUARRY_ASSIGN_OR_RETURN(key, fallback_->key(row));
    }
    const auto text = by_time_ ? text_of(key) : std::nullopt;
    if (!text || text->empty() || text->front() < '0' || text->front() > '9') return key;
    const auto time = parse_timestamp(*text);
    return time.ok() ? FieldKey(Instant{*time}) : std::move(key);
  }

 private:
  const FieldReader field_;
  std::optional<FieldReader> fallback_;
  const bool by_time_;
};

// Leaves of `rows` those that may be among the first `wanted`: whole groups from where the order begins, and what no group tells.
void keep_first(const FieldGroups& groups, const SortSpec& spec, size_t wanted, Bitmap& rows) {
  // Texts that are times have an order of their own.
  if (!groups.kind || (spec.by_time && groups.kind == ColumnKind::kString)) return;
  Bitmap grouped(rows.size());
  groups.rows->add(0, groups.rows->size(), grouped);
  grouped &= rows;
  if (groups.elsewhere != nullptr) grouped.subtract(*groups.elsewhere);
  rows.subtract(grouped);
  size_t kept = 0;
  for (size_t n = 0; n < groups.rows->size() && kept < wanted; ++n)
    for (const uint32_t row : groups.rows->rows_of(spec.descending ? groups.rows->size() - 1 - n : n)) {
      if (!grouped.test(row)) continue;
      rows.set(row);
      ++kept;
    }
}

}  // namespace

Result<std::vector<Row>> sort_rows(const Snapshot& snapshot, const std::vector<Bitmap>& rows, const SortSpec& spec, size_t wanted) {
  std::vector<SortedRow> sorted;
  Status status = Ok{};
  for (size_t i = 0; i < snapshot.views.size(); ++i) {
    const SegmentView& view = snapshot.views[i];
    const size_t count = rows[i].count();
    if (count == 0) continue;
    const SortKeyReader reader(*view.segment, spec, count);
    Bitmap kept = rows[i];
    if (const auto groups = count > wanted ? reader.field().groups() : std::nullopt) keep_first(*groups, spec, wanted, kept);
    kept.for_each([&](size_t row) {
      if (!status.ok()) return;
      auto key = reader.key(row);
      if (!key.ok())
        status = std::move(key).error();
      else
        sorted.push_back({std::move(key).value(), {&view, uint32_t(row)}});
    });
  }
  QUARRY_RETURN_IF_ERROR(status);
  wanted = std::min(sorted.size(), wanted);
  std::partial_sort(sorted.begin(), sorted.begin() + ptrdiff_t(wanted), sorted.end(), SortOrder(spec));
  std::vector<Row> out;
  for (size_t i = 0; i < wanted; ++i) out.push_back(sorted[i].row);
  return out;
}

}  // namespace quarry::mvs
