#include "mvs/index/query_kernels.h"

#include <algorithm>
#include <cmath>

#include "mvs/index/code_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace quarry::mvs {
namespace {

ValueRange portable_range(const float* values, size_t width) {
  ValueRange out{values[0], values[0]};
  for (size_t i = 0; i < width; ++i) {
    out.low = std::min(out.low, values[i]);
    out.high = std::max(out.high, values[i]);
  }
  return out;
}

void portable_flip(float* values, const float* signs, size_t width) {
  for (size_t i = 0; i < width; ++i) values[i] *= signs[i];
}

void portable_hadamard(float* v, size_t n) {
  for (size_t half = 1; half < n; half *= 2)
    for (size_t i = 0; i < n; i += 2 * half)
      for (size_t j = i; j < i + half; ++j) {
        const float a = v[j], b = v[j + half];
        v[j] = a + b;
        v[j + half] = a - b;
      }
}

int64_t portable_cut(const float* values, size_t width, float low, float inverse, uint64_t* planes) {
  const size_t words = width / 64;
  int64_t total = 0;
  for (size_t w = 0; w < words; ++w) {
    uint64_t bits[kQueryPlanes] = {};
    for (size_t i = 0; i < 64; ++i) {
      const auto level = uint32_t((values[w * 64 + i] - low) * inverse + 0.5f);
      total += level;
      for (size_t p = 0; p < kQueryPlanes; ++p) bits[p] |= uint64_t((level >> p) & 1) << i;
    }
    for (size_t p = 0; p < kQueryPlanes; ++p) planes[p * words + w] = bits[p];
  }
  return total;
}

int32_t portable_to_bytes(const float* values, size_t width, float step, int8_t* out) {
  int32_t sum = 0;
  for (size_t i = 0; i < width; ++i) {
    out[i] = int8_t(std::lrint(values[i] * step));
    sum += out[i];
  }
  return sum;
}

#if defined(__x86_64__)

#define QUARRY_AVX2 __attribute__((target("avx2")))

QUARRY_AVX2 ValueRange avx2_range(const float* values, size_t width) {
  __m256 low = _mm256_loadu_ps(values), high = low;
  for (size_t i = 8; i < width; i += 8) {
    const __m256 v = _mm256_loadu_ps(values + i);
    low = _mm256_min_ps(low, v);
    high = _mm256_max_ps(high, v);
  }
  float lows[8], highs[8];
  _mm256_storeu_ps(lows, low);
  _mm256_storeu_ps(highs, high);
  return {*std::min_element(lows, lows + 8), *std::max_element(highs, highs + 8)};
}

QUARRY_AVX2 void avx2_flip(float* values, const float* signs, size_t width) {
  for (size_t i = 0; i < width; i += 8)
    _mm256_storeu_ps(values + i, _mm256_mul_ps(_mm256_loadu_ps(values + i), _mm256_loadu_ps(signs + i)));
}

// The three steps within eight neighbours: each value joins its partner, negated where it is the second of the two.
QUARRY_AVX2 inline __m256 transform_eight(__m256 v) {
  const __m256 odd = _mm256_castsi256_ps(_mm256_setr_epi32(0, INT32_MIN, 0, INT32_MIN, 0, INT32_MIN, 0, INT32_MIN));
  const __m256 upper_pair = _mm256_castsi256_ps(_mm256_setr_epi32(0, 0, INT32_MIN, INT32_MIN, 0, 0, INT32_MIN, INT32_MIN));
  const __m256 upper_half = _mm256_castsi256_ps(_mm256_setr_epi32(0, 0, 0, 0, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN));
  v = _mm256_add_ps(_mm256_permute_ps(v, 0xb1), _mm256_xor_ps(v, odd));
  v = _mm256_add_ps(_mm256_permute_ps(v, 0x4e), _mm256_xor_ps(v, upper_pair));
  return _mm256_add_ps(_mm256_permute2f128_ps(v, v, 1), _mm256_xor_ps(v, upper_half));
}

QUARRY_AVX2 void avx2_hadamard(float* v, size_t n) {
  for (size_t i = 0; i < n; i += 8) _mm256_storeu_ps(v + i, transform_eight(_mm256_loadu_ps(v + i)));
  for (size_t half = 8; half < n; half *= 2)
    for (size_t i = 0; i < n; i += 2 * half)
      for (size_t j = i; j < i + half; j += 8) {
        const __m256 a = _mm256_loadu_ps(v + j), b = _mm256_loadu_ps(v + j + half);
        _mm256_storeu_ps(v + j, _mm256_add_ps(a, b));
        _mm256_storeu_ps(v + j + half, _mm256_sub_ps(a, b));
      }
}

// 32 floats, already whole numbers of at most 8 bits, as bytes in their order.
QUARRY_AVX2 inline __m256i pack_bytes(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

QUARRY_AVX2 inline int64_t sum_of_bytes(__m256i sad) {
  const __m128i pair = _mm_add_epi64(_mm256_castsi256_si128(sad), _mm256_extracti128_si256(sad, 1));
  return _mm_cvtsi128_si64(pair) + _mm_extract_epi64(pair, 1);
}

QUARRY_AVX2 inline __m256i levels_of_eight(const float* values, __m256 low, __m256 inverse) {
  const __m256 scaled = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(values), low), inverse);
  return _mm256_cvttps_epi32(_mm256_add_ps(scaled, _mm256_set1_ps(0.5f)));
}

