#include "http/json_encoder.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace quarry::http {
namespace {

template <typename Integer>
void append_integer(Integer number, std::string& out) {
  char digits[24];
  auto [end, ec] = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, end);
}

void append_double(double number, std::string& out) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  char digits[32];
  auto [end, ec] = std::to_chars(digits, digits + sizeof digits, number);
  std::string_view text(digits, static_cast<size_t>(end - digits));
  out += text;
  if (text.find_first_of(".e") == text.npos) out += ".0";
}

void append_array(const json::array& array, std::string& out) {
  out.push_back('[');
  bool first = true;
  for (const json::value& item : array) {
    if (!first) out.push_back(',');
    first = false;
    encode_json(item, out);
  }
  out.push_back(']');
}

// A member `name` goes out a second time under the name `alias`, unless that is empty.
void append_object(const json::object& object, std::string_view name, std::string_view alias, std::string& out) {
  out.push_back('{');
  bool first = true;
  for (const auto& member : object) {
    if (!first) out.push_back(',');
    first = false;
    encode_json_string(member.key(), out);
    out.push_back(':');
    const size_t begin = out.size();
    encode_json(member.value(), out);
    if (alias.empty() || std::string_view(member.key()) != name) continue;
    const size_t length = out.size() - begin;
    out.push_back(',');
    encode_json_string(alias, out);
    out.push_back(':');
    out.reserve(out.size() + length + 1);
    out.append(out, begin, length);
  }
  out.push_back('}');
}

// Whether one of 8 characters must be escaped: below 0x20, '"' or '\\'. By the zero-byte test of "Hacker's Delight" (Warren, 2012).
bool needs_escape(uint64_t eight) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
  auto has_zero = [](uint64_t x) { return (x - kOnes) & ~x & kHighs; };
  const uint64_t low = (eight - kOnes * 0x20) & ~eight & kHighs;
  return (low | has_zero(eight ^ (kOnes * '"')) | has_zero(eight ^ (kOnes * '\\'))) != 0;
}

// How many of the first characters go out as they are.
size_t plain_length(std::string_view text) {
  size_t i = 0;
  for (uint64_t eight; i + 8 <= text.size(); i += 8) {
    std::memcpy(&eight, text.data() + i, 8);
    if (needs_escape(eight)) break;
  }
  for (; i < text.size(); ++i) {
    unsigned char c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == '"' || c == '\\') break;
  }
  return i;
}

void append_escape(unsigned char c, std::string& out) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  constexpr char hex[] = "0123456789abcdef";
  out += "\\u00";
  out.push_back(hex[c >> 4]);
  out.push_back(hex[c & 15]);
}

}  // namespace

void encode_json_string(std::string_view text, std::string& out) {
  out.push_back('"');
  for (;;) {
    const size_t plain = plain_length(text);
    out.append(text.substr(0, plain));
    if (plain == text.size()) break;
    append_escape(static_cast<unsigned char>(text[plain]), out);
    text.remove_prefix(plain + 1);
  }
  out.push_back('"');
}

void encode_json_with_alias(const json::object& object, std::string_view name, std::string_view alias, std::string& out) {
  append_object(object, name, alias, out);
}

void encode_json(const json::value& value, std::string& out) {
  switch (value.kind()) {
    case json::kind::null: out += "null"; return;
    case json::kind::bool_: out += value.get_bool() ? "true" : "false"; return;
    case json::kind::int64: append_integer(value.get_int64(), out); return;
    case json::kind::uint64: append_integer(value.get_uint64(), out); return;
    case json::kind::double_: append_double(value.get_double(), out); return;
    case json::kind::string: encode_json_string(value.get_string(), out); return;
    case json::kind::array: append_array(value.get_array(), out); return;
    case json::kind::object: append_object(value.get_object(), {}, {}, out); return;
  }
}

}  // namespace quarry::http
