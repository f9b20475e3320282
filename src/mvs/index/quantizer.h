// Vectors as codes: a sketch that costs a cache line, and a byte per coordinate for what passes the sketch.
//
// A vector x is taken relative to a centre c (cosine: after scaling to length 1) and rotated: r = R(x - c). The sketch holds a level of one
// to three bits per coordinate, which stands for a code v_i (one bit: the sign), with the scale |r|^2 / sum r_i v_i, which makes the
// estimated dot product unbiased over rotations (RaBitQ, Gao & Long, SIGMOD 2024; for more bits Gao et al., SIGMOD 2025); bytes are r cut to
// 255 steps of about a thirtieth of the scale that signs have. Search minimises a key:
//   cosine, euclidean  |r|^2 / 2 - <r, R(q - c)>     (half the squared distance, less a term of the query)
//   dot                M^2 / 2 + |c|^2 / 2 - <x, c> - <r, R(q - c)>       (minus the dot product, less a term of the query)
// Codes choose candidates; they never score.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mvs/index/code_kernels.h"
#include "mvs/index/rotation.h"
#include "mvs/mvs.h"

namespace quarry::mvs {

// What makes `v` a unit vector where the metric is cosine; 1 for other metrics, 0 for a vector of no length.
float unit_factor(Metric metric, const float* v, size_t n);

// A query, or a stored vector in the role of one.
struct QueryCodes {
  std::vector<uint64_t> planes;  // kQueryPlanes rows of Quantizer::words()
  float levels_factor = 0, sum_factor = 0, offset = 0;  // sketch: dot = scale * (levels * levels_factor + sum * sum_factor - offset)
  std::vector<int8_t> bytes;
  float byte_factor = 0;      // bytes: dot = scale * byte_factor * (sum - byte_offset)
  int32_t byte_offset = 0;
  float length = 0;           // |R(q - c)|
  float error_factor = 0;     // sketch: the standard deviation of dot, in errors of the record
};

// Immutable; thread-safe.
class Quantizer {
 public:
  // `sample` points to rows of `dimension` finite floats; at least one.
  Quantizer(Metric metric, size_t dimension, std::span<const float* const> sample);
  // One that was saved: `centre` has `dimension` values.
  Quantizer(Metric metric, std::vector<float> centre, float largest_norm);

  Metric metric() const { return metric_; }
  size_t dimension() const { return centre_.size(); }
  size_t width() const { return width_; }  // the dimension rounded up to 64: bytes of a byte code
  size_t planes() const { return planes_; }  // bits per coordinate of a sketch
  size_t words() const { return planes_ * width_ / 64; }  // of a sketch
  size_t record_bytes() const { return record_bytes_; }
  const std::vector<float>& centre() const { return centre_; }
  float largest_norm() const { return largest_norm_; }

  // What graph building needs to know of a vector besides its codes. Distances between stored vectors are
  // |a|^2 + |b|^2 - 2 (<r_a, r_b> + lift_a lift_b); for dot the lift brings all vectors to the length M of the largest (Bachrach et al. 2014).
  struct Norms {
    float squared = 0;
    float lift = 0;
  };

  // Writes record_bytes() and width() bytes. Thread-safe.
  Norms encode(const float* vector, uint8_t* record, uint8_t* bytes) const;
  // `out` may be used again: it keeps its memory.
  void prepare(const float* query, QueryCodes& out) const;

  SketchQuery sketch_query(const QueryCodes& query, float slack) const {
    return {query.planes.data(), words(),          width_ / 64,  record_bytes_, query.levels_factor, query.sum_factor,
            query.offset,        slack * query.error_factor};
  }
  const SketchTail& tail(const uint8_t* record) const { return *reinterpret_cast<const SketchTail*>(record + words() * 8); }

  // The scale of the bytes beside a record: kByteSteps steps to either side make kByteReach of it, and what lies beyond is cut.
  static constexpr float kByteReach = 4, kByteSteps = 127;
  float byte_scale(const uint8_t* record) const { return tail(record).scale * byte_ratio_; }

  // Cuts the width() coordinates of a query whose `length` is set, which are `unit` times `values`, from `low` to `high`, into kQueryPlanes
  // bits each: fills the planes and what sketches need of the query.
  void cut_planes(const float* values, float low, float high, float unit, QueryCodes& out) const;

 private:
  float* rotated(const float* vector, float factor) const;
  SketchTail encode_sketch(const float* r, double squared, uint8_t* record) const;

  Metric metric_;
  std::vector<float> centre_;
  float largest_norm_ = 0;   // M
  double centre_bias_ = 0;   // of dot
  size_t width_, planes_, record_bytes_;
  float byte_ratio_;
  Rotation rotation_;
};

inline float byte_dot(const QueryCodes& q, float byte_scale, int32_t sum) {
  return byte_scale * q.byte_factor * float(sum - q.byte_offset);
}

}  // namespace quarry::mvs
