#include "mvs/hot/kernels.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "mvs/mvs.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mvs/hot/kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace quarry::mvs::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes a register, so that a register never holds more than half of the virtual lanes.
using Wide = hn::CappedTag<float, 16>;
constexpr size_t kWidth = hn::MaxLanes(Wide());
constexpr size_t kRegisters = kLanes / kWidth;
// Rows worked on together: enough independent additions to hide their latency, few enough for 16 registers.
constexpr size_t kRowsAtOnce = kRegisters >= 8 ? 1 : 8 / kRegisters;

struct DotStep {
  template <class V>
  static HWY_INLINE V apply(V sum, V q, V x) {
    return hn::Add(sum, hn::Mul(q, x));
  }
};

struct SquaredDistanceStep {
  template <class V>
  static HWY_INLINE V apply(V sum, V q, V x) {
    const V d = hn::Sub(q, x);
    return hn::Add(sum, hn::Mul(d, d));
  }
};

#if HWY_TARGET == HWY_SCALAR
HWY_INLINE float fold(Wide, hn::Vec<Wide> v) { return hn::GetLane(v); }
#else
template <class D>
HWY_INLINE float fold(D, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(D()) == 1) {
    return hn::GetLane(v);
  } else {
    const hn::Half<D> half;
    return fold(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}
#endif

// The lane sums of `kRows` rows, `stride` floats apart, over the first n - n % 32 elements, then the padded rest.
template <class Step, size_t kRows>
HWY_INLINE void accumulate(const float* HWY_RESTRICT q, const float* HWY_RESTRICT x, size_t stride, size_t n, float* HWY_RESTRICT out) {
  const Wide d;
  hn::Vec<Wide> sum[kRows][kRegisters];
  for (size_t r = 0; r < kRows; ++r)
    for (size_t a = 0; a < kRegisters; ++a) sum[r][a] = hn::Zero(d);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (size_t a = 0; a < kRegisters; ++a) {
      const auto qa = hn::LoadU(d, q + i + a * kWidth);
      for (size_t r = 0; r < kRows; ++r) sum[r][a] = Step::apply(sum[r][a], qa, hn::LoadU(d, x + r * stride + i + a * kWidth));
    }
  if (i < n) {
    // A lane that starts at +0 never becomes -0, so adding the +0 of two padding zeros changes nothing.
    HWY_ALIGN float qt[kLanes] = {}, xt[kRows][kLanes] = {};
    std::memcpy(qt, q + i, (n - i) * sizeof(float));
    for (size_t r = 0; r < kRows; ++r) std::memcpy(xt[r], x + r * stride + i, (n - i) * sizeof(float));
    for (size_t a = 0; a < kRegisters; ++a)
      for (size_t r = 0; r < kRows; ++r) sum[r][a] = Step::apply(sum[r][a], hn::Load(d, qt + a * kWidth), hn::Load(d, xt[r] + a * kWidth));
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t half = kRegisters / 2; half > 0; half /= 2)
      for (size_t a = 0; a < half; ++a) sum[r][a] = hn::Add(sum[r][a], sum[r][a + half]);
    out[r] = fold(d, sum[r][0]);
  }
}

template <class Step>
HWY_INLINE void accumulate_rows(const float* q, const float* rows, size_t n, size_t count, float* out) {
  size_t r = 0;
  for (; r + kRowsAtOnce <= count; r += kRowsAtOnce) accumulate<Step, kRowsAtOnce>(q, rows + r * n, n, n, out + r);
  for (; r < count; ++r) accumulate<Step, 1>(q, rows + r * n, n, n, out + r);
}

float dot(const float* a, const float* b, size_t n) {
  float out;
  accumulate<DotStep, 1>(a, b, n, n, &out);
  return out;
}

float squared_distance(const float* a, const float* b, size_t n) {
  float out;
  accumulate<SquaredDistanceStep, 1>(a, b, n, n, &out);
  return out;
}

void dot_rows(const float* q, const float* rows, size_t n, size_t count, float* out) { accumulate_rows<DotStep>(q, rows, n, count, out); }

void squared_distance_rows(const float* q, const float* rows, size_t n, size_t count, float* out) {
  accumulate_rows<SquaredDistanceStep>(q, rows, n, count, out);
}

