#include "mvs/index/rotation.h"

#include <bit>
#include <cmath>

#include "base/rng.h"
#include "mvs/index/query_kernels.h"

namespace quarry::mvs {

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
  const QueryKernels& kernels = query_kernels();
  for (size_t round = 0; round < kRounds; ++round) {
    kernels.flip(v, signs_.data() + round * width_, width_);
    kernels.hadamard(v + (round % 2 == 0 ? 0 : width_ - power_), power_);
  }
}

}  // namespace quarry::mvs
