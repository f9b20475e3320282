#include "mvs/index/code_kernels.h"

#include <bit>
#include <cmath>
#include <cstring>

#if defined(__x86_64__)
// GCC 12 finds its own headers' undefined vectors uninitialised (its bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace quarry::mvs {
namespace {

uint64_t word_at(const uint8_t* record, size_t w) {
  uint64_t out;
  std::memcpy(&out, record + w * sizeof out, sizeof out);
  return out;
}

uint32_t portable_sum(const SketchQuery& q, const uint8_t* record) {
  uint32_t sum = 0;
  for (size_t w = 0; w < q.words; ++w)
    for (size_t p = 0; p < kQueryPlanes; ++p)
      sum += uint32_t(std::popcount(word_at(record, w) & q.planes[p * q.words + w])) << (p + w / q.plane_words);
  return sum;
}

float key_of(const SketchQuery& q, const SketchTail& tail, uint32_t sum) {
  return tail.bias - tail.scale * (tail.levels * q.levels_factor + float(sum) * q.sum_factor - q.offset);
}

template <auto Sum>
size_t filter_by_sum(const SketchQuery& q, const uint8_t* base, float bound, uint32_t* ids, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* record = base + size_t(ids[i]) * q.record_bytes;
    const uint32_t sum = Sum(q, record);
    SketchTail tail;
    std::memcpy(&tail, record + q.words * 8, sizeof tail);
    ids[kept] = ids[i];
    kept += key_of(q, tail, sum) - q.slack * tail.error < bound;
  }
  return kept;
}

// The inverse of put_in_block.
void take_from_block(const uint8_t* block, size_t words, size_t place, uint64_t* bits, SketchTail& tail) {
  for (size_t w = 0; w < words; ++w) bits[w] = word_at(block, w * kBlockSketches + place);
  float fields[4];
  for (size_t f = 0; f < 4; ++f)
    std::memcpy(&fields[f], block + 64 * words + (f * kBlockSketches + place) * sizeof(float), sizeof(float));
  tail = {fields[0], fields[1], fields[2], fields[3]};
}

template <auto Sum>
size_t filter_blocks_by_sum(const SketchQuery& q, const uint8_t* blocks, size_t count, float bound, uint32_t* places, float* keys) {
  static thread_local std::vector<uint64_t> bits;
  bits.resize(q.words);
  size_t kept = 0;
  for (size_t i = 0; i < count * kBlockSketches; ++i) {
    SketchTail tail;
    take_from_block(blocks + i / kBlockSketches * sketch_block_bytes(q.words), q.words, i % kBlockSketches, bits.data(), tail);
    const uint32_t sum = Sum(q, reinterpret_cast<const uint8_t*>(bits.data()));
    const float low = key_of(q, tail, sum) - q.slack * tail.error;
    places[kept] = uint32_t(i);
    keys[kept] = low;
    kept += low < bound;
  }
  return kept;
}

void portable_byte_dots(const int8_t* query, size_t width, const uint8_t* const* codes, size_t count, int32_t* out) {
  for (size_t i = 0; i < count; ++i) {
    int32_t sum = 0;
    for (size_t d = 0; d < width; ++d) sum += int32_t(query[d]) * int32_t(codes[i][d]);
    out[i] = sum;
  }
}

int32_t portable_to_query(const uint8_t* code, size_t width, int8_t* out) {
  int32_t sum = 0;
  for (size_t d = 0; d < width; ++d) {
    out[d] = int8_t(int(code[d]) - 128);
    sum += out[d];
  }
  return sum;
}

#if defined(__x86_64__)

#define QUARRY_AVX2 __attribute__((target("avx2,bmi2,popcnt")))
#define QUARRY_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vpopcntdq,bmi2,popcnt")))

QUARRY_AVX2 uint32_t avx2_sum(const SketchQuery& q, const uint8_t* record) {
  uint64_t sum = 0;
  for (size_t begin = 0, shift = 0; begin < q.words; begin += q.plane_words, ++shift) {
    uint64_t bits[kQueryPlanes] = {};
    for (size_t w = begin; w < begin + q.plane_words; ++w) {
      const uint64_t word = word_at(record, w);
      for (size_t p = 0; p < kQueryPlanes; ++p) bits[p] += uint64_t(_mm_popcnt_u64(word & q.planes[p * q.words + w]));
    }
    sum += (bits[0] + 2 * bits[1] + 4 * bits[2] + 8 * bits[3]) << shift;
  }
  return uint32_t(sum);
}

