#include "base/rng.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace quarry {
namespace {

TEST(Rng, RepeatsItsSeed) {
  Rng a(42), b(42), c(43);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    uint64_t x = a.next();
    EXPECT_EQ(x, b.next());
    differs = differs || x != c.next();
  }
  EXPECT_TRUE(differs);
}

// The published algorithms, run apart: splitmix64 from 0 fills the state of xoshiro256**.
TEST(Rng, MatchesTheReference) {
  Rng rng(0);
  EXPECT_EQ(rng.next(), 0x99ec5f36cb75f2b4u);
  EXPECT_EQ(rng.next(), 0xbf6e1f784956452au);
}

TEST(Rng, BelowIsUniform) {
  Rng rng(1);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) ++counts[rng.below(7)];
  for (int n : counts) {
    EXPECT_GT(n, 9'500);  // 10,000 expected, standard deviation 93
    EXPECT_LT(n, 10'500);
  }
  EXPECT_EQ(rng.below(1), 0u);
}

TEST(Rng, UniformStaysInRange) {
  Rng rng(2);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    double x = rng.uniform();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
    sum += x;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

TEST(SecureToken, HasItsLengthAndAlphabet) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) seen.insert(secure_token(32));
  EXPECT_EQ(seen.size(), 100u);
  for (const auto& token : seen) EXPECT_EQ(token.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789"), std::string::npos);
  EXPECT_EQ(seen.begin()->size(), 32u);
  EXPECT_EQ(secure_token(0), "");
}

}  // namespace
}  // namespace quarry
