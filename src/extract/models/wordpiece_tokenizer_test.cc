#include "extract/models/wordpiece_tokenizer.h"

#include <gtest/gtest.h>

#include <charconv>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "base/rng.h"
#include "extract/test_paths.h"

namespace quarry::extract {
namespace {

std::vector<int64_t> encode(const WordPieceTokenizer& tokenizer, std::string_view text) {
  std::vector<int64_t> ids;
  EXPECT_TRUE(tokenizer.encode(text, SIZE_MAX, ids));
  return ids;
}

std::unique_ptr<const WordPieceTokenizer> tiny() {
  auto made = WordPieceTokenizer::from_vocabulary("[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##aff\n##able\n##a\naffable\n!\n中\n##\n#\n");
  EXPECT_TRUE(made.ok());
  return std::move(made).value();
}

std::string unhex(std::string_view digits) {
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    unsigned value = 0;
    std::from_chars(digits.data() + i, digits.data() + i + 2, value, 16);
    bytes += static_cast<char>(value);
  }
  return bytes;
}

class MiniLmTokenizer : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto made = WordPieceTokenizer::load(test_models_dir() / "all-minilm-l6-v2" / "vocab.txt");
    ASSERT_TRUE(made.ok()) << made.error().message << " (./run setup builds the model)";
    tokenizer_ = std::move(made).value();
  }
  static void TearDownTestSuite() { tokenizer_.reset(); }
  inline static std::unique_ptr<const WordPieceTokenizer> tokenizer_;
};

TEST_F(MiniLmTokenizer, GivesTheReferenceTokenizersIds) {
  std::ifstream golden(test_data_dir() / "models/testdata/wordpiece_golden.tsv");
  size_t cases = 0;
  for (std::string line; std::getline(golden, line); ++cases) {
    size_t tab = line.find('\t');
    ASSERT_NE(tab, std::string::npos);
    std::vector<int64_t> expected;
    std::istringstream numbers(line.substr(tab + 1));
    for (int64_t id; numbers >> id;) expected.push_back(id);
    std::string text = unhex(std::string_view(line).substr(0, tab));
    EXPECT_EQ(encode(*tokenizer_, text), expected) << "line " << cases + 1 << ": " << text.substr(0, 200);
  }
  EXPECT_GE(cases, 200u);
}

TEST_F(MiniLmTokenizer, KnowsItsVocabulary) {
  EXPECT_EQ(tokenizer_->size(), 30522u);
  EXPECT_EQ(tokenizer_->cls_id(), 101);
  EXPECT_EQ(tokenizer_->sep_id(), 102);
  EXPECT_EQ(tokenizer_->unknown_id(), 100);
  EXPECT_EQ(tokenizer_->piece(30521), "##～");
  EXPECT_TRUE(tokenizer_->is_continuation(30521));
  EXPECT_FALSE(tokenizer_->is_continuation(2000));
}

TEST(WordPiece, TakesTheLongestPieceFirst) {
  auto tokenizer = tiny();
  EXPECT_EQ(encode(*tokenizer, "unaffable"), (std::vector<int64_t>{4, 5, 6}));
  EXPECT_EQ(encode(*tokenizer, "affable"), (std::vector<int64_t>{8}));
  EXPECT_EQ(encode(*tokenizer, "UNA!中"), (std::vector<int64_t>{4, 7, 9, 10}));
}

TEST(WordPiece, AWordWithAnUnknownPieceIsUnknownAsAWhole) { EXPECT_EQ(encode(*tiny(), "unaffx un"), (std::vector<int64_t>{1, 4})); }

TEST(WordPiece, AContinuationNeverBeginsAWord) {
  auto tokenizer = tiny();
  EXPECT_EQ(encode(*tokenizer, "able"), (std::vector<int64_t>{1}));
  EXPECT_EQ(encode(*tokenizer, "##a"), (std::vector<int64_t>{12, 12, 1}));
}

TEST(WordPiece, StopsAtTheLimit) {
  auto tokenizer = tiny();
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "un ";
  std::vector<int64_t> ids;
  EXPECT_FALSE(tokenizer->encode(text, 10, ids));
  EXPECT_EQ(ids.size(), 10u);
  ids.clear();
  EXPECT_TRUE(tokenizer->encode(text, 2000, ids));
  EXPECT_EQ(ids.size(), 1000u);
}

TEST(WordPiece, RefusesAVocabularyWithoutItsSpecialTokens) {
  EXPECT_FALSE(WordPieceTokenizer::from_vocabulary("").ok());
  EXPECT_FALSE(WordPieceTokenizer::from_vocabulary("a\nb\n[UNK]\n[CLS]\n").ok());
  EXPECT_FALSE(WordPieceTokenizer::from_vocabulary("[UNK]\n[CLS]\n[SEP]\n" + std::string(300, 'x')).ok());
  EXPECT_FALSE(WordPieceTokenizer::load("/nonexistent/vocab.txt").ok());
}

// What comes before a space never changes what comes behind it: the property that lets a long text be read in pieces.
TEST_F(MiniLmTokenizer, TextsJoinedByASpaceGiveJoinedIds) {
  Rng rng(11);
  for (int round = 0; round < 3000; ++round) {
    std::string parts[2];
    for (std::string& part : parts)
      for (uint64_t n = rng.below(30); n > 0; --n) part += static_cast<char>(rng.below(3) ? ' ' + rng.below(95) : rng.below(256));
    std::vector<int64_t> expected = encode(*tokenizer_, parts[0]);
    for (int64_t id : encode(*tokenizer_, parts[1])) expected.push_back(id);
    EXPECT_EQ(encode(*tokenizer_, parts[0] + " " + parts[1]), expected);
  }
}

}  // namespace
}  // namespace quarry::extract