QUARRY_AVX2 void avx2_byte_dots(const int8_t* query, size_t width, const uint8_t* const* codes, size_t count, int32_t* out) {
  for (size_t i = 0; i < count; ++i) {
    __m256i sum = _mm256_setzero_si256();
    for (size_t d = 0; d < width; d += 16) {
      const __m256i q = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(query + d)));
      const __m256i x = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes[i] + d)));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(q, x));
    }
    const __m128i quad = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    const __m128i pair = _mm_add_epi32(quad, _mm_shuffle_epi32(quad, 0x4e));
    out[i] = _mm_cvtsi128_si32(_mm_add_epi32(pair, _mm_shuffle_epi32(pair, 0xb1)));
  }
}

// The weighted bit counts of eight words, as if all were of the lowest bits, per 64-bit lane.
QUARRY_AVX512 inline __m512i weighted_counts(__m512i code, const __m512i* planes) {
  const __m512i c0 = _mm512_popcnt_epi64(_mm512_and_si512(code, planes[0]));
  const __m512i c1 = _mm512_popcnt_epi64(_mm512_and_si512(code, planes[1]));
  const __m512i c2 = _mm512_popcnt_epi64(_mm512_and_si512(code, planes[2]));
  const __m512i c3 = _mm512_popcnt_epi64(_mm512_and_si512(code, planes[3]));
  const __m512i low = _mm512_add_epi64(c0, _mm512_slli_epi64(c1, 1));
  const __m512i high = _mm512_add_epi64(_mm512_slli_epi64(c2, 2), _mm512_slli_epi64(c3, 3));
  return _mm512_add_epi64(low, high);
}

// The lane sums of eight vectors as eight 64-bit lanes.
QUARRY_AVX512 inline __m512i sum_lanes(const __m512i* v) {
  __m512i pair[4], quad[2];
  for (int i = 0; i < 4; ++i)
    pair[i] = _mm512_add_epi64(_mm512_unpacklo_epi64(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_epi64(v[2 * i], v[2 * i + 1]));
  for (int i = 0; i < 2; ++i)
    quad[i] = _mm512_add_epi64(_mm512_permutex2var_epi64(pair[2 * i], _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0), pair[2 * i + 1]),
                               _mm512_permutex2var_epi64(pair[2 * i], _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2), pair[2 * i + 1]));
  // quad[i] holds, for vectors 4i..4i+3, the lane pairs {0,1}, {2,3} (low half) and {4..7} (high half).
  return _mm512_add_epi64(_mm512_permutex2var_epi64(quad[0], _mm512_set_epi64(11, 10, 9, 8, 3, 2, 1, 0), quad[1]),
                          _mm512_permutex2var_epi64(quad[0], _mm512_set_epi64(15, 14, 13, 12, 7, 6, 5, 4), quad[1]));
}

// The keys of eight records, less their uncertainty.
QUARRY_AVX512 inline __m256 low_keys(const SketchQuery& q, __m256 scale, __m256 bias, __m256 error, __m256 levels, __m512i sums) {
  const __m256 sum = _mm512_cvtepi64_ps(sums);
  const __m256 inner =
      _mm256_sub_ps(_mm256_add_ps(_mm256_mul_ps(levels, _mm256_set1_ps(q.levels_factor)), _mm256_mul_ps(sum, _mm256_set1_ps(q.sum_factor))),
                    _mm256_set1_ps(q.offset));
  return _mm256_sub_ps(_mm256_sub_ps(bias, _mm256_mul_ps(scale, inner)), _mm256_mul_ps(error, _mm256_set1_ps(q.slack)));
}

// By how many bits the counts of words [8 * block, ...) are to be shifted, per 64-bit lane.
QUARRY_AVX512 inline __m512i plane_shifts(const SketchQuery& q, size_t block) {
  const __m512i words = _mm512_add_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi64(int64_t(8 * block)));
  __m512i shifts = _mm512_setzero_si512();
  for (size_t plane = q.plane_words; plane < q.words; plane += q.plane_words)
    shifts = _mm512_mask_add_epi64(shifts, _mm512_cmpge_epi64_mask(words, _mm512_set1_epi64(int64_t(plane))), shifts, _mm512_set1_epi64(1));
  return shifts;
}

