#include "mvs/warm/json_text.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <random>

namespace quarry::mvs {
namespace {

TEST(JsonText, EveryDoubleComesBackWithItsBits) {
  std::mt19937_64 rng(3);
  for (int i = 0; i < 20'000; ++i) {
    const double d = std::bit_cast<double>(rng());
    if (!std::isfinite(d)) continue;
    std::string text = "{";
    append_member(text, "x", d);
    text += "}";
    const auto back = parse_object(text);
    ASSERT_TRUE(back.ok()) << text;
    ASSERT_EQ(std::bit_cast<uint64_t>(back->at("x").as_double()), std::bit_cast<uint64_t>(d)) << text;
  }
}

TEST(JsonText, KeepsKindsOfNumbers) {
  const auto v = parse_object(R"({"a":1,"b":1.0,"c":-9223372036854775808,"d":18446744073709551615,"e":1e2,"f":-0.0})");
  ASSERT_TRUE(v.ok());
  EXPECT_TRUE(v->at("a").is_int64());
  EXPECT_TRUE(v->at("b").is_double());
  EXPECT_EQ(v->at("c").as_int64(), INT64_MIN);
  EXPECT_EQ(v->at("d").as_uint64(), UINT64_MAX);
  EXPECT_EQ(v->at("e").as_double(), 100.0);
  EXPECT_TRUE(std::signbit(v->at("f").as_double()));
}

TEST(JsonText, PicksMembersOfTheRootOnly) {
  const std::string text =
      R"({"skip":{"keep":1,"x":[1,{"keep":2}]},"keep":{"skip":"\u00e4\n","n":[1,2.5,null,true]},"a\"b":"q","last":[[]]})";
  const std::array<std::string_view, 2> names{"keep", "a\"b"};
  const auto v = parse_members(text, names);
  ASSERT_TRUE(v.ok());
  EXPECT_EQ(json::value(*v), json::parse(R"({"keep":{"skip":"ä\n","n":[1,2.5,null,true]},"a\"b":"q"})"));
  EXPECT_EQ(json::value(*parse_object(text)), json::parse(text));
}

TEST(JsonText, RefusesWhatIsNotAnObject) {
  for (const char* text : {"", "[]", "1", "{", "{\"a\":1}x", "{\"a\":}", "nul"}) {
    const auto v = parse_object(text);
    ASSERT_FALSE(v.ok()) << text;
    EXPECT_EQ(v.error().kind, ErrorKind::kCorruption);
  }
}

TEST(JsonText, LimitsDepthAndChecksText) {
  json::value deep = 1;
  for (size_t i = 0; i < kMaxPayloadDepth - 1; ++i) deep = json::array{deep};
  EXPECT_TRUE(check_payload(deep, "x").ok());
  std::string text = "{";
  append_member(text, "x", deep);
  EXPECT_TRUE(parse_object(text + "}").ok());
  EXPECT_EQ(check_payload(json::array{deep}, "x").error().kind, ErrorKind::kBadRequest);
  EXPECT_FALSE(check_payload(json::value("\xff"), "x").ok());
  EXPECT_FALSE(check_payload(json::object{{"\xc0\x80", 1}}, "x").ok());
  EXPECT_FALSE(check_payload(json::value(std::nan("")), "x").ok());
}

}  // namespace
}  // namespace quarry::mvs
