// {"numRecords":n,"minValues":{col:v},"maxValues":{col:v},"nullCount":{col:n},"tightBounds":true}. Long strings are cut: a minimum to a
// prefix, a maximum to a prefix followed by U+10FFFF. Timestamps are ISO 8601 with milliseconds, minimum rounded down and maximum up.
#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "mvs/warm/json_text.h"
#include "mvs/warm/parquet_file.h"

namespace quarry::mvs {
namespace {

constexpr size_t kMaxStringBytes = 32;

struct Bounds {
  json::value min, max;
};

std::string_view utf8_prefix(std::string_view text) {
  size_t n = std::min(text.size(), kMaxStringBytes);
  while (n > 0 && n < text.size() && (uint8_t(text[n]) & 0xc0) == 0x80) --n;
  return text.substr(0, n);
}

std::string millis(TimestampUs t) {
  std::string text = format_timestamp(t);  // ...SS.ffffffZ
  return text.substr(0, text.size() - 4) + "Z";
}

TimestampUs floor_ms(TimestampUs t) { return t - ((t % 1000) + 1000) % 1000; }

template <class Array, class Convert>
std::optional<Bounds> bounds_of(const arrow::Array& a, Convert convert) {
  const auto& array = static_cast<const Array&>(a);
  std::optional<int64_t> lo, hi;
  for (int64_t i = 0; i < array.length(); ++i) {
    if (array.IsNull(i)) continue;
    if constexpr (std::is_same_v<Array, arrow::DoubleArray>)
      if (!std::isfinite(array.Value(i))) return std::nullopt;  // only files of others hold such
    if (!lo || array.GetView(i) < array.GetView(*lo)) lo = i;
    if (!hi || array.GetView(*hi) < array.GetView(i)) hi = i;
  }
  if (!lo) return std::nullopt;
  return Bounds{convert(array.GetView(*lo), false), convert(array.GetView(*hi), true)};
}

json::value string_bound(std::string_view text, bool is_max) {
  const std::string_view prefix = utf8_prefix(text);
  json::string out(prefix);
  if (is_max && prefix.size() < text.size()) out.append("\xf4\x8f\xbf\xbf");
  return out;
}

json::value timestamp_bound(int64_t t, bool is_max) {
  const TimestampUs down = floor_ms(t);
  return json::value(json::string(millis(is_max && down != t ? down + 1000 : down)));
}

json::value date_bound(int32_t day, bool) { return json::value(json::string(format_timestamp(day * kUsPerDay).substr(0, 10))); }

json::value plain_int(int64_t v, bool) { return v; }
json::value plain_double(double v, bool) { return v; }

std::optional<Bounds> column_bounds(const arrow::Array& a, ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kString: return bounds_of<arrow::StringArray>(a, string_bound);
    case ColumnKind::kInt32: return bounds_of<arrow::Int32Array>(a, plain_int);
    case ColumnKind::kInt64: return bounds_of<arrow::Int64Array>(a, plain_int);
    case ColumnKind::kNumber:
    case ColumnKind::kFloat: return bounds_of<arrow::DoubleArray>(a, plain_double);
    case ColumnKind::kTimestamp: return bounds_of<arrow::TimestampArray>(a, timestamp_bound);
    case ColumnKind::kDate: return bounds_of<arrow::Date32Array>(a, date_bound);
    case ColumnKind::kBoolean:
    case ColumnKind::kVector:
    case ColumnKind::kSparse:
    case ColumnKind::kMulti: return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::string file_stats(const TableSchema& schema, const arrow::RecordBatch& batch, bool tight_bounds) {
  json::object min, max, nulls;
  for (const auto& column : schema.columns()) {
    const auto array = batch.GetColumnByName(column.name);
    if (array == nullptr || is_vector(column.kind)) continue;
    nulls[column.name] = array->null_count();
    if (column.name == kPayloadJson) continue;
    if (auto bounds = column_bounds(*array, column.kind)) {
      min[column.name] = std::move(bounds->min);
      max[column.name] = std::move(bounds->max);
    }
  }
  return json::serialize(json::object{{"numRecords", batch.num_rows()},
                                      {"minValues", std::move(min)},
                                      {"maxValues", std::move(max)},
                                      {"nullCount", std::move(nulls)},
                                      {"tightBounds", tight_bounds}});
}

std::string loosen_stats(const std::string& stats) {
  auto parsed = parse_object(stats);  // exact: a bound must not move
  if (!parsed.ok()) return {};
  (*parsed)["tightBounds"] = false;
  return json::serialize(*parsed);
}

}  // namespace quarry::mvs
