#include <fmt/format.h>
#include <unicode/utf8.h>

#include "catalog/sql_session.h"

namespace quarry::catalog {
namespace {

constexpr size_t kMaxBodyDepth = 1'024;

// Calls visit(start, length, is_good) for each character.
template <typename Visit>
void each_character(std::string_view text, const Visit& visit) {
  const auto* s = reinterpret_cast<const uint8_t*>(text.data());
  for (int32_t i = 0, n = static_cast<int32_t>(text.size()); i < n;) {
    int32_t start = i;
    UChar32 c;
    U8_NEXT(s, i, n, c);
    visit(static_cast<size_t>(start), static_cast<size_t>(i - start), c > 0);
  }
}

// How deep `text`, which is JSON, nests.
size_t nesting(std::string_view text) {
  size_t depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

bool is_storable(std::string_view text) {
  bool good = text.size() < INT32_MAX;
  if (good) each_character(text, [&](size_t, size_t, bool is_good) { good = good && is_good; });
  return good;
}

std::string storable(std::string_view text) {
  std::string out;
  each_character(text.substr(0, INT32_MAX), [&](size_t start, size_t length, bool is_good) {
    if (is_good) {
      out.append(text.substr(start, length));
    } else {
      out.push_back('?');
    }
  });
  return out;
}

Result<std::string> body_text(const json::object& body) {
  std::string text = json::serialize(body);
  if (!is_storable(text)) return bad_request("a resource's body is not valid UTF-8");
  if (nesting(text) > kMaxBodyDepth) return bad_request(fmt::format("a resource's body is nested more than {} deep", kMaxBodyDepth));
  return text;
}

Result<json::object> parse_body(const std::string& text, std::string_view what) {
  json::parse_options options;
  options.max_depth = kMaxBodyDepth;
  boost::system::error_code error;
  json::value parsed = json::parse(text, error, {}, options);
  if (error || !parsed.is_object()) return corruption(fmt::format("catalog row {}: its body is not a JSON object", what));
  return std::move(parsed.get_object());
}

}  // namespace quarry::catalog
