#include "mvs/index/quantizer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "mvs/hot/kernels.h"
#include "mvs/index/query_kernels.h"

namespace quarry::mvs {
namespace {

constexpr uint64_t kRotationSeed = 0x5175617272793031;
constexpr float kByteReach = 4;  // in scales of the sketch: what lies beyond is cut
constexpr float kByteSteps = 127;

size_t padded_width(size_t dimension) { return (dimension + 63) / 64 * 64; }

// Small records share a cache line, larger ones begin one.
size_t padded_record(size_t width) {
  const size_t bytes = width / 8 + sizeof(SketchTail);
  return bytes <= 32 ? 32 : (bytes + 63) / 64 * 64;
}

float length_of(const float* v, size_t n) {
  double sums[4] = {};  // side by side: one sum would wait for itself
  for (size_t i = 0; i < n; ++i) sums[i % 4] += double(v[i]) * v[i];
  return float(std::sqrt((sums[0] + sums[1]) + (sums[2] + sums[3])));
}

std::vector<float> mean_of(Metric metric, size_t dimension, std::span<const float* const> sample) {
  std::vector<double> sums(dimension);
  for (const float* row : sample) {
    const float factor = unit_factor(metric, row, dimension);
    for (size_t i = 0; i < dimension; ++i) sums[i] += double(row[i]) * factor;
  }
  std::vector<float> out(dimension);
  for (size_t i = 0; i < dimension; ++i) out[i] = float(sums[i] / double(std::max<size_t>(sample.size(), 1)));
  return out;
}

float largest_of(Metric metric, size_t dimension, std::span<const float* const> sample) {
  float out = 0;
  if (metric == Metric::kDot)
    for (const float* row : sample) out = std::max(out, length_of(row, dimension));
  return out;
}

}  // namespace

float unit_factor(Metric metric, const float* v, size_t n) {
  if (metric != Metric::kCosine) return 1;
  const float length = length_of(v, n);
  return length > 0 && std::isfinite(1 / length) ? 1 / length : 0;
}

Quantizer::Quantizer(Metric metric, size_t dimension, std::span<const float* const> sample)
    : Quantizer(metric, mean_of(metric, dimension, sample), largest_of(metric, dimension, sample)) {}

Quantizer::Quantizer(Metric metric, std::vector<float> centre, float largest_norm)
    : metric_(metric),
      centre_(std::move(centre)),
      largest_norm_(largest_norm),
      width_(padded_width(centre_.size())),
      record_bytes_(padded_record(width_)),
      rotation_(width_, kRotationSeed) {
  for (const float c : centre_) centre_bias_ += 0.5 * double(c) * c;
  centre_bias_ += 0.5 * double(largest_norm_) * largest_norm_;
}

// R(factor x - c), in memory of the calling thread.
float* Quantizer::rotated(const float* vector, float factor) const {
  static thread_local std::vector<float> values;
  values.assign(width_, 0);
  for (size_t i = 0; i < dimension(); ++i) values[i] = vector[i] * factor - centre_[i];
  rotation_.apply(values.data());
  return values.data();
}

Quantizer::Norms Quantizer::encode(const float* vector, uint8_t* record, uint8_t* bytes) const {
  const float factor = unit_factor(metric_, vector, dimension());
  const float* r = rotated(vector, factor);
  double squared = 0, absolute = 0;
  for (size_t i = 0; i < width_; ++i) {
    squared += double(r[i]) * r[i];
    absolute += std::fabs(double(r[i]));
  }
  SketchTail tail;
  tail.scale = absolute > 0 ? float(squared / absolute) : 0;
  std::memset(record, 0, record_bytes_);
  size_t ones = 0;
  for (size_t w = 0; w < words(); ++w) {
    uint64_t bits = 0;
    for (size_t i = 0; i < 64; ++i) bits |= uint64_t(r[w * 64 + i] > 0) << i;
    ones += size_t(std::popcount(bits));
    std::memcpy(record + w * 8, &bits, 8);
  }
  tail.ones = float(ones);
  // <sign(r)/sqrt(D), r/|r|>^2 = a; the estimate's variance is |r|^2 (1 - a) / (a (D - 1)).
  const double a = squared > 0 ? absolute * absolute / (squared * double(width_)) : 1;
  tail.error = float(std::sqrt(squared * std::max(0.0, 1 - a) / (a * double(std::max<size_t>(width_ - 1, 1)))));
  const float step = tail.scale > 0 ? kByteSteps / (kByteReach * tail.scale) : 0;
  for (size_t i = 0; i < width_; ++i) bytes[i] = uint8_t(128 + int(std::lrint(std::clamp(r[i] * step, -kByteSteps, kByteSteps))));

  Norms norms{float(squared), 0};
  tail.bias = float(squared / 2);
  if (metric_ == Metric::kCosine && factor == 0) tail.bias += 0.5f;  // its score is 0, not that of c
  if (metric_ == Metric::kDot) {
    double dot = 0, length = 0;
    for (size_t i = 0; i < dimension(); ++i) {
      dot += double(vector[i]) * centre_[i];
      length += double(vector[i]) * vector[i];
    }
    tail.bias = float(centre_bias_ - dot);
    norms.lift = float(std::sqrt(std::max(0.0, double(largest_norm_) * largest_norm_ - length)));
    norms.squared = float(squared + double(norms.lift) * norms.lift);
  }
  std::memcpy(record + words() * 8, &tail, sizeof tail);
  return norms;
}

void Quantizer::prepare(const float* query, QueryCodes& out) const {
  const float* r = rotated(query, unit_factor(metric_, query, dimension()));
  const auto [low, high] = query_kernels().range(r, width_);
  const float reach = std::max(std::fabs(low), std::fabs(high));
  out.length = norm(r, width_);

  cut_planes(r, width_, low, high, 1.0f, out);
  out.bytes.resize(width_);
  out.byte_offset = 128 * query_kernels().to_bytes(r, width_, reach > 0 ? kByteSteps / reach : 0, out.bytes.data());
  out.byte_factor = (kByteReach / kByteSteps) * (reach / kByteSteps);
}

void cut_planes(const float* values, size_t width, float low, float high, float unit, QueryCodes& out) {
  const float step = (high - low) / float((1 << kQueryPlanes) - 1), inverse = step > 0 ? 1 / step : 0;
  out.planes.resize(kQueryPlanes * (width / 64));
  const int64_t total = query_kernels().cut(values, width, low, inverse, out.planes.data());
  // The sum over sign_i q_i with q = low + step * level.
  out.ones_factor = 2 * low * unit;
  out.sum_factor = 2 * step * unit;
  out.offset = (low * float(width) + step * float(total)) * unit;
}

}  // namespace quarry::mvs
