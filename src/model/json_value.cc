// Paths into JSON documents and a total order over JSON values.
#include <algorithm>

#include "model/filter_internal.h"

namespace quarry {
namespace {

int rank(const json::value& v) {
  switch (v.kind()) {
    case json::kind::null: return 0;
    case json::kind::bool_: return 1;
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_: return 2;
    case json::kind::string: return 3;
    case json::kind::array: return 4;
    case json::kind::object: return 5;
  }
  return 0;
}

template <typename T>
int three_way(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

// Exact: a 64-bit integer is not rounded to a double first.
int compare_integer_double(int64_t a, double b) {
  if (b >= 9223372036854775808.0) return -1;
  if (b < -9223372036854775808.0) return 1;
  auto whole = static_cast<int64_t>(b);
  if (a != whole) return three_way(a, whole);
  return three_way(0.0, b - static_cast<double>(whole));
}

int compare_unsigned_double(uint64_t a, double b) {
  if (b >= 18446744073709551616.0) return -1;
  if (b < 0) return 1;
  auto whole = static_cast<uint64_t>(b);
  if (a != whole) return three_way(a, whole);
  return three_way(0.0, b - static_cast<double>(whole));
}

int compare_to_double(const json::value& a, double b) {
  if (a.is_double()) return three_way(a.get_double(), b);
  return a.is_int64() ? compare_integer_double(a.get_int64(), b) : compare_unsigned_double(a.get_uint64(), b);
}

int compare_numbers(const json::value& a, const json::value& b) {
  if (b.is_double()) return compare_to_double(a, b.get_double());
  if (a.is_double()) return -compare_to_double(b, a.get_double());
  if (a.is_int64() && b.is_int64()) return three_way(a.get_int64(), b.get_int64());
  if (a.is_uint64() && b.is_uint64()) return three_way(a.get_uint64(), b.get_uint64());
  if (a.is_int64()) return a.get_int64() < 0 ? -1 : three_way(static_cast<uint64_t>(a.get_int64()), b.get_uint64());
  return b.get_int64() < 0 ? 1 : three_way(a.get_uint64(), static_cast<uint64_t>(b.get_int64()));
}

int compare_strings(std::string_view a, std::string_view b) {
  int c = a.compare(b);  // char_traits<char> compares as unsigned bytes
  return c < 0 ? -1 : c > 0 ? 1 : 0;
}

int compare_arrays(const json::array& a, const json::array& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (int c = compare_json(a[i], b[i])) return c;
  return three_way(a.size(), b.size());
}

std::vector<const json::key_value_pair*> sorted_members(const json::object& o) {
  std::vector<const json::key_value_pair*> members;
  members.reserve(o.size());
  for (const auto& member : o) members.push_back(&member);
  std::sort(members.begin(), members.end(), [](const auto* x, const auto* y) { return x->key() < y->key(); });
  return members;
}

int compare_objects(const json::object& a, const json::object& b) {
  auto left = sorted_members(a), right = sorted_members(b);
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    if (int c = compare_strings(left[i]->key(), right[i]->key())) return c;
    if (int c = compare_json(left[i]->value(), right[i]->value())) return c;
  }
  return three_way(left.size(), right.size());
}

const json::value* find_in(const json::value& value, std::string_view path) {
  if (const json::object* object = value.if_object()) return find_path(*object, path);
  if (const json::array* array = value.if_array()) return find_element(*array, path);
  return nullptr;
}

}  // namespace

const json::value* find_element(const json::array& array, std::string_view path) {
  size_t dot = path.find('.');
  std::string_view head = path.substr(0, dot);
  if (head.empty() || head.size() > 9 || !std::all_of(head.begin(), head.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return nullptr;
  size_t index = 0;
  for (char c : head) index = index * 10 + static_cast<size_t>(c - '0');
  if (index >= array.size()) return nullptr;
  return dot == std::string_view::npos ? &array[index] : find_in(array[index], path.substr(dot + 1));
}

const json::value* find_path(const json::object& document, std::string_view path) {
  if (const json::value* literal = document.if_contains(path)) return literal;
  size_t dot = path.find('.');
  if (dot == std::string_view::npos) return nullptr;
  const json::value* child = document.if_contains(path.substr(0, dot));
  return child == nullptr ? nullptr : find_in(*child, path.substr(dot + 1));
}

int compare_json(const json::value& a, const json::value& b) {
  if (int c = three_way(rank(a), rank(b))) return c;
  switch (rank(a)) {
    case 1: return three_way(a.get_bool(), b.get_bool());
    case 2: return compare_numbers(a, b);
    case 3: return compare_strings(a.get_string(), b.get_string());
    case 4: return compare_arrays(a.get_array(), b.get_array());
    case 5: return compare_objects(a.get_object(), b.get_object());
    default: return 0;
  }
}

}  // namespace quarry