// Of eight records, the bits of those that may have a key below `bound`.
QUARRY_AVX512 inline uint32_t filter_eight(const SketchQuery& q, const uint8_t* const* records, __m512i sums, float bound) {
  const size_t at = q.words * 8;
  __m512 pair[2];  // four tails each
  for (int h = 0; h < 2; ++h) {
    const uint8_t* const* r = records + 4 * h;
    const __m256 low = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(reinterpret_cast<const float*>(r[0] + at))),
                                            _mm_loadu_ps(reinterpret_cast<const float*>(r[1] + at)), 1);
    const __m256 high = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(reinterpret_cast<const float*>(r[2] + at))),
                                             _mm_loadu_ps(reinterpret_cast<const float*>(r[3] + at)), 1);
    pair[h] = _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
  }
  const auto field = [&](int f) QUARRY_AVX512 {
    const __m512i index = _mm512_add_epi32(_mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 28, 24, 20, 16, 12, 8, 4, 0), _mm512_set1_epi32(f));
    return _mm512_castps512_ps256(_mm512_permutex2var_ps(pair[0], index, pair[1]));
  };
  const __m256 low = low_keys(q, field(0), field(1), field(2), field(3), sums);
  return _mm256_cmp_ps_mask(low, _mm256_set1_ps(bound), _CMP_LT_OQ);
}

QUARRY_AVX512 size_t avx512_sketch_filter(const SketchQuery& q, const uint8_t* base, float bound, uint32_t* ids, size_t count) {
  const size_t blocks = (q.words + 7) / 8;
  const __mmask8 last = __mmask8((1u << (q.words - 8 * (blocks - 1))) - 1);
  __m512i plane[kQueryPlanes];
  for (size_t p = 0; p < kQueryPlanes; ++p) plane[p] = _mm512_maskz_loadu_epi64(blocks == 1 ? last : __mmask8(0xff), q.planes + p * q.words);
  const __m512i shifts = plane_shifts(q, 0);
  size_t kept = 0;
  for (size_t i = 0; i < count; i += 8) {
    const size_t n = count - i < 8 ? count - i : 8;
    const uint8_t* records[8];
    for (size_t r = 0; r < 8; ++r) records[r] = base + size_t(ids[i + (r < n ? r : 0)]) * q.record_bytes;
    __m512i sums[8];
    if (blocks == 1) {
      for (size_t r = 0; r < 8; ++r)
        sums[r] = _mm512_sllv_epi64(weighted_counts(_mm512_maskz_loadu_epi64(last, records[r]), plane), shifts);
    } else {
      for (auto& sum : sums) sum = _mm512_setzero_si512();
      for (size_t b = 0; b < blocks; ++b) {
        const __mmask8 mask = b + 1 == blocks ? last : __mmask8(0xff);
        __m512i part[kQueryPlanes];
        for (size_t p = 0; p < kQueryPlanes; ++p) part[p] = _mm512_maskz_loadu_epi64(mask, q.planes + p * q.words + 8 * b);
        const __m512i by = plane_shifts(q, b);
        for (size_t r = 0; r < 8; ++r) {
          const __m512i counts = weighted_counts(_mm512_maskz_loadu_epi64(mask, records[r] + 64 * b), part);
          sums[r] = _mm512_add_epi64(sums[r], _mm512_sllv_epi64(counts, by));
        }
      }
    }
    uint32_t bits = filter_eight(q, records, sum_lanes(sums), bound) & ((1u << n) - 1);
    for (; bits != 0; bits &= bits - 1) ids[kept++] = ids[i + size_t(__builtin_ctz(bits))];
  }
  return kept;
}

