#include "mvs/warm/json_text.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

namespace quarry::mvs {
namespace {

// Boost.JSON 1.81 parses doubles to within an ulp or two; simdjson rounds correctly, so it reads what Boost's shortest-form writer wrote.
json::value to_boost(simdjson::dom::element e) {
  using simdjson::dom::element_type;
  switch (e.type()) {
    case element_type::ARRAY: {
      json::array out;
      for (auto item : simdjson::dom::array(e)) out.push_back(to_boost(item));
      return out;
    }
    case element_type::OBJECT: {
      json::object out;
      for (auto member : simdjson::dom::object(e)) out.emplace(member.key, to_boost(member.value));
      return out;
    }
    case element_type::INT64: return int64_t(e);
    case element_type::UINT64: return uint64_t(e);
    case element_type::DOUBLE: return double(e);
    case element_type::STRING: return json::value(json::string(std::string_view(e)));
    case element_type::BOOL: return bool(e);
    case element_type::NULL_VALUE: return nullptr;
  }
  return nullptr;
}

Status check_at_depth(const json::value& value, std::string_view where, size_t depth) {
  if (depth > kMaxPayloadDepth) return bad_request(fmt::format("{}: nested deeper than {} levels", where, kMaxPayloadDepth));
  if (value.is_string() && !is_utf8(value.get_string())) return bad_request(fmt::format("{}: text is not valid UTF-8", where));
  if (value.is_array())
    for (const auto& item : value.get_array()) QUARRY_RETURN_IF_ERROR(check_at_depth(item, where, depth + 1));
  if (value.is_object())
    for (const auto& member : value.get_object()) {
      if (!is_utf8(member.key())) return bad_request(fmt::format("{}: a name is not valid UTF-8", where));
      QUARRY_RETURN_IF_ERROR(check_at_depth(member.value(), where, depth + 1));
    }
  if (value.is_double() && !(value.get_double() - value.get_double() == 0)) return bad_request(fmt::format("{}: a number is not finite", where));
  return Ok{};
}

}  // namespace

void append_member(std::string& out, std::string_view key, const json::value& value) {
  out += json::serialize(json::string_view(key));
  out += ':';
  out += json::serialize(value);
}

bool is_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

Status check_payload(const json::value& value, std::string_view where) { return check_at_depth(value, where, 1); }

namespace {

// The element is valid until this thread parses again.
Result<simdjson::dom::object> parse_root(std::string_view text) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (const auto error = parser.parse(text.data(), text.size()).get(root); error != simdjson::SUCCESS)
    return corruption(fmt::format("stored payload is not JSON: {}", simdjson::error_message(error)));
  simdjson::dom::object object;
  if (root.get(object) != simdjson::SUCCESS) return corruption("stored payload is not a JSON object");
  return object;
}

}  // namespace

Result<json::object> parse_object(std::string_view text) {
  QUARRY_ASSIGN_OR_RETURN(const auto root, parse_root(text));
  json::object out;
  for (auto member : root) out.emplace(member.key, to_boost(member.value));
  return out;
}

Result<json::object> parse_members(std::string_view text, std::span<const std::string_view> names) {
  QUARRY_ASSIGN_OR_RETURN(const auto root, parse_root(text));
  json::object out;
  for (auto member : root)
    if (std::find(names.begin(), names.end(), member.key) != names.end()) out.emplace(member.key, to_boost(member.value));
  return out;
}

}  // namespace quarry::mvs
