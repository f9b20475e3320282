#include "base/utf8.h"

#include <cstddef>
#include <cstdint>

namespace quarry {
namespace {

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

}  // namespace quarry
