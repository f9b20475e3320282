// What the server and quarry-decode say to each other over the child's standard input and output, one request at a time.
//
//   message = header body
//   header  = frame             a JSON object
//   body    = frame             bytes
//   frame   = length *OCTET     length: 4 bytes, little endian, at most the limit of its place (below)
//
// Request header: {"kind": "pdf_text", "max_pages": N, "max_text_bytes": N, "cpu_seconds": N}; body: the file.
// Reply header:   {"ok": true, "page_count": N, "sizes": [bytes of each page's text], "info": {...}}; body: the pages' texts, UTF-8, one
//                 behind the other. Or {"ok": false, "error": TEXT}; body: empty.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace quarry::extract {

inline constexpr uint32_t kMaxHeaderBytes = 8u << 20;
inline constexpr uint32_t kMaxRequestBytes = 1u << 30;
inline constexpr uint32_t kMaxReplyBytes = 128u << 20;
inline constexpr uint32_t kMaxPdfPages = 100'000;

using FrameLength = std::array<char, 4>;

constexpr FrameLength encode_length(uint32_t length) {
  return {static_cast<char>(length), static_cast<char>(length >> 8), static_cast<char>(length >> 16), static_cast<char>(length >> 24)};
}

constexpr uint32_t decode_length(const FrameLength& bytes) {
  uint32_t length = 0;
  for (int i = 3; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(bytes[static_cast<size_t>(i)]);
  return length;
}

}  // namespace quarry::extract
