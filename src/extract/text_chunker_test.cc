#include "extract/text_chunker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"
#include "extract/utf8.h"

namespace quarry::extract {
namespace {

using testing::ElementsAre;

constexpr SplitBy kAll[] = {SplitBy::kNone,       SplitBy::kCharacters, SplitBy::kWords,   SplitBy::kSentences,
                            SplitBy::kParagraphs, SplitBy::kPages,      SplitBy::kMarkdown};

PagedText paged(std::string text) {
  auto pages = form_feed_pages(text);
  return {std::move(text), std::move(pages)};
}

std::vector<std::string> cut(const std::string& text, SplitBy split_by, size_t size, size_t overlap = 0, std::string language = "en") {
  PagedText source = paged(text);
  auto chunks = chunk_text(source, {.split_by = split_by, .size = size, .overlap = overlap, .language = std::move(language)});
  EXPECT_TRUE(chunks.ok());
  std::vector<std::string> out;
  for (const Chunk& chunk : *chunks) {
    Chunk trimmed = trim_chunk(source.text, chunk);
    out.push_back(source.text.substr(trimmed.begin, trimmed.end - trimmed.begin));
  }
  return out;
}

TEST(ChunkText, Characters) {
  EXPECT_THAT(cut("abcdefgh", SplitBy::kCharacters, 3), ElementsAre("abc", "def", "gh"));
  EXPECT_THAT(cut("abcdefgh", SplitBy::kCharacters, 4, 2), ElementsAre("abcd", "cdef", "efgh"));
  EXPECT_THAT(cut("abcde", SplitBy::kCharacters, 4, 3), ElementsAre("abcd", "bcde"));
  EXPECT_THAT(cut("", SplitBy::kCharacters, 4), ElementsAre());
  EXPECT_THAT(cut("e\u0301e\u0301👨‍👩‍👧🇩🇪🇫🇷x", SplitBy::kCharacters, 2),
              ElementsAre("e\u0301e\u0301", "👨‍👩‍👧🇩🇪", "🇫🇷x"))
      << "a character is what a reader calls one";
}

TEST(ChunkText, Words) {
  EXPECT_THAT(cut("One two, (three) \"four\" five-six.", SplitBy::kWords, 2), ElementsAre("One two,", "(three) \"four\"", "five-six."));
  EXPECT_THAT(cut("one two three four five", SplitBy::kWords, 3, 1), ElementsAre("one two three", "three four five"));
  EXPECT_THAT(cut("... --- ...", SplitBy::kWords, 1), ElementsAre("... --- ..."));
  EXPECT_THAT(cut("我能吞下玻璃", SplitBy::kWords, 2, 0, "zh").size(), testing::Gt(1u));
}

TEST(ChunkText, ALanguageThatNobodyKnowsCutsLikeNone) {
  std::string endless = "en";
  for (int i = 0; i < 40; ++i) endless += "-v" + std::to_string(1000 + i);
  for (const std::string& language : {endless, std::string("qq-Zzzz-x-nowhere"), std::string("?"), std::string(5000, 'a')})
    for (SplitBy split_by : {SplitBy::kWords, SplitBy::kSentences})
      EXPECT_THAT(cut("One. Two.", split_by, 1, 0, language), ElementsAre("One.", "Two.")) << language;
}

TEST(ChunkText, SentencesAcrossLineBreaksAndAbbreviations) {
  EXPECT_THAT(cut("Mr. Smith went\nto Washington. He saw it! Did he? Yes.", SplitBy::kSentences, 1),
              ElementsAre("Mr. Smith went\nto Washington.", "He saw it!", "Did he?", "Yes."));
  EXPECT_THAT(cut("A heading\n\nA sentence. Another one.", SplitBy::kSentences, 1),
              ElementsAre("A heading", "A sentence.", "Another one."));
  EXPECT_THAT(cut("One. Two. Three. Four. Five.", SplitBy::kSentences, 3, 1), ElementsAre("One. Two. Three.", "Three. Four. Five."));
  EXPECT_THAT(cut("これは文です。これも文です。", SplitBy::kSentences, 1, 0, "ja"), ElementsAre("これは文です。", "これも文です。"));
}

TEST(ChunkText, Paragraphs) {
  EXPECT_THAT(cut("\n\nfirst\nstill first\n\n  second\r\n\r\nthird\n \t\n\n\nfourth\n\n", SplitBy::kParagraphs, 1),
              ElementsAre("first\nstill first", "second", "third", "fourth"));
  EXPECT_THAT(cut("a\n\nb\n\nc", SplitBy::kParagraphs, 2, 1), ElementsAre("a\n\nb", "b\n\nc"));
}

TEST(ChunkText, Pages) {
  EXPECT_THAT(cut("one\ftwo\f\fthree", SplitBy::kPages, 1), ElementsAre("one", "two", "", "three"));
  EXPECT_THAT(cut("no page breaks", SplitBy::kPages, 1), ElementsAre("no page breaks"));
  PagedText source = paged("one\ftwo\f\fthree");
  EXPECT_EQ(source.page_at(0), 1u);
  EXPECT_EQ(source.page_at(4), 2u);
  EXPECT_EQ(source.page_at(9), 4u);
  EXPECT_EQ(paged("none").page_at(0), 0u);
}

TEST(ChunkText, MarkdownByHeadings) {
  const std::string text = "intro\n# One\ntext one\n## Two\n```sh\n# no heading\n```\nmore\n\nThree\n=====\nlast\n#nohash\n";
  EXPECT_THAT(cut(text, SplitBy::kMarkdown, 1000),
              ElementsAre("intro", "# One\ntext one", "## Two\n```sh\n# no heading\n```\nmore", "Three\n=====\nlast\n#nohash"));
  EXPECT_THAT(cut("# H\none two three four", SplitBy::kMarkdown, 10), ElementsAre("# H\none", "two three", "four"));
  EXPECT_THAT(cut("one two three four", SplitBy::kMarkdown, 10, 5), ElementsAre("one two", "two three", "four"));
  EXPECT_THAT(cut("abcdefghij", SplitBy::kMarkdown, 4), ElementsAre("abcd", "efgh", "ij")) << "a word longer than a chunk";
  EXPECT_THAT(cut("# only\n# headings\n", SplitBy::kMarkdown, 100), ElementsAre("# only", "# headings"));
}

TEST(ChunkText, OffsetsCountCodePoints) {
  PagedText source = paged("äöü 日本 x");
  auto chunks = chunk_text(source, {.split_by = SplitBy::kWords, .size = 1});
  ASSERT_TRUE(chunks.ok());
  Chunk last = trim_chunk(source.text, chunks->back());
  EXPECT_EQ(last.start_offset, 7u);
  EXPECT_EQ(last.end_offset, 8u);
}

TEST(ChunkText, TooManyChunksAreRefused) {
  auto chunks = chunk_text(paged(std::string(kMaxChunks + 2, 'a')), {.split_by = SplitBy::kCharacters, .size = 1});
  ASSERT_FALSE(chunks.ok());
  EXPECT_EQ(chunks.error().kind, ErrorKind::kExtraction);
  EXPECT_TRUE(chunk_text(paged(std::string(kMaxChunks, 'a')), {.split_by = SplitBy::kCharacters, .size = 1}).ok());
  EXPECT_FALSE(chunk_text(paged(std::string(3 * kMaxChunks, 'a')), {.split_by = SplitBy::kMarkdown, .size = 1}).ok());
}

TEST(TrimChunk, WhiteSpaceAloneBecomesEmpty) {
  std::string_view text = " \n\t ";
  Chunk chunk = trim_chunk(text, {0, 4, 0, 4});
  EXPECT_EQ(chunk.begin, chunk.end);
}

std::string random_text(Rng& rng) {
  static const std::vector<std::string> kPieces = {"a",        "Word",         " ",          "  ",     "\n",     "\n\n",
                                                   "\r\n",     "\f",           ". ",         "! ",     "? ",     "e.g. ",
                                                   "# ",       "\n# Head\n",   "\n---\n",    "```\n",  "ä",      "e\u0301",
                                                   "日",       "本語",         "ไทย",        "ภาษา",   "हिन्दी",  "👨‍👩‍👧",
                                                   "🇩🇪",       "각",           "ᄀ\u1161ᆨ", "\u200d", "\u0301", "\u0600",
                                                   "(",        "\"",           "3.14",       "don't",  "-",      "\t",
                                                   "\xC2\xA0", "\xEF\xBB\xBF", "،",          "שלום",   "\u2028", "\u2029"};
  std::string text;
  for (uint64_t n = rng.below(60); n > 0; --n) text += kPieces[rng.below(kPieces.size())];
  return text;
}

std::set<size_t> grapheme_ends(const std::string& text) {
  std::set<size_t> ends{0};
  visit_units(text, {}, SplitBy::kCharacters, "", [&](size_t end) { return ends.insert(end), true; });
  return ends;
}

TEST(ChunkTextProperties, ChunksLessTheirOverlapRestoreTheText) {
  Rng rng(42);
  for (int round = 0; round < 4000; ++round) {
    PagedText source = paged(random_text(rng));
    const size_t size = 1 + rng.below(8), overlap = rng.below(size);
    for (SplitBy split_by : kAll) {
      auto chunks = chunk_text(source, {.split_by = split_by, .size = size, .overlap = overlap});
      ASSERT_TRUE(chunks.ok());
      const std::set<size_t> allowed = grapheme_ends(source.text);
      std::string restored;
      for (const Chunk& chunk : *chunks) {
        ASSERT_LT(chunk.begin, chunk.end);
        ASSERT_LE(chunk.begin, restored.size()) << "a gap";
        ASSERT_GT(chunk.end, restored.size()) << "nothing new";
        ASSERT_TRUE(allowed.contains(chunk.begin) && allowed.contains(chunk.end))
            << static_cast<int>(split_by) << " inside a character: " << source.text;
        ASSERT_EQ(chunk.start_offset, count_code_points(std::string_view(source.text).substr(0, chunk.begin)));
        ASSERT_EQ(chunk.end_offset, count_code_points(std::string_view(source.text).substr(0, chunk.end)));
        ASSERT_TRUE(overlap > 0 || chunk.begin == restored.size());
        restored += source.text.substr(restored.size(), chunk.end - restored.size());
      }
      ASSERT_EQ(restored, source.text) << static_cast<int>(split_by);
    }
  }
}

TEST(ChunkTextProperties, ChunksHoldExactlyTheirUnits) {
  Rng rng(43);
  for (int round = 0; round < 1000; ++round) {
    PagedText source = paged(random_text(rng));
    const size_t size = 1 + rng.below(6), overlap = rng.below(size);
    for (SplitBy split_by : {SplitBy::kCharacters, SplitBy::kWords, SplitBy::kSentences, SplitBy::kParagraphs, SplitBy::kPages}) {
      std::vector<size_t> ends{0};
      visit_units(source.text, source.pages, split_by, "en", [&](size_t end) {
        EXPECT_GT(end, ends.back());
        return ends.push_back(end), true;
      });
      ASSERT_EQ(ends.back(), source.text.size());
      auto chunks = chunk_text(source, {.split_by = split_by, .size = size, .overlap = overlap});
      ASSERT_TRUE(chunks.ok());
      const size_t units = ends.size() - 1, step = size - overlap;
      const size_t expected = units == 0 ? 0 : units <= size ? 1 : 1 + (units - size + step - 1) / step;
      ASSERT_EQ(chunks->size(), expected);
      for (size_t i = 0; i < expected; ++i) {
        EXPECT_EQ((*chunks)[i].begin, ends[i * step]);
        EXPECT_EQ((*chunks)[i].end, ends[std::min(i * step + size, units)]);
      }
    }
  }
}

}  // namespace
}  // namespace quarry::extract
