#include "http/percent.h"

#include <cstdint>

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

// Length of the sequence that begins with `lead`, and the least code point it may hold; 0 if it begins none.
size_t sequence_length(uint8_t lead, uint32_t& least) {
  if (lead >= 0xc2 && lead <= 0xdf) return least = 0x80, 2;
  if (lead >= 0xe0 && lead <= 0xef) return least = 0x800, 3;
  if (lead >= 0xf0 && lead <= 0xf4) return least = 0x10000, 4;
  return 0;
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    uint8_t lead = static_cast<uint8_t>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    uint32_t least = 0;
    size_t length = sequence_length(lead, least);
    if (length == 0 || i + length > text.size()) return false;
    uint32_t point = lead & (0xff >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      uint8_t next = static_cast<uint8_t>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3f);
    }
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    i += length;
  }
  return true;
}

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
