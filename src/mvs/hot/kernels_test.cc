#include "mvs/hot/kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "mvs/mvs.h"

namespace quarry::mvs {
namespace {

std::vector<float> random_vector(std::mt19937_64& rng, size_t n, int exponent_range) {
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> exponent(-exponent_range, exponent_range);
  std::vector<float> v(n);
  for (auto& x : v) x = std::ldexp(normal(rng), exponent(rng));
  return v;
}

uint32_t bits(float f) { return std::bit_cast<uint32_t>(f); }

TEST(Kernels, EveryTargetGivesTheBitsOfTheReference) {
  const auto targets = all_kernels();
  ASSERT_FALSE(targets.empty());
  std::mt19937_64 rng(42);
  for (size_t n : {1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 300, 384, 385, 768, 1000, 1536}) {
    for (int range : {0, 8, 30}) {
      const auto a = random_vector(rng, n, range), b = random_vector(rng, n, range);
      for (const auto& [target, k] : targets) {
        EXPECT_EQ(bits(k.dot(a.data(), b.data(), n)), bits(reference_dot(a.data(), b.data(), n))) << target << " n=" << n;
        EXPECT_EQ(bits(k.squared_distance(a.data(), b.data(), n)), bits(reference_squared_distance(a.data(), b.data(), n)))
            << target << " n=" << n;
      }
    }
  }
}

TEST(Kernels, ManyRowsGiveTheBitsOfOne) {
  std::mt19937_64 rng(7);
  for (size_t n : {5, 32, 61, 384}) {
    const size_t count = 19;
    const auto q = random_vector(rng, n, 3), rows = random_vector(rng, n * count, 3);
    for (const auto& [target, k] : all_kernels()) {
      std::vector<float> dots(count), distances(count);
      k.dot_rows(q.data(), rows.data(), n, count, dots.data());
      k.squared_distance_rows(q.data(), rows.data(), n, count, distances.data());
      for (size_t r = 0; r < count; ++r) {
        EXPECT_EQ(bits(dots[r]), bits(reference_dot(q.data(), rows.data() + r * n, n))) << target;
        EXPECT_EQ(bits(distances[r]), bits(reference_squared_distance(q.data(), rows.data() + r * n, n))) << target;
      }
    }
  }
}

TEST(Kernels, UnalignedInputGivesTheSameBits) {
  std::mt19937_64 rng(9);
  const size_t n = 100;
  const auto a = random_vector(rng, n + 1, 3), b = random_vector(rng, n + 3, 3);
  const std::vector<float> a1(a.begin() + 1, a.end()), b3(b.begin() + 3, b.end());
  for (const auto& [target, k] : all_kernels())
    EXPECT_EQ(bits(k.dot(a.data() + 1, b.data() + 3, n)), bits(k.dot(a1.data(), b3.data(), n))) << target;
}

// Scores are stored nowhere, but the promise spans releases: the same vector and query give the same bits for ever.
TEST(Kernels, TheArithmeticIsThatOfTheFirstRelease) {
  uint32_t state = 1, digest = 0;
  const auto next = [&] {
    state = state * 1664525 + 1013904223;
    return float(int32_t(state)) / 1073741824.0f;
  };
  for (size_t n : {1, 31, 32, 33, 100, 384, 1537}) {
    std::vector<float> a(n), b(n);
    for (size_t i = 0; i < n; ++i) {
      a[i] = next();
      b[i] = next();
    }
    digest = digest * 31 + bits(kernels().dot(a.data(), b.data(), n));
    digest = digest * 31 + bits(kernels().squared_distance(a.data(), b.data(), n));
    for (Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean})
      digest = digest * 31 + bits(Scorer(metric, a.data(), n).score(b.data(), norm(b.data(), n)));
  }
  EXPECT_EQ(digest, 3837839417u);
}

TEST(Scorer, DefinesTheThreeMetrics) {
  const std::vector<float> q{3, 4}, x{4, 3}, zero{0, 0};
  EXPECT_FLOAT_EQ(Scorer(Metric::kCosine, q.data(), 2).score(x.data(), norm(x.data(), 2)), 24.0f / 25.0f);
  EXPECT_EQ(Scorer(Metric::kCosine, q.data(), 2).score(zero.data(), 0), 0.0f);
  EXPECT_EQ(Scorer(Metric::kCosine, zero.data(), 2).score(x.data(), norm(x.data(), 2)), 0.0f);
  EXPECT_EQ(Scorer(Metric::kDot, q.data(), 2).score(x.data(), 0), 24.0f);
  EXPECT_FLOAT_EQ(Scorer(Metric::kEuclidean, q.data(), 2).score(x.data(), 0), 1.0f / (1.0f + std::sqrt(2.0f)));
  EXPECT_EQ(Scorer(Metric::kEuclidean, q.data(), 2).score(q.data(), 0), 1.0f);
}

TEST(Scorer, StaysFiniteAtTheEdgesOfFloat32) {
  const std::vector<float> huge{3e38f, -3e38f}, tiny{1e-30f, 1e-30f};
  for (const auto& q : {huge, tiny})
    for (const auto& x : {huge, tiny})
      for (Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean})
        EXPECT_TRUE(std::isfinite(Scorer(metric, q.data(), 2).score(x.data(), norm(x.data(), 2))));
  EXPECT_FLOAT_EQ(Scorer(Metric::kCosine, huge.data(), 2).score(huge.data(), norm(huge.data(), 2)), 1.0f);
  EXPECT_FLOAT_EQ(Scorer(Metric::kCosine, tiny.data(), 2).score(tiny.data(), norm(tiny.data(), 2)), 1.0f);
}

}  // namespace
}  // namespace quarry::mvs
