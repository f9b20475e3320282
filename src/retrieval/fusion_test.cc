#include "retrieval/fusion.h"

#include <gtest/gtest.h>

#include <cmath>

namespace quarry::retrieval {
namespace {

// Documents: A=0, B=1, C=2, D=3.
std::vector<RankedList> two_lists(double first_weight = 1, double second_weight = 1) {
  return {{{{0, 0.9}, {1, 0.8}, {2, 0.1}}, first_weight}, {{{2, 5.0}, {3, 4.0}, {0, 1.0}}, second_weight}};
}

TEST(Fusion, ReciprocalRanks) {
  std::vector<double> s = fuse(Fusion::kRrf, two_lists(), 4);
  EXPECT_DOUBLE_EQ(s[0], 1.0 / 61 + 1.0 / 63);
  EXPECT_DOUBLE_EQ(s[1], 1.0 / 62);
  EXPECT_DOUBLE_EQ(s[2], 1.0 / 63 + 1.0 / 61);
  EXPECT_DOUBLE_EQ(s[3], 1.0 / 62);
  s = fuse(Fusion::kRrf, two_lists(0.5, 1), 4);
  EXPECT_DOUBLE_EQ(s[1], 0.5 / 62);
}

TEST(Fusion, WeightedIsMinMaxOverSumOfWeights) {
  std::vector<double> s = fuse(Fusion::kWeighted, two_lists(0.7, 0.3), 4);
  EXPECT_DOUBLE_EQ(s[0], 0.7 * 1.0 + 0.3 * 0.0);
  EXPECT_DOUBLE_EQ(s[1], 0.7 * (0.7 / 0.8));
  EXPECT_DOUBLE_EQ(s[2], 0.3 * 1.0);
  EXPECT_DOUBLE_EQ(s[3], 0.3 * 0.75);
  s = fuse(Fusion::kWeighted, two_lists(1, 1), 4);
  EXPECT_DOUBLE_EQ(s[0], 0.5);
}

TEST(Fusion, DistributionBased) {
  // Scores 1, 2, 3: mean 2, sample deviation 1, so low -1 and high 5.
  std::vector<RankedList> lists{{{{0, 3.0}, {1, 2.0}, {2, 1.0}}, 1}, {{{1, 0.4}}, 1}};
  std::vector<double> s = fuse(Fusion::kDbsf, lists, 3);
  EXPECT_DOUBLE_EQ(s[0], 4.0 / 6);
  EXPECT_DOUBLE_EQ(s[1], 3.0 / 6 + 0.5);  // one score has no spread
  EXPECT_DOUBLE_EQ(s[2], 2.0 / 6);
}

TEST(Fusion, DistributionBasedClampsOutliers) {
  // Twenty ones and one 100: mean 121/21; the outlier lies past m + 3s.
  RankedList list{{{0, 100.0}}, 1};
  for (uint32_t i = 1; i <= 20; ++i) list.hits.push_back({i, 1.0});
  std::vector<double> s = fuse(Fusion::kDbsf, std::span(&list, 1), 21);
  double mean = 120.0 / 21, squares = (100 - mean) * (100 - mean) + 20 * (1 - mean) * (1 - mean), sigma = std::sqrt(squares / 20);
  EXPECT_GT(100, mean + 3 * sigma);
  EXPECT_DOUBLE_EQ(s[0], 1.0);
  EXPECT_NEAR(s[1], (1 - mean + 3 * sigma) / (6 * sigma), 1e-12);
}

TEST(Fusion, MaxTakesTheGreatestWeightedScore) {
  std::vector<double> s = fuse(Fusion::kMax, two_lists(1, 0.1), 4);
  EXPECT_DOUBLE_EQ(s[0], 0.9);
  EXPECT_DOUBLE_EQ(s[1], 0.8);
  EXPECT_DOUBLE_EQ(s[2], 0.5);
  EXPECT_DOUBLE_EQ(s[3], 0.4);
  std::vector<RankedList> negative{{{{0, -0.5}}, 1}, {{{0, -0.2}}, 1}};
  EXPECT_DOUBLE_EQ(fuse(Fusion::kMax, negative, 1)[0], -0.2);
}

TEST(Fusion, DegenerateLists) {
  std::vector<RankedList> equal{{{{0, 0.3}, {1, 0.3}}, 1}, {{}, 1}};
  EXPECT_DOUBLE_EQ(fuse(Fusion::kWeighted, equal, 2)[0], 0.5);  // 1 from the first, nothing from the empty one
  EXPECT_DOUBLE_EQ(fuse(Fusion::kDbsf, equal, 2)[1], 0.5);
  EXPECT_EQ(fuse(Fusion::kRrf, {}, 2), (std::vector<double>{0, 0}));
  std::vector<RankedList> weightless{{{{0, 0.3}}, 0}};
  EXPECT_DOUBLE_EQ(fuse(Fusion::kWeighted, weightless, 1)[0], 0.0);
}

TEST(Fusion, Names) {
  for (const char* name : {"rrf", "dbsf", "weighted", "max"}) EXPECT_EQ(to_string(*parse_fusion(name)), name);
  EXPECT_EQ(parse_fusion("learned").error().kind, ErrorKind::kNotImplemented);
  EXPECT_EQ(parse_fusion("best").error().kind, ErrorKind::kValidation);
}

}  // namespace
}  // namespace quarry::retrieval
