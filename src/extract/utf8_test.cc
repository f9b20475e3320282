#include "extract/utf8.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace quarry::extract {
namespace {

std::vector<char32_t> decode_all(std::string_view bytes) {
  std::vector<char32_t> points;
  for (const char *at = bytes.data(), *end = at + bytes.size(); at < end;) points.push_back(decode_utf8(at, end));
  return points;
}

TEST(Utf8, EveryScalarValueSurvivesARoundTrip) {
  for (char32_t point = 0; point < 0x110000; ++point) {
    if (point >= 0xD800 && point < 0xE000) continue;
    char buffer[4];
    std::string_view bytes(buffer, encode_utf8(point, buffer));
    ASSERT_TRUE(is_valid_utf8(bytes)) << static_cast<uint32_t>(point);
    ASSERT_EQ(decode_all(bytes), std::vector<char32_t>{point});
    ASSERT_EQ(count_code_points(bytes), 1u);
  }
}

TEST(Utf8, RefusesOverlongFormsSurrogatesAndStrayBytes) {
  for (std::string_view bad : {"\xC0\x80", "\xE0\x80\x80", "\xF0\x80\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80",
                               "\x80", "\xE2\x82", "\xFF"})
    EXPECT_FALSE(is_valid_utf8(bad)) << bad.size();
}

// The examples of the Unicode standard, section 3.9, table 3-8: one replacement for each longest valid prefix.
TEST(Utf8, ReplacesMaximalSubparts) {
  EXPECT_EQ(
      decode_all("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
      (std::vector<char32_t>{0x61, kReplacement, kReplacement, kReplacement, 0x62, kReplacement, 0x63, kReplacement, kReplacement, 0x64}));
}

TEST(Utf8, RepairedBytesAreValidAndKeepWhatWasValid) {
  EXPECT_EQ(to_valid_utf8("plain \xC3\xA9"), "plain \xC3\xA9");
  EXPECT_EQ(to_valid_utf8("a\xFF"
                          "b\xE2\x82"),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(to_valid_utf8(""), "");
  Rng rng(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(rng.below(40), '\0');
    for (char& c : bytes) c = static_cast<char>(rng.below(4) ? rng.below(256) : 'a' + rng.below(26));
    std::string repaired = to_valid_utf8(bytes);
    EXPECT_TRUE(is_valid_utf8(repaired));
    EXPECT_EQ(decode_all(repaired), decode_all(bytes));
  }
}

}  // namespace
}  // namespace quarry::extract
