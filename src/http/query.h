// Query strings: "a=1&b=x%20y" to a JSON object typed by the operation's parameters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/schema.h"

namespace quarry::http {

struct Parameter {
  std::string_view name;
  bool required = false;
  const Schema* schema = nullptr;
};

inline constexpr size_t kMaxQueryParameters = 256;

// 422 for unknown names, values of the wrong type and missing required ones; 400 for a string that is not percent-encoded UTF-8.
// Arrays are given by repeating the name or by commas. Absent parameters stay absent: no defaults are filled in.
Result<json::object> parse_query(std::string_view query, const std::vector<Parameter>& parameters);

// `text` as the type that `schema` asks for; a string where it asks for nothing else. Checked only by the caller's validation.
json::value parse_scalar(std::string_view text, const Schema& schema);

}  // namespace quarry::http
