// Reading members of JSON that was validated before, or that we wrote: a member that is absent or of another type gives the fallback.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quarry::service {

inline std::string_view string_member(const json::object& o, std::string_view name, std::string_view fallback = {}) {
  const json::value* v = o.if_contains(name);
  return v && v->is_string() ? std::string_view(v->get_string()) : fallback;
}

inline bool bool_member(const json::object& o, std::string_view name, bool fallback = false) {
  const json::value* v = o.if_contains(name);
  return v && v->is_bool() ? v->get_bool() : fallback;
}

inline std::optional<int64_t> integer_value(const json::value& v) {
  if (v.is_int64()) return v.get_int64();
  if (v.is_uint64() && v.get_uint64() <= static_cast<uint64_t>(INT64_MAX)) return static_cast<int64_t>(v.get_uint64());
  if (v.is_double() && v.get_double() >= -9007199254740992.0 && v.get_double() <= 9007199254740992.0) {
    auto whole = static_cast<int64_t>(v.get_double());
    if (static_cast<double>(whole) == v.get_double()) return whole;
  }
  return std::nullopt;
}

inline std::optional<int64_t> integer_member(const json::object& o, std::string_view name) {
  const json::value* v = o.if_contains(name);
  return v ? integer_value(*v) : std::nullopt;
}

inline std::optional<double> number_value(const json::value& v) {
  if (v.is_double()) return v.get_double();
  if (v.is_int64()) return static_cast<double>(v.get_int64());
  if (v.is_uint64()) return static_cast<double>(v.get_uint64());
  return std::nullopt;
}

inline const json::object* object_member(const json::object& o, std::string_view name) {
  const json::value* v = o.if_contains(name);
  return v ? v->if_object() : nullptr;
}

inline const json::array* array_member(const json::object& o, std::string_view name) {
  const json::value* v = o.if_contains(name);
  return v ? v->if_array() : nullptr;
}

// The strings of an array; members of other types are left out.
inline std::vector<std::string> strings_of(const json::array* array) {
  std::vector<std::string> out;
  if (!array) return out;
  out.reserve(array->size());
  for (const auto& v : *array)
    if (v.is_string()) out.emplace_back(v.get_string());
  return out;
}

inline std::vector<std::string> strings_member(const json::object& o, std::string_view name) { return strings_of(array_member(o, name)); }

inline json::array to_array(const std::vector<std::string>& strings) {
  json::array out;
  out.reserve(strings.size());
  for (const auto& s : strings) out.emplace_back(s);
  return out;
}

// Copies the named members that `from` has.
inline void copy_members(json::object& to, const json::object& from, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names)
    if (const json::value* v = from.if_contains(name)) to[name] = *v;
}

}  // namespace quarry::service
