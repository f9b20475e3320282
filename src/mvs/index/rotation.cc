#include "mvs/index/rotation.h"

#include <bit>
#include <cmath>

#include "base/rng.h"

namespace quarry::mvs {
namespace {

// Walsh-Hadamard transform of `n` (a power of two, at least 16) floats, not scaled.
void hadamard(float* v, size_t n) {
  for (size_t half = 1; half < 8; half *= 2)
    for (size_t i = 0; i < n; i += 2 * half)
      for (size_t j = i; j < i + half; ++j) {
        const float a = v[j], b = v[j + half];
        v[j] = a + b;
        v[j + half] = a - b;
      }
  for (size_t half = 8; half < n; half *= 2)
    for (size_t i = 0; i < n; i += 2 * half) {
      float* __restrict x = v + i;
      float* __restrict y = v + i + half;
      for (size_t j = 0; j < half; ++j) {
        const float a = x[j], b = y[j];
        x[j] = a + b;
        y[j] = a - b;
      }
    }
}

}  // namespace

Rotation::Rotation(size_t width, uint64_t seed) : width_(width), power_(std::bit_floor(width)), signs_(width * kRounds) {
  Rng random(seed);
  const float scale = 1.0f / std::sqrt(float(power_));
  for (size_t round = 0; round < kRounds; ++round) {
    const size_t first = round % 2 == 0 ? 0 : width_ - power_;
    uint64_t bits = 0;
    for (size_t i = 0; i < width_; ++i) {
      if (i % 64 == 0) bits = random.next();
      const bool transformed = i >= first && i < first + power_;
      signs_[round * width_ + i] = ((bits >> (i % 64)) & 1 ? -1.0f : 1.0f) * (transformed ? scale : 1.0f);
    }
  }
}

void Rotation::apply(float* v) const {
  for (size_t round = 0; round < kRounds; ++round) {
    const float* signs = signs_.data() + round * width_;
    for (size_t i = 0; i < width_; ++i) v[i] *= signs[i];
    hadamard(v + (round % 2 == 0 ? 0 : width_ - power_), power_);
  }
}

}  // namespace quarry::mvs
