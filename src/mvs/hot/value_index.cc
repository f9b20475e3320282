#include "mvs/hot/value_index.h"

#include <arrow/api.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/clock.h"

namespace quarry::mvs {
namespace {

// Years 0 to 9999, whose texts order as the times do.
constexpr int64_t kFirstTime = -62'167'219'200'000'000, kLastTime = 253'402'300'799'999'999;

template <class T>
const T& as(const arrow::Array& array) {
  return static_cast<const T&>(array);
}

bool is_time(ColumnKind kind) { return kind == ColumnKind::kTimestamp || kind == ColumnKind::kDate; }
bool is_float(ColumnKind kind) { return kind == ColumnKind::kNumber || kind == ColumnKind::kFloat; }

// What columns of whole numbers, times and truths order by; times in microseconds.
int64_t whole_at(const arrow::Array& array, ColumnKind kind, int64_t row) {
  switch (kind) {
    case ColumnKind::kInt32: return as<arrow::Int32Array>(array).Value(row);
    case ColumnKind::kInt64: return as<arrow::Int64Array>(array).Value(row);
    case ColumnKind::kTimestamp: return as<arrow::TimestampArray>(array).Value(row);
    case ColumnKind::kDate: return as<arrow::Date32Array>(array).Value(row) * kUsPerDay;
    default: return as<arrow::BooleanArray>(array).Value(row);
  }
}

std::string_view text_at(const arrow::Array& array, int64_t row) { return as<arrow::StringArray>(array).GetView(row); }
double double_at(const arrow::Array& array, int64_t row) { return as<arrow::DoubleArray>(array).Value(row); }

// Numbers that ascend as the values do.
uint64_t sort_key(int64_t value) { return uint64_t(value) ^ (uint64_t{1} << 63); }
uint64_t sort_key(double value) {
  const auto bits = std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);
  return bits >> 63 ? ~bits : bits | (uint64_t{1} << 63);
}
// Of the first eight bytes: texts with equal keys may differ.
uint64_t sort_key(std::string_view text) {
  uint64_t key = 0;
  for (size_t i = 0; i < 8; ++i) key = key << 8 | (i < text.size() ? uint8_t(text[i]) : 0);
  return key;
}

struct Entry {
  uint64_t key;
  uint32_t row;
};

// In the order of the values and, among equal ones, of the rows. False: a value without a place in it.
bool sorted_entries(const arrow::Array& array, ColumnKind kind, std::vector<Entry>& out) {
  for (int64_t row = 0; row < array.length(); ++row) {
    if (array.IsNull(row)) continue;
    if (is_float(kind) && std::isnan(double_at(array, row))) return false;
    if (is_time(kind) && (whole_at(array, kind, row) < kFirstTime || whole_at(array, kind, row) > kLastTime)) return false;
    const uint64_t key = kind == ColumnKind::kString ? sort_key(text_at(array, row))
                         : is_float(kind)            ? sort_key(double_at(array, row))
                                                     : sort_key(whole_at(array, kind, row));
    out.push_back({key, uint32_t(row)});
  }
  const bool texts = kind == ColumnKind::kString;
  std::sort(out.begin(), out.end(), [&](const Entry& a, const Entry& b) {
    if (a.key != b.key) return a.key < b.key;
    if (texts)
      if (const int c = text_at(array, a.row).compare(text_at(array, b.row)); c != 0) return c < 0;
    return a.row < b.row;
  });
  return true;
}

}  // namespace

std::unique_ptr<const ValueIndex> ValueIndex::make(const arrow::Array& array, ColumnKind kind) {
  const auto rows = size_t(array.length());
  std::vector<Entry> entries;
  if (!sorted_entries(array, kind, entries)) return nullptr;
  std::unique_ptr<ValueIndex> out(new ValueIndex(array, kind));
  out->valid_ = Bitmap(rows);
  std::vector<uint32_t> order, starts;
  order.reserve(entries.size());
  for (const Entry& e : entries) {
    const bool same = !order.empty() && entries[order.size() - 1].key == e.key &&
                      (kind != ColumnKind::kString || text_at(array, order.back()) == text_at(array, e.row));
    if (!same) starts.push_back(uint32_t(order.size()));
    order.push_back(e.row);
    out->valid_.set(e.row);
  }
  starts.push_back(uint32_t(order.size()));
  out->rows_ = RowGroups(std::move(order), std::move(starts), rows);
  return out;
}

template <class P>
size_t ValueIndex::partition_point(P&& holds) const {
  size_t low = 0, high = groups();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (holds(middle))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

template <>
int64_t ValueIndex::key(size_t group) const {
  return whole_at(array_, kind_, rows_.first_row(group));
}
template <>
std::string_view ValueIndex::key(size_t group) const {
  return text_at(array_, rows_.first_row(group));
}
template <>
json::value ValueIndex::key(size_t group) const {
  return value(group);
}

namespace {

template <class T>
bool less(const T& a, const T& b) {
  return a < b;
}
bool less(const json::value& a, const json::value& b) { return compare_json(a, b) < 0; }

}  // namespace

template <class T>
ValueIndex::Range ValueIndex::range_of(FilterOp op, const T& operand) const {
  const auto below = [&] { return partition_point([&](size_t g) { return less(key<T>(g), operand); }); };
  const auto up_to = [&] { return partition_point([&](size_t g) { return !less(operand, key<T>(g)); }); };
  switch (op) {
    case FilterOp::kLt: return {0, below()};
    case FilterOp::kLte: return {0, up_to()};
    case FilterOp::kGt: return {up_to(), groups()};
    case FilterOp::kGte: return {below(), groups()};
    default: return {below(), up_to()};
  }
}

ValueIndex::Range ValueIndex::equal(const json::value& operand) const {
  if (kind_ == ColumnKind::kString) {
    if (!operand.is_string()) return {};
    return range_of<std::string_view>(FilterOp::kEq, operand.get_string());
  }
  if (!is_time(kind_)) return range_of<json::value>(FilterOp::kEq, operand);
  // Times equal texts that are written as theirs are.
  if (!operand.is_string()) return {};
  const auto time = parse_timestamp(operand.get_string());
  if (!time.ok()) return {};
  const Range found = range_of<int64_t>(FilterOp::kEq, *time);
  return found.first < found.last && compare_json(value(found.first), operand) == 0 ? found : Range{};
}

std::optional<ValueIndex::Range> ValueIndex::ordered(const Filter& condition) const {
  const json::value& operand = condition.value;
  switch (kind_) {
    case ColumnKind::kBoolean: return Range{};
    case ColumnKind::kInt32:
    case ColumnKind::kInt64:
    case ColumnKind::kNumber:
    case ColumnKind::kFloat:
      if (!operand.is_number()) return Range{};
      return range_of<json::value>(condition.op, operand);
    default: break;
  }
  if (!operand.is_string()) return Range{};
  const auto time = parse_timestamp(operand.get_string());
  if (is_time(kind_) && time.ok()) return range_of<int64_t>(condition.op, *time);
  // Texts that are times compare with times as such.
  if (is_time(kind_) || time.ok()) return std::nullopt;
  return range_of<std::string_view>(condition.op, operand.get_string());
}

ValueIndex::Range ValueIndex::with_prefix(std::string_view text) const {
  return {partition_point([&](size_t g) { return key<std::string_view>(g) < text; }),
          partition_point([&](size_t g) { return key<std::string_view>(g).substr(0, text.size()) <= text; })};
}

}  // namespace quarry::mvs
