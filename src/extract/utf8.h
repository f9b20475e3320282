// Reading UTF-8 that may be damaged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/utf8.h"

namespace quarry::extract {

inline constexpr char32_t kReplacement = 0xFFFD;

// The code point at `at`, which moves behind it. A damaged sequence yields kReplacement and is skipped as Unicode recommends (its longest
// valid prefix, at least one byte). `at` < `end`.
inline char32_t decode_utf8(const char*& at, const char* end) {
  auto byte = [&](int i) { return static_cast<unsigned char>(at[i]); };
  unsigned first = byte(0);
  if (first < 0x80) return ++at, first;
  unsigned length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return ++at, kReplacement;
  // The second byte's range excludes over-long forms, surrogates and what lies beyond U+10FFFF.
  unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  char32_t point = first & (0xFF >> (length + 1));
  for (unsigned i = 1; i < length; ++i) {
    if (end - at <= static_cast<std::ptrdiff_t>(i) || byte(static_cast<int>(i)) < low || byte(static_cast<int>(i)) > high)
      return at += i, kReplacement;
    point = point << 6 | (byte(static_cast<int>(i)) & 0x3F);
    low = 0x80, high = 0xBF;
  }
  return at += length, point;
}

// Writes 1 to 4 bytes to `out`; the number of them. `point` is a scalar value.
inline unsigned encode_utf8(char32_t point, char* out) {
  auto put = [&](int i, char32_t bits) { out[i] = static_cast<char>(bits); };
  if (point < 0x80) return put(0, point), 1;
  if (point < 0x800) return put(0, 0xC0 | point >> 6), put(1, 0x80 | (point & 0x3F)), 2;
  if (point < 0x10000) return put(0, 0xE0 | point >> 12), put(1, 0x80 | (point >> 6 & 0x3F)), put(2, 0x80 | (point & 0x3F)), 3;
  put(0, 0xF0 | point >> 18), put(1, 0x80 | (point >> 12 & 0x3F)), put(2, 0x80 | (point >> 6 & 0x3F)), put(3, 0x80 | (point & 0x3F));
  return 4;
}

// `bytes` with every damaged sequence replaced by U+FFFD; unchanged if there is none.
std::string to_valid_utf8(std::string bytes);
// Code points of valid UTF-8.
uint64_t count_code_points(std::string_view text);

}  // namespace quarry::extract
