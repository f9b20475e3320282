#include "retrieval/row_order.h"

#include <algorithm>
#include <numeric>

#include "base/clock.h"

namespace quarry::retrieval {
namespace {

struct SortKey {
  bool is_null = true;
  json::value value;
};

std::vector<SortKey> keys_of(const std::vector<Row>& rows, const std::string& field) {
  std::vector<SortKey> keys(rows.size());
  json::value scratch;
  for (size_t i = 0; i < rows.size(); ++i) {
    const json::value* value = row_field(rows[i], field, scratch);
    // Documents whose metadata holds no times of its own sort by when they were written.
    if (value == nullptr && field == "metadata.created_at") value = row_field(rows[i], "created_at", scratch);
    if (value == nullptr && field == "metadata.updated_at") value = row_field(rows[i], "updated_at", scratch);
    if (value == nullptr || value->is_null()) continue;
    keys[i].is_null = false;
    keys[i].value = *value;
  }
  return keys;
}

// Times become integers if all strings are times: comparing some as times and some as text would be no order.
void read_times(std::vector<SortKey>& keys) {
  std::vector<TimestampUs> times(keys.size(), 0);
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].is_null) continue;
    if (!keys[i].value.is_string()) return;
    Result<TimestampUs> time = parse_timestamp(keys[i].value.get_string());
    if (!time.ok()) return;
    times[i] = *time;
  }
  for (size_t i = 0; i < keys.size(); ++i)
    if (!keys[i].is_null) keys[i].value = times[i];
}

}  // namespace

void sort_rows(std::vector<Row>& rows, const RowOrder& order) {
  std::vector<SortKey> keys = keys_of(rows, order.field);
  read_times(keys);
  std::vector<size_t> index(rows.size());
  std::iota(index.begin(), index.end(), size_t{0});
  std::stable_sort(index.begin(), index.end(), [&](size_t a, size_t b) {
    if (keys[a].is_null || keys[b].is_null) return keys[a].is_null != keys[b].is_null && keys[b].is_null == order.nulls_last;
    int c = compare_json(keys[a].value, keys[b].value);
    return order.descending ? c > 0 : c < 0;
  });
  std::vector<Row> sorted;
  sorted.reserve(rows.size());
  for (size_t i : index) sorted.push_back(std::move(rows[i]));
  rows = std::move(sorted);
}

}  // namespace quarry::retrieval
