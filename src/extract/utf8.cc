#include "extract/utf8.h"

#include <algorithm>
#include <cstring>

namespace quarry::extract {
namespace {

// Behind the ASCII bytes at `at`, eight at a time.
const char* skip_ascii(const char* at, const char* end) {
  for (uint64_t word; end - at >= 8; at += 8) {
    std::memcpy(&word, at, 8);
    if (word & 0x8080808080808080ull) break;
  }
  while (at < end && static_cast<unsigned char>(*at) < 0x80) ++at;
  return at;
}

bool is_damaged(char32_t point, const char* from, const char* to) {
  return point == kReplacement && std::string_view(from, to) != "\xEF\xBF\xBD";
}

// The first damaged sequence, or `end`.
const char* find_damage(const char* at, const char* end) {
  for (at = skip_ascii(at, end); at < end; at = skip_ascii(at, end)) {
    const char* from = at;
    char32_t point = decode_utf8(at, end);
    if (is_damaged(point, from, at)) return from;
  }
  return end;
}

}  // namespace

std::string to_valid_utf8(std::string bytes) {
  const char *at = bytes.data(), *end = at + bytes.size();
  const char* damage = find_damage(at, end);
  if (damage == end) return bytes;
  std::string out;
  out.reserve(bytes.size() + 16);
  while (at < end) {
    out.append(at, damage);
    at = damage;
    if (at == end) break;
    decode_utf8(at, end);
    out += "\xEF\xBF\xBD";
    damage = find_damage(at, end);
  }
  return out;
}

uint64_t count_code_points(std::string_view text) {
  return static_cast<uint64_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace quarry::extract
