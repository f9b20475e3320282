// The arithmetic that a query costs before the first code is looked at. Every instruction set gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace quarry::mvs {

struct ValueRange {
  float low = 0, high = 0;

  bool operator==(const ValueRange&) const = default;
};

struct QueryKernels {
  // Of the values, of which there is a multiple of 64.
  ValueRange (*range)(const float* values, size_t width);
  // values[i] *= signs[i] for i < width.
  void (*flip)(float* values, const float* signs, size_t width);
  // Walsh-Hadamard transform of `n` floats, a power of two and at least 16; not scaled.
  void (*hadamard)(float* values, size_t n);
  // level i = (values[i] - low) * inverse, rounded half up, 0 to 15: bit p of it becomes bit i % 64 of planes[p * (width / 64) + i / 64], of
  // kQueryPlanes planes. `width` is a multiple of 64. Returns the sum of the levels.
  int64_t (*cut)(const float* values, size_t width, float low, float inverse, uint64_t* planes);
  // out[i] = values[i] * step, rounded half to even, -127 to 127. `width` is a multiple of 64. Returns the sum.
  int32_t (*to_bytes)(const float* values, size_t width, float step, int8_t* out);
};

// The best set for this machine; chosen once.
const QueryKernels& query_kernels();

struct NamedQueryKernels {
  std::string target;  // "avx2", "portable"
  QueryKernels kernels;
};
// Every set this machine can run. For tests.
std::vector<NamedQueryKernels> all_query_kernels();

}  // namespace quarry::mvs
