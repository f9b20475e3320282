// A text index read as queries need it: what it brings, what it leaves, and that nothing broken passes.
#include "mvs/text/text_index_parts.h"

#include <gtest/gtest.h>

#include <random>

#include "mvs/text/index_layout.h"
#include "mvs/text/text_index_builder.h"

namespace quarry::mvs {
namespace {

constexpr uint32_t kRows = 20'000;

// Many pages: common words, rare ones, and some that begin alike.
std::string build() {
  const Analyzer analyzer = Analyzer::make("none").value();
  std::vector<TermStream> streams(1, TermStream(analyzer));
  std::mt19937_64 rng(3);
  for (uint32_t row = 0; row < kRows; ++row) {
    std::string text = row % 2 == 0 ? "even common " : "odd common ";
    for (int i = 0; i < 8; ++i) text += "w" + std::to_string(rng() % (rng() % 9000 + 1)) + " ";
    streams[0].begin_row();
    streams[0].add(text);
  }
  return build_text_index(streams, analyzer).value();
}

class TextIndexPartsTest : public ::testing::Test {
 protected:
  TextIndexParts::Fetch fetch() {
    return [this](const std::vector<TextIndex::Section>& sections) -> Result<std::vector<std::string>> {
      ++trips_;
      std::vector<std::string> out;
      for (const auto& s : sections) {
        out.push_back(bytes_.substr(s.offset, s.size));
        read_ += s.size;
      }
      return out;
    };
  }
  auto open() { return TextIndexParts::open(bytes_.size(), kRows, "file_x", fetch()); }

  static AnalysedQuery query(std::string text, bool prefix = false) {
    return analyse_query({.text = std::move(text), .prefix = prefix}, Analyzer::make("none").value()).value();
  }

  static void expect_same(const TextTerm& got, const TextTerm& wanted, bool with_positions) {
    Postings a, b;
    got.postings.decode_all(a, with_positions);
    wanted.postings.decode_all(b, with_positions);
    EXPECT_EQ(a.rows, b.rows);
    EXPECT_EQ(a.tfs, b.tfs);
    EXPECT_EQ(a.positions, b.positions);
  }

  std::string bytes_ = build();
  const std::shared_ptr<const TextIndex> whole_ = TextIndex::open(bytes_, "t").value();
  size_t trips_ = 0;
  uint64_t read_ = 0;
};

TEST_F(TextIndexPartsTest, BringsThePostingsOfTheWordsAskedFor) {
  const auto parts = open().value();
  EXPECT_EQ(trips_, 2u);
  EXPECT_EQ(parts->index()->terms(), whole_->terms());
  const uint64_t opened = read_;
  ASSERT_TRUE(parts->load(query("w1234 nowhere even"), false, fetch()).ok());
  EXPECT_EQ(trips_, 3u);
  EXPECT_LT(read_ - opened, whole_->find("even")->postings.record().size() + 4 * text_layout::kPageBytes);
  for (const char* word : {"w1234", "even"}) expect_same(*parts->index()->find(word), *whole_->find(word), false);
  EXPECT_FALSE(parts->index()->find("nowhere"));
  EXPECT_EQ(parts->memory_bytes() / text_layout::kPageBytes, (read_ + text_layout::kPageBytes - 1) / text_layout::kPageBytes);

  ASSERT_TRUE(parts->load(query("even w1234"), false, fetch()).ok());
  EXPECT_EQ(trips_, 3u) << "they are held";
  ASSERT_TRUE(parts->load(query("even"), true, fetch()).ok());
  expect_same(*parts->index()->find("even"), *whole_->find("even"), true);
  ASSERT_TRUE(parts->load(query("w77", true), false, fetch()).ok());
  size_t terms = 0;
  whole_->for_each_with_prefix("w77", [&](std::string_view term, const TextTerm& wanted) {
    expect_same(*parts->index()->find(term), wanted, true);
    return ++terms > 0;
  });
  EXPECT_GT(terms, 10u);
  EXPECT_LT(read_, bytes_.size());
}

// A byte that is read is found broken; one that is not read harms nothing.
TEST_F(TextIndexPartsTest, NoBrokenByteIsUsed) {
  const AnalysedQuery words = query("w12 common", true);
  std::mt19937_64 rng(4);
  const std::string good = bytes_;
  size_t found = 0;
  for (int i = 0; i < 300; ++i) {
    bytes_ = good;
    const size_t at = rng() % bytes_.size();
    bytes_[at] = char(bytes_[at] ^ (1 << rng() % 8));
    auto parts = open();
    const Status status = parts.ok() ? (*parts)->load(words, true, fetch()) : Status(parts.error());
    if (!status.ok()) {
      EXPECT_EQ(status.error().kind, ErrorKind::kCorruption);
      EXPECT_NE(status.error().message.find("file_x"), std::string::npos);
      ++found;
      continue;
    }
    expect_same(*(*parts)->index()->find("common"), *whole_->find("common"), true);
    expect_same(*(*parts)->index()->find("w12"), *whole_->find("w12"), true);
  }
  EXPECT_GT(found, 30u);
  EXPECT_LT(found, 300u) << "some pages were not read";
}

TEST_F(TextIndexPartsTest, OfOtherRowsOrAnotherVersionIsNotTaken) {
  EXPECT_EQ(TextIndexParts::open(bytes_.size(), kRows - 1, "file_x", fetch()).error().kind, ErrorKind::kCorruption);
  EXPECT_EQ(TextIndexParts::open(bytes_.size() - 1, kRows, "file_x", fetch()).error().kind, ErrorKind::kCorruption);
  EXPECT_EQ(TextIndexParts::open(100, kRows, "file_x", fetch()).error().kind, ErrorKind::kCorruption);
}

}  // namespace
}  // namespace quarry::mvs
