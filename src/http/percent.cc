#include "http/percent.h"

#include "base/utf8.h"

namespace quarry::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_plain(std::string_view text) {
  for (unsigned char c : text)
    if (c == '%' || c == '+' || c < 0x20 || c >= 0x7f) return false;
  return true;
}

bool has_control(std::string_view text) {
  for (unsigned char c : text)
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) return true;
  return false;
}

}  // namespace

bool percent_decode(std::string_view text, bool plus_is_space, std::string& out) {
  if (is_plain(text)) {
    out.append(text);
    return true;
  }
  size_t start = out.size();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (text[i] == '%') {
      if (i + 2 >= text.size()) return false;
      int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out.push_back(static_cast<char>(high << 4 | low));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  std::string_view decoded = std::string_view(out).substr(start);
  return !has_control(decoded) && is_valid_utf8(decoded);
}

}  // namespace quarry::http
