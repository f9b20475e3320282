#include "http/json_encoder.h"

#include <charconv>
#include <cmath>

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

void append_object(const json::object& object, std::string& out) {
  out.push_back('{');
  bool first = true;
  for (const auto& member : object) {
    if (!first) out.push_back(',');
    first = false;
    encode_json_string(member.key(), out);
    out.push_back(':');
    encode_json(member.value(), out);
  }
  out.push_back('}');
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
  size_t plain = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned char c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, plain, i - plain);
    append_escape(c, out);
    plain = i + 1;
  }
  out.append(text, plain, text.size() - plain);
  out.push_back('"');
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
    case json::kind::object: append_object(value.get_object(), out); return;
  }
}

}  // namespace quarry::http
