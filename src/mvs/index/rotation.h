// A fixed random rotation, so that no coordinate of a vector matters more than another when it is cut to a few bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quarry::mvs {

// Rounds of random sign flips and Hadamard transforms over the first, then the last power of two of the coordinates (the structured
// rotations of Ailon & Chazelle 2009, made to fit any width). Orthogonal: keeps lengths and dot products but for rounding.
// Immutable; thread-safe.
class Rotation {
 public:
  // `width` is a multiple of 64. The same seed gives the same rotation, forever.
  Rotation(size_t width, uint64_t seed);

  // In place; `v` holds `width` floats.
  void apply(float* v) const;
  size_t width() const { return width_; }

 private:
  static constexpr size_t kRounds = 4;

  size_t width_, power_;
  std::vector<float> signs_;  // kRounds rows, scaled by 1 / sqrt(power) where the transform follows
};

}  // namespace quarry::mvs
