#include "mvs/index/quantizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "mvs/hot/kernels.h"
#include "mvs/index/query_kernels.h"

namespace quarry::mvs {
namespace {

constexpr uint64_t kRotationSeed = 0x5175617272793031;

size_t padded_width(size_t dimension) { return (dimension + 63) / 64 * 64; }

constexpr size_t kLine = 64;  // bytes of a line of the processor's caches
// By bits per coordinate, of a normal distribution of deviation 1: the step between levels that loses least (Max, 1960), the root of the mean
// square of what they lose, and the scale of a sketch of one bit in scales of this one.
constexpr float kLevelStep[] = {0, 1.596f, 0.9957f, 0.586f};
constexpr float kLevelError[] = {0, 0.603f, 0.345f, 0.1935f};
constexpr float kByteRatio[] = {0, 1, 2.22f, 4.12f};

// The smallest records share a line, larger ones begin one.
size_t padded_record(size_t bytes) { return bytes <= kLine / 2 ? kLine / 2 : (bytes + kLine - 1) / kLine * kLine; }

// As many bits per coordinate as a line has room for. Where the bytes are one line themselves, more than one bit spares nothing.
size_t planes_of(size_t width) {
  return width <= kLine ? 1 : std::max<size_t>((kLine - sizeof(SketchTail)) * 8 / width, 1);
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
      planes_(planes_of(width_)),
      record_bytes_(padded_record(planes_ * width_ / 8 + sizeof(SketchTail))),
      byte_ratio_(kByteRatio[planes_]),
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

// Levels are cut from the coordinates in steps that fit their deviation; a level l stands for 2 l - top.
SketchTail Quantizer::encode_sketch(const float* r, double squared, uint8_t* record) const {
  const int top = (1 << planes_) - 1;
  const double step = kLevelStep[planes_] * std::sqrt(squared / double(width_));
  const float inverse = std::isfinite(float(1 / step)) ? float(1 / step) : 0, middle = float(1 << (planes_ - 1));
  std::memset(record, 0, record_bytes_);
  auto* words = reinterpret_cast<uint64_t*>(record);
  int64_t levels = 0, code_squared = 0;
  double product = 0;
  for (size_t i = 0; i < width_; ++i) {
    const float place = r[i] * inverse + middle;  // no number where r overflowed
    const int level = place > 0 ? int(std::min(place, float(top))) : 0, value = 2 * level - top;
    levels += level;
    code_squared += value * value;
    product += double(r[i]) * value;
    for (size_t p = 0; p < planes_; ++p) words[p * (width_ / 64) + i / 64] |= uint64_t((level >> p) & 1) << (i % 64);
  }
  SketchTail tail;
  tail.scale = product > 0 ? float(squared / product) : 0;
  tail.levels = float(levels);
  // With a = the squared cosine of vector and code, the estimate's variance is |r|^2 (1 - a) / (a (D - 1)).
  const double a = product > 0 ? product * product / (squared * double(code_squared)) : 1;
  tail.error = float(std::sqrt(squared * std::max(0.0, 1 - a) / (a * double(std::max<size_t>(width_ - 1, 1)))));
  return tail;
}

Quantizer::Norms Quantizer::encode(const float* vector, uint8_t* record, uint8_t* bytes) const {
  const float factor = unit_factor(metric_, vector, dimension());
  const float* r = rotated(vector, factor);
  double squared = 0;
  for (size_t i = 0; i < width_; ++i) squared += double(r[i]) * r[i];
  SketchTail tail = encode_sketch(r, squared, record);
  const float step = tail.scale > 0 ? kByteSteps / (kByteReach * byte_ratio_ * tail.scale) : 0;
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
  cut_planes(r, low, high, 1.0f, out);
  out.bytes.resize(width_);
  out.byte_offset = 128 * query_kernels().to_bytes(r, width_, reach > 0 ? kByteSteps / reach : 0, out.bytes.data());
  out.byte_factor = (kByteReach / kByteSteps) * (reach / kByteSteps);
}

void Quantizer::cut_planes(const float* values, float low, float high, float unit, QueryCodes& out) const {
  const float step = (high - low) / float((1 << kQueryPlanes) - 1), inverse = step > 0 ? 1 / step : 0;
  const size_t words = width_ / 64;
  out.planes.resize(kQueryPlanes * planes_ * words);
  const int64_t total = query_kernels().cut(values, width_, low, inverse, out.planes.data());
  // The planes of a query are as long as a record: each is repeated for every bit of a level.
  if (planes_ > 1)
    for (size_t p = kQueryPlanes; p-- > 0;)
      for (size_t b = planes_; b-- > 0;) std::copy_n(out.planes.data() + p * words, words, out.planes.data() + (p * planes_ + b) * words);
  // The sum over (2 level_i - top) q_i with q = low + step * level.
  const float top = float((1 << planes_) - 1);
  out.levels_factor = 2 * low * unit;
  out.sum_factor = 2 * step * unit;
  out.offset = top * (low * float(width_) + step * float(total)) * unit;
  // The query is off by step / sqrt(12) a coordinate, the record by its error: both count.
  const float query_error = step * unit * std::sqrt(float(width_) / 12) / kLevelError[planes_];
  out.error_factor = std::sqrt(out.length * out.length + query_error * query_error);
}

}  // namespace quarry::mvs
