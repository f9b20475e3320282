#include "mvs/text/analyzer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "model/text.h"
#include "mvs/mvs.h"
#include "mvs/text/word_breaker.h"

namespace quarry::mvs {
namespace {

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  WordBreaker breaker(text);
  for (std::string_view word; breaker.next(word);) out.emplace_back(word);
  return out;
}

std::vector<std::string> terms(std::string_view language, std::string_view text) {
  const Analyzer analyzer = Analyzer::make(language).value();
  std::vector<std::string> out;
  for (const auto& word : words(text)) out.emplace_back(analyzer.stem(word));
  return out;
}

using Terms = std::vector<std::string>;

// What kAnalysisVersion stands for: should one of these change, stored indexes must be built again, and the version must grow.
TEST(Analyzer, TheseTermsAreForever) {
  ASSERT_EQ(kAnalysisVersion, 1);
  EXPECT_EQ(
      terms("english", "The dogs' owners were RUNNING quickly; it's 3.14 e-mails, U.S.A. a_b x:y me@example.org"),
      (Terms{"the", "dog", "owner", "were", "run", "quick", "it", "3.14", "e", "mail", "u.s.a", "a_b", "x", "y", "me", "example.org"}));
  EXPECT_EQ(terms("none", "The dogs' owners"), (Terms{"the", "dogs", "owners"}));
  EXPECT_EQ(terms("english", "generously national universities skies"), (Terms{"generous", "nation", "univers", "sky"}));
  EXPECT_EQ(terms("german", "Die Häuser der Größe Straße"), (Terms{"die", "haus", "der", "gross", "strass"}));
  EXPECT_EQ(terms("french", "Les chevaux été naïvement l'école"), (Terms{"le", "cheval", "été", "naïv", "l'écol"}));
  EXPECT_EQ(terms("russian", "книги книгой"), (Terms{"книг", "книг"}));
  EXPECT_EQ(terms("none", "ＡＢＣ ﬁne ½ İstanbul ǅ"), (Terms{"abc", "fine", "i̇stanbul", "dž"}));
  EXPECT_EQ(terms("none", "日本語のテキスト 中文分词"), (Terms{"日本語", "の", "テキスト", "中文", "分词"}));
  EXPECT_EQ(terms("none", "ภาษาไทย"), (Terms{"ภาษา", "ไทย"}));
  EXPECT_EQ(terms("none", "_ __ - . ' 1,000 1;2 a.b a,b 1.a can't 'tis"),
            (Terms{"1,000", "1;2", "a.b", "a", "b", "1", "a", "can't", "tis"}));
}

// Texts of ASCII alone take a short cut, which must cut as ICU does.
TEST(Analyzer, AsciiIsCutLikeUnicode) {
  constexpr std::string_view kAlphabet = "aZ09_.':,;-/ \t\"#";
  std::mt19937_64 rng(4);
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (size_t n = rng() % 14; n > 0; --n) text += kAlphabet[rng() % kAlphabet.size()];
    // A word of another script at either end sends the text to ICU; it is parted by what never joins words.
    std::vector<std::string> icu;
    for (const auto& piece : fold_words("\xe4\xb8\x80\n" + text + "\n\xe4\xb8\x80")) icu.push_back(piece);
    ASSERT_GE(icu.size(), 2u);
    icu.erase(icu.begin());
    icu.pop_back();
    ASSERT_EQ(words(text), icu) << text;
  }
}

TEST(Analyzer, HostileTextsAreBounded) {
  const std::string endless(1'000'000, 'x');
  ASSERT_EQ(words(endless).size(), 1u);
  EXPECT_EQ(words(endless).front().size(), kMaxWordBytes);
  std::string wide;
  for (int i = 0; i < 1000; ++i) wide += "é";
  ASSERT_EQ(words(wide).size(), 1u);
  EXPECT_EQ(words(wide).front().size(), kMaxWordBytes);
  std::mt19937_64 rng(5);
  for (int i = 0; i < 3000; ++i) {
    std::string bytes;
    for (size_t n = rng() % 40; n > 0; --n) bytes += char(rng() % 3 == 0 ? rng() : 'a' + rng() % 4);
    for (const auto& language : {"english", "none", "russian", "turkish"})
      for (const auto& term : terms(language, bytes)) EXPECT_LE(term.size(), kMaxTermBytes);
  }
  EXPECT_TRUE(words("\xff\xfe\x80").size() <= 1);
}

TEST(Analyzer, KnowsItsLanguages) {
  for (const auto& language : Analyzer::languages()) EXPECT_EQ(Analyzer::make(language)->language(), language);
  EXPECT_EQ(Analyzer::make("simple")->language(), "none");
  const auto unknown = Analyzer::make("klingon");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("english"), std::string::npos);
}

// One of every language's.
constexpr std::string_view kTags[] = {"ar", "ca", "da", "de", "el", "en", "es", "eu", "fi", "fr", "ga", "hi", "hu", "hy", "id",
                                      "it", "lt", "nb", "ne", "nl", "pt", "ro", "ru", "sr", "sv", "ta", "tr", "yi"};

TEST(Analyzer, KnowsLanguagesByTheirTags) {
  for (const auto& [tag, language] : std::map<std::string, std::string>{
           {"de", "german"}, {"DE-at", "german"}, {"pt_BR", "portuguese"}, {"nn", "norwegian"}, {"none", "none"}, {"german", "german"}})
    EXPECT_EQ(parse_text_language(tag).value_or(""), language) << tag;
  for (const auto& tag : {"", "ja", "d", "deu", "-de", "german-AT"}) EXPECT_FALSE(parse_text_language(tag).ok()) << tag;
  for (const auto& language : Analyzer::languages()) {
    if (language == "none" || language == "porter") continue;
    const auto names_it = [&](std::string_view tag) { return parse_text_language(tag).value_or("") == language; };
    EXPECT_TRUE(std::any_of(std::begin(kTags), std::end(kTags), names_it)) << language << " has no code";
  }
}

}  // namespace
}  // namespace quarry::mvs
