// JSON text of payloads, exact in both directions: a double comes back with the same bits, an integer as an integer.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quarry::mvs {

inline constexpr size_t kMaxPayloadDepth = 200;

// Appends `"key":value`.
void append_member(std::string& out, std::string_view key, const json::value& value);
// kBadRequest if `value` nests deeper than kMaxPayloadDepth or holds text that is not UTF-8; `where` names it.
Status check_payload(const json::value& value, std::string_view where);
bool is_utf8(std::string_view text);

// kCorruption if it is not a JSON object.
Result<json::object> parse_object(std::string_view text);
// Only the members with these names.
Result<json::object> parse_members(std::string_view text, std::span<const std::string_view> names);

}  // namespace quarry::mvs
