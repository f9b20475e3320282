#include "model/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"

namespace quarry {
namespace {

using testing::ElementsAre;

TEST(FoldText, DropsCaseWidthAndComposition) {
  EXPECT_EQ(fold_text("Hello"), "hello");
  EXPECT_EQ(fold_text("STRASSE"), fold_text("straße"));
  EXPECT_EQ(fold_text("E\xcc\x81t\xc3\xa9"), "\xc3\xa9t\xc3\xa9");  // combining accent
  EXPECT_EQ(fold_text("\xef\xbc\xa1"), "a");                        // full-width A
  EXPECT_EQ(fold_text("A\xff\xc3").front(), 'a');                   // never fails
  EXPECT_EQ(fold_text(""), "");
}

TEST(FoldWords, CutsAtUnicodeBoundaries) {
  EXPECT_THAT(fold_words("The cat, the 3.5 cats!"), ElementsAre("the", "cat", "the", "3.5", "cats"));
  EXPECT_THAT(fold_words("don't stop_me now"), ElementsAre("don't", "stop_me", "now"));
  EXPECT_THAT(fold_words("Łódź – МОСКВА"), ElementsAre("łódź", "москва"));
  EXPECT_THAT(fold_words("... -- !"), ElementsAre());
  EXPECT_THAT(fold_words("東京タワー").size(), testing::Ge(1u));
}

// The fast path for ASCII must agree with ICU, which a non-ASCII word at the end forces.
TEST(FoldWords, FastPathAgreesWithIcu) {
  static constexpr char kAlphabet[] = "abzAZ019_ -/@#\t\n!?\"()+=~";
  Rng rng(7);
  for (int round = 0; round < 3'000; ++round) {
    std::string text;
    for (uint64_t i = rng.below(20); i > 0; --i) text.push_back(kAlphabet[rng.below(sizeof(kAlphabet) - 1)]);
    auto expected = fold_words(text + " \xc3\xa9");
    ASSERT_FALSE(expected.empty());
    expected.pop_back();
    ASSERT_EQ(fold_words(text), expected) << '"' << text << '"';
  }
}

}  // namespace
}  // namespace quarry