// A lane a sketch.
QUARRY_AVX512 size_t avx512_block_filter(const SketchQuery& q, const uint8_t* blocks, size_t count, float bound, uint32_t* places,
                                         float* keys) {
  const __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  size_t kept = 0;
  for (size_t b = 0; b < count; ++b) {
    const uint8_t* block = blocks + b * sketch_block_bytes(q.words);
    __m512i sums = _mm512_setzero_si512();
    __m128i shift = _mm_setzero_si128();
    for (size_t begin = 0; begin < q.words; begin += q.plane_words, shift = _mm_add_epi64(shift, _mm_cvtsi32_si128(1)))
      for (size_t w = begin; w < begin + q.plane_words; ++w) {
        __m512i plane[kQueryPlanes];
        for (size_t p = 0; p < kQueryPlanes; ++p) plane[p] = _mm512_set1_epi64(int64_t(q.planes[p * q.words + w]));
        sums = _mm512_add_epi64(sums, _mm512_sll_epi64(weighted_counts(_mm512_load_si512(block + 64 * w), plane), shift));
      }
    const auto* tails = reinterpret_cast<const float*>(block + 64 * q.words);
    const __m256 low =
        low_keys(q, _mm256_load_ps(tails), _mm256_load_ps(tails + 8), _mm256_load_ps(tails + 16), _mm256_load_ps(tails + 24), sums);
    const __mmask8 below = _mm256_cmp_ps_mask(low, _mm256_set1_ps(bound), _CMP_LT_OQ);
    const __m256i at = _mm256_add_epi32(lanes, _mm256_set1_epi32(int32_t(kBlockSketches * b)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(places + kept), _mm256_maskz_compress_epi32(below, at));
    _mm256_storeu_ps(keys + kept, _mm256_maskz_compress_ps(below, low));
    kept += size_t(__builtin_popcount(below));
  }
  return kept;
}

QUARRY_AVX512 void avx512_byte_dots(const int8_t* query, size_t width, const uint8_t* const* codes, size_t count, int32_t* out) {
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    __m512i a = _mm512_setzero_si512(), b = a, c = a, e = a;
    for (size_t d = 0; d < width; d += 64) {
      const __m512i q = _mm512_loadu_si512(query + d);
      a = _mm512_dpbusd_epi32(a, _mm512_loadu_si512(codes[i] + d), q);
      b = _mm512_dpbusd_epi32(b, _mm512_loadu_si512(codes[i + 1] + d), q);
      c = _mm512_dpbusd_epi32(c, _mm512_loadu_si512(codes[i + 2] + d), q);
      e = _mm512_dpbusd_epi32(e, _mm512_loadu_si512(codes[i + 3] + d), q);
    }
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i ce = _mm512_add_epi32(_mm512_unpacklo_epi32(c, e), _mm512_unpackhi_epi32(c, e));
    const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, ce), _mm512_unpackhi_epi64(ab, ce));
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
  }
  for (; i < count; ++i) {
    __m512i sum = _mm512_setzero_si512();
    for (size_t d = 0; d < width; d += 64)
      sum = _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(codes[i] + d), _mm512_loadu_si512(query + d));
    out[i] = _mm512_reduce_add_epi32(sum);
  }
}

QUARRY_AVX512 int32_t avx512_to_query(const uint8_t* code, size_t width, int8_t* out) {
  const __m512i flip = _mm512_set1_epi8(char(0x80)), one = _mm512_set1_epi8(1);
  __m512i sum = _mm512_setzero_si512();
  for (size_t d = 0; d < width; d += 64) {
    const __m512i x = _mm512_loadu_si512(code + d);
    sum = _mm512_dpbusd_epi32(sum, x, one);
    _mm512_storeu_si512(out + d, _mm512_xor_si512(x, flip));
  }
  return _mm512_reduce_add_epi32(sum) - int32_t(128 * width);
}

QUARRY_AVX2 int32_t avx2_to_query(const uint8_t* code, size_t width, int8_t* out) {
  const __m256i flip = _mm256_set1_epi8(char(0x80)), zero = _mm256_setzero_si256();
  __m256i sum = zero;
  for (size_t d = 0; d < width; d += 32) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(code + d));
    sum = _mm256_add_epi64(sum, _mm256_sad_epu8(x, zero));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + d), _mm256_xor_si256(x, flip));
  }
  const __m128i pair = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  return int32_t(_mm_cvtsi128_si64(pair) + _mm_extract_epi64(pair, 1)) - int32_t(128 * width);
}

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq");
}
#endif

}  // namespace

void put_in_block(const uint8_t* record, size_t words, size_t place, uint8_t* block) {
  SketchTail tail{.bias = INFINITY};
  if (record != nullptr) std::memcpy(&tail, record + words * 8, sizeof tail);
  for (size_t w = 0; w < words; ++w) {
    const uint64_t word = record != nullptr ? word_at(record, w) : 0;
    std::memcpy(block + (w * kBlockSketches + place) * sizeof word, &word, sizeof word);
  }
  const float fields[4] = {tail.scale, tail.bias, tail.error, tail.levels};
  for (size_t f = 0; f < 4; ++f)
    std::memcpy(block + 64 * words + (f * kBlockSketches + place) * sizeof(float), &fields[f], sizeof(float));
}

std::vector<NamedCodeKernels> all_code_kernels() {
  std::vector<NamedCodeKernels> out;
#if defined(__x86_64__)
  if (has_avx512()) out.push_back({"avx512", {avx512_sketch_filter, avx512_block_filter, avx512_byte_dots, avx512_to_query}});
  if (has_avx2()) out.push_back({"avx2", {filter_by_sum<avx2_sum>, filter_blocks_by_sum<avx2_sum>, avx2_byte_dots, avx2_to_query}});
#endif
  out.push_back({"portable", {filter_by_sum<portable_sum>, filter_blocks_by_sum<portable_sum>, portable_byte_dots, portable_to_query}});
  return out;
}

const CodeKernels& code_kernels() {
  static const CodeKernels chosen = all_code_kernels().front().kernels;
  return chosen;
}

}  // namespace quarry::mvs
