#include "retrieval/row_order.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/clock.h"

namespace quarry::retrieval {
namespace {

struct SortKey {
  bool is_null = true;
  std::optional<TimestampUs> time;  // of a text that is one
  json::value value;
};

std::vector<SortKey> keys_of(const std::vector<Row>& rows, const RowOrder& order) {
  std::vector<SortKey> keys(rows.size());
  json::value scratch;
  for (size_t i = 0; i < rows.size(); ++i) {
    const json::value* value = row_field(rows[i], order.field, scratch);
    bool is_missing = value == nullptr || value->is_null();
    if (is_missing && !order.fallback_field.empty()) value = row_field(rows[i], order.fallback_field, scratch);
    if (value == nullptr || value->is_null()) continue;
    keys[i].is_null = false;
    keys[i].value = *value;
    if (!value->is_string() || order.field == "document_id") continue;  // ids order by bytes
    if (Result<TimestampUs> time = parse_timestamp(value->get_string()); time.ok()) keys[i].time = *time;
  }
  return keys;
}

int compare(const SortKey& a, const SortKey& b) {
  if (a.time && b.time) return *a.time < *b.time ? -1 : *b.time < *a.time ? 1 : 0;
  if (a.value.is_string() && b.value.is_string() && (a.time || b.time)) return a.time ? -1 : 1;
  return compare_json(a.value, b.value);
}

}  // namespace

void sort_rows(std::vector<Row>& rows, const RowOrder& order) {
  std::vector<SortKey> keys = keys_of(rows, order);
  std::vector<size_t> index(rows.size());
  std::iota(index.begin(), index.end(), size_t{0});
  std::stable_sort(index.begin(), index.end(), [&](size_t a, size_t b) {
    if (keys[a].is_null || keys[b].is_null) return keys[a].is_null != keys[b].is_null && keys[b].is_null == order.nulls_last;
    int c = compare(keys[a], keys[b]);
    return order.descending ? c > 0 : c < 0;
  });
  std::vector<Row> sorted;
  sorted.reserve(rows.size());
  for (size_t i : index) sorted.push_back(std::move(rows[i]));
  rows = std::move(sorted);
}

}  // namespace quarry::retrieval
