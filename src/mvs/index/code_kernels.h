// The arithmetic of the index's codes. Sums of integers: every instruction set gives the same answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace quarry::mvs {

inline constexpr size_t kQueryPlanes = 4;  // bits per coordinate of a query that meets sketches

// What a sketch record holds behind its bits, at 8 * words bytes.
struct SketchTail {
  float scale = 0;
  float bias = 0;   // the part of the key that does not depend on the query
  float error = 0;  // standard deviation of the estimated dot product with a query of length 1
  float levels = 0;  // sum of the coordinates' levels; of one bit a coordinate the bits set
};
static_assert(sizeof(SketchTail) == 16);

// A query against sketches: the key of a record is bias - scale * (levels * levels_factor + sum * sum_factor - offset), sum as below; it is
// uncertain by error * slack.
struct SketchQuery {
  const uint64_t* planes = nullptr;
  size_t words = 0, plane_words = 1, record_bytes = 0;
  float levels_factor = 0, sum_factor = 0, offset = 0, slack = 0;
};

// Sketches that are always looked at together lie in blocks of eight: for each word eight of it, then eight scales, biases, errors, sums of
// levels.
inline constexpr size_t kBlockSketches = 8;
inline constexpr size_t sketch_block_bytes(size_t words) { return kBlockSketches * (words * 8 + sizeof(SketchTail)); }
// Copies a record to a place, 0 to 7, of a block; no record: a sketch whose key is infinite.
void put_in_block(const uint8_t* record, size_t words, size_t place, uint8_t* block);

// Each record begins with `words` 64-bit words: one or more bits per coordinate, `plane_words` words for the lowest, as many for the next.
// With sum = the sum over words w and j of 2^(j + w / plane_words) * popcount(word w of the record & word w of plane j): the kQueryPlanes
// planes lie one after another and are as long as a record. Records are 8-byte aligned.
struct CodeKernels {
  // Moves those of ids[0, count) to the front whose record at base + id * record_bytes may have a key below `bound`; their order stays.
  // Returns how many.
  size_t (*sketch_filter)(const SketchQuery& query, const uint8_t* base, float bound, uint32_t* ids, size_t count);
  // Of `count` blocks, at multiples of 64 bytes, the sketches whose key, less its uncertainty, is below `bound`: their places, 8 * block +
  // place, ascending, and those keys. Returns how many; there is room for 8 * count.
  size_t (*block_filter)(const SketchQuery& query, const uint8_t* blocks, size_t count, float bound, uint32_t* places, float* keys);
  // out[i] = dot product of `query` and codes[i], `width` bytes each, a multiple of 64, at most 65,536.
  void (*byte_dots)(const int8_t* query, size_t width, const uint8_t* const* codes, size_t count, int32_t* out);
  // A stored code as a query: out[i] = code[i] - 128. Returns their sum.
  int32_t (*to_query)(const uint8_t* code, size_t width, int8_t* out);
};

// The best set for this machine; chosen once.
const CodeKernels& code_kernels();

struct NamedCodeKernels {
  std::string target;  // "avx512", "avx2", "portable"
  CodeKernels kernels;
};
// Every set this machine can run. For tests.
std::vector<NamedCodeKernels> all_code_kernels();

}  // namespace quarry::mvs