QUARRY_AVX2 int64_t avx2_cut(const float* values, size_t width, float low, float inverse, uint64_t* planes) {
  const size_t words = width / 64;
  const __m256 lows = _mm256_set1_ps(low), inverses = _mm256_set1_ps(inverse);
  __m256i total = _mm256_setzero_si256();
  for (size_t w = 0; w < words; ++w) {
    uint64_t bits[kQueryPlanes] = {};
    for (size_t h = 0; h < 2; ++h) {
      const float* v = values + w * 64 + h * 32;
      const __m256i levels = pack_bytes(levels_of_eight(v, lows, inverses), levels_of_eight(v + 8, lows, inverses),
                                        levels_of_eight(v + 16, lows, inverses), levels_of_eight(v + 24, lows, inverses));
      total = _mm256_add_epi64(total, _mm256_sad_epu8(levels, _mm256_setzero_si256()));
      for (size_t p = 0; p < kQueryPlanes; ++p)  // bit p of each byte to its top
        bits[p] |= uint64_t(uint32_t(_mm256_movemask_epi8(_mm256_slli_epi16(levels, int(7 - p))))) << (32 * h);
    }
    for (size_t p = 0; p < kQueryPlanes; ++p) planes[p * words + w] = bits[p];
  }
  return sum_of_bytes(total);
}

QUARRY_AVX2 inline __m256i rounded_eight(const float* values, __m256 step) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(values), step));
}

QUARRY_AVX2 int32_t avx2_to_bytes(const float* values, size_t width, float step, int8_t* out) {
  const __m256 steps = _mm256_set1_ps(step);
  const __m256i flip = _mm256_set1_epi8(char(0x80));
  __m256i total = _mm256_setzero_si256();  // of value + 128
  for (size_t i = 0; i < width; i += 32) {
    const float* v = values + i;
    const __m256i bytes =
        pack_bytes(rounded_eight(v, steps), rounded_eight(v + 8, steps), rounded_eight(v + 16, steps), rounded_eight(v + 24, steps));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), bytes);
    total = _mm256_add_epi64(total, _mm256_sad_epu8(_mm256_xor_si256(bytes, flip), _mm256_setzero_si256()));
  }
  return int32_t(sum_of_bytes(total) - int64_t(128 * width));
}
#endif

}  // namespace

std::vector<NamedQueryKernels> all_query_kernels() {
  std::vector<NamedQueryKernels> out;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) out.push_back({"avx2", {avx2_range, avx2_flip, avx2_hadamard, avx2_cut, avx2_to_bytes}});
#endif
  out.push_back({"portable", {portable_range, portable_flip, portable_hadamard, portable_cut, portable_to_bytes}});
  return out;
}

const QueryKernels& query_kernels() {
  static const QueryKernels chosen = all_query_kernels().front().kernels;
  return chosen;
}

}  // namespace quarry::mvs
