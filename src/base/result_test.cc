#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace quarry {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return bad_request("odd");
  return n / 2;
}

Result<int> quarter(int n) {
  QUARRY_ASSIGN_OR_RETURN(int h, half(n));
  QUARRY_ASSIGN_OR_RETURN(int q, half(h));
  return q;
}

Status check_twice(int a, int b) {
  QUARRY_RETURN_IF_ERROR(half(a));
  QUARRY_RETURN_IF_ERROR(half(b));
  return Ok{};
}

TEST(Result, HoldsAValueOrAnError) {
  auto good = half(4);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 2);
  auto bad = half(3);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, ErrorKind::kBadRequest);
  EXPECT_EQ(bad.error().message, "odd");
  EXPECT_EQ(bad.value_or(9), 9);
  EXPECT_EQ(good.value_or(9), 2);
}

TEST(Result, MacrosReturnTheFirstError) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_FALSE(quarter(6).ok());
  EXPECT_FALSE(quarter(1).ok());
  EXPECT_TRUE(check_twice(2, 4).ok());
  EXPECT_FALSE(check_twice(2, 3).ok());
  EXPECT_FALSE(check_twice(3, 2).ok());
}

TEST(Result, CarriesTypesThatOnlyMove) {
  auto make = [](bool ok) -> Result<std::unique_ptr<int>> {
    if (!ok) return internal_error("no");
    return std::make_unique<int>(7);
  };
  std::unique_ptr<int> taken = make(true).value();
  EXPECT_EQ(*taken, 7);
  EXPECT_EQ(make(false).error().message, "no");
}

TEST(Result, AResultOfAnErrorLikeTypeKeepsApart) {
  Result<std::string> text = std::string("x");
  EXPECT_TRUE(text.ok());
  EXPECT_EQ(text->size(), 1u);
}

TEST(ResultDeathTest, ReadingTheValueOfAFailureAborts) {
  auto bad = half(3);
  EXPECT_DEATH((void)bad.value(), "value of a failed Result was read: odd");
  EXPECT_DEATH(QUARRY_CHECK(1 == 2), "check failed: 1 == 2");
}

TEST(Error, TakesContext) {
  Error error = storage_error("disk full").with_context("writing table t");
  EXPECT_EQ(error.message, "writing table t: disk full");
  EXPECT_EQ(error.kind, ErrorKind::kStorage);
}

TEST(Error, ValidationNamesThePlace) {
  Error error = validation_error("missing", {"body", "stages", 0}, "a stage is missing");
  EXPECT_EQ(error.kind, ErrorKind::kValidation);
  EXPECT_EQ(json::serialize(error.details),
            R"({"validation_errors":[{"type":"missing","location":["body","stages",0],"message":"a stage is missing"}]})");
}

TEST(Clip, CutsBetweenCharacters) {
  EXPECT_EQ(clip("abc", 3), "abc");
  EXPECT_EQ(clip("abc", 2), "ab");
  EXPECT_EQ(clip("a\xc3\xa9", 2), "a");
  EXPECT_EQ(clip("\xe6\x9d\xb1\xe4\xba\xac", 5), "\xe6\x9d\xb1");
  EXPECT_EQ(clip("\x80\x80\x80", 2), "");
}

TEST(ErrorKinds, HaveNames) {
  for (int i = 0; i <= static_cast<int>(ErrorKind::kCanceled); ++i) EXPECT_NE(to_string(static_cast<ErrorKind>(i)), "unknown") << i;
}

}  // namespace
}  // namespace quarry
