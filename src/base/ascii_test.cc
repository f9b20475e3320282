#include "base/ascii.h"

#include <gtest/gtest.h>

namespace quarry {
namespace {

TEST(Ascii, LowersLettersAlone) { EXPECT_EQ(ascii_lower("AZ az [\\] \xC3\x84@"), "az az [\\] \xC3\x84@"); }

TEST(Ascii, HexDigits) {
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(hex_digit("0123456789abcdef"[i]), i);
    EXPECT_EQ(hex_digit("0123456789ABCDEF"[i]), i);
  }
  for (char c : {'g', 'G', '/', ':', '@', '`', '\xe6'}) EXPECT_EQ(hex_digit(c), -1);
}

TEST(Ascii, PercentEscapes) {
  bool broken = false;
  EXPECT_EQ(percent_decoded("a%20b%2fc%C3%a4+", &broken), "a b/c\xC3\xA4+");
  EXPECT_FALSE(broken);
  for (std::string text : {"%", "a%4", "%zz", "%4"}) {
    broken = false;
    EXPECT_EQ(percent_decoded(text, &broken), text);
    EXPECT_TRUE(broken) << text;
  }
  EXPECT_EQ(percent_decoded("100%%41"), "100%A");
}

}  // namespace
}  // namespace quarry