Kernels target_kernels() { return {dot, squared_distance, dot_rows, squared_distance_rows}; }

}  // namespace quarry::mvs::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace quarry::mvs {

HWY_EXPORT(target_kernels);

const Kernels& kernels() {
  static const Kernels chosen = HWY_DYNAMIC_DISPATCH(target_kernels)();
  return chosen;
}

std::vector<NamedKernels> all_kernels() {
  std::vector<NamedKernels> out;
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    out.push_back({hwy::TargetName(target), HWY_DYNAMIC_DISPATCH(target_kernels)()});
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return out;
}

namespace {

float fold_reference(float* lane) {
  for (size_t half = kLanes / 2; half > 0; half /= 2)
    for (size_t j = 0; j < half; ++j) lane[j] = lane[j] + lane[j + half];
  return lane[0];
}

}  // namespace

float reference_dot(const float* a, const float* b, size_t n) {
  float lane[kLanes] = {};
  for (size_t i = 0; i < n; ++i) {
    const float product = a[i] * b[i];
    lane[i % kLanes] = lane[i % kLanes] + product;
  }
  return fold_reference(lane);
}

float reference_squared_distance(const float* a, const float* b, size_t n) {
  float lane[kLanes] = {};
  for (size_t i = 0; i < n; ++i) {
    const float d = a[i] - b[i];
    const float product = d * d;
    lane[i % kLanes] = lane[i % kLanes] + product;
  }
  return fold_reference(lane);
}

float norm(const float* v, size_t n) { return std::sqrt(kernels().dot(v, v, n)); }

Scorer::Scorer(Metric metric, const float* query, size_t dimension) : metric_(metric), query_(query), dimension_(dimension) {
  if (metric == Metric::kCosine) query_norm_ = norm(query, dimension);
}

void Scorer::score_rows(const float* rows, const float* norms, size_t count, float* out) const {
  if (metric_ == Metric::kEuclidean)
    kernels().squared_distance_rows(query_, rows, dimension_, count, out);
  else
    kernels().dot_rows(query_, rows, dimension_, count, out);
  for (size_t r = 0; r < count; ++r) out[r] = finish(out[r], rows + r * dimension_, norms[r]);
}

float Scorer::score(const float* row, float row_norm) const {
  const float raw =
      metric_ == Metric::kEuclidean ? kernels().squared_distance(query_, row, dimension_) : kernels().dot(query_, row, dimension_);
  return finish(raw, row, row_norm);
}

float Scorer::finish(float raw, const float* row, float row_norm) const {
  float score = raw;
  if (metric_ == Metric::kEuclidean) {
    score = 1.0f / (1.0f + std::sqrt(raw));
  } else if (metric_ == Metric::kCosine) {
    // A norm outside float32's range (|v| below 1e-19 or above 1e19) goes the wide way; a true zero vector scores 0 there.
    const float norms = query_norm_ * row_norm;
    if (!(norms > 0)) return finish_wide(row);
    score = raw / norms;
  }
  return std::isfinite(score) && std::isfinite(raw) ? score : finish_wide(row);
}

// Sequential float64 sums, for the rare rows whose float32 sum overflows or underflows: a score is always finite.
float Scorer::finish_wide(const float* row) const {
  double qx = 0, qq = 0, xx = 0, dd = 0;
  for (size_t i = 0; i < dimension_; ++i) {
    const double q = query_[i], x = row[i];
    qx += q * x;
    qq += q * q;
    xx += x * x;
    dd += (q - x) * (q - x);
  }
  double score = qx;
  if (metric_ == Metric::kEuclidean) score = 1.0 / (1.0 + std::sqrt(dd));
  if (metric_ == Metric::kCosine) score = qq > 0 && xx > 0 ? qx / (std::sqrt(qq) * std::sqrt(xx)) : 0.0;
  constexpr double kMax = std::numeric_limits<float>::max();
  if (std::isnan(score)) return -float(kMax);  // only a file of another writer holds such a vector
  return float(std::min(std::max(score, -kMax), kMax));
}

}  // namespace quarry::mvs
#endif  // HWY_ONCE
