// The arithmetic of text search that runs over many postings at once, chosen for the machine's instruction set. Every set gives the same
// bits: each lane does the operations of the scalar text below, none fused, and lanes are never summed with each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace quarry::mvs {

inline constexpr size_t kBlockRows = 128;               // postings of a packed block
inline constexpr size_t kPaddedRows = kBlockRows + 16;  // what a kernel may read and write of a block's arrays

// How one word of one field scores: weight * tf / (tf + (base + slope * length)), in float32, operations in that order.
struct TermWeight {
  float weight = 0, base = 0, slope = 0;
};

inline float term_score(const TermWeight& w, float tf, float length) {
  const float norm = w.base + w.slope * length;
  return (w.weight * tf) / (tf + norm);
}

// A pair of 16-bit halves, tf below and length above, that stands for every posting with at most that tf and at least that length.
inline constexpr uint32_t kAnyTf = 0xffff;
inline constexpr uint32_t impact_point(uint32_t tf, uint32_t length) {
  return (tf < kAnyTf ? tf : kAnyTf) | (length < 0xffff ? length : 0xffff) << 16;
}
inline constexpr size_t kImpactPoints = 4;

// Pointers need no alignment. Of packed numbers: 128 values of `bits` <= 32 bits each; value i lies in lane i mod 4, and a lane is a
// little-endian bit stream whose 32-bit words alternate with those of the other lanes (Lemire & Boytsov 2015): 16 * bits bytes.
struct TextKernels {
  void (*unpack)(const uint8_t* in, uint32_t bits, uint32_t* out);
  // Rows from gaps: out[i] = before + (gap 0 + 1) + ... + (gap i + 1), modulo 2^32.
  void (*unpack_rows)(const uint8_t* in, uint32_t bits, uint32_t before, uint32_t* out);
  // out[i] = term_score(w, tfs[i], lengths[rows[i]]) for i < n; kPaddedRows of all three arrays are there, the rest of `rows` valid too.
  void (*score)(const TermWeight& w, const uint32_t* rows, const uint32_t* tfs, size_t n, const uint32_t* lengths, float* out);
  // out[b] = the greatest score of the points [p][b], p < kImpactPoints, stored one p after another; out has room for n + 16.
  void (*bound)(const TermWeight& w, const uint8_t* points, size_t n, float* out);
  // Bit i of `words`: whether the sum of lists[0..count)[i] reaches `threshold`; `length` is a multiple of 64.
  void (*select)(const float* const* lists, size_t count, float threshold, size_t length, uint64_t* words);
};

const TextKernels& text_kernels();

struct NamedTextKernels {
  std::string target;
  TextKernels kernels;
};
// Every set this machine can run. For tests: not thread-safe.
std::vector<NamedTextKernels> all_text_kernels();

// The other direction of `unpack`: appends 16 * bits bytes.
void pack(const uint32_t* values, uint32_t bits, std::string& out);

}  // namespace quarry::mvs
