// Cuts a text into pieces of so many characters, words, sentences, paragraphs, pages or by Markdown's headings.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quarry::extract {

enum class SplitBy { kNone, kCharacters, kWords, kSentences, kParagraphs, kPages, kMarkdown };

struct ChunkOptions {
  SplitBy split_by = SplitBy::kNone;
  // Both in units of the split; for Markdown in characters, where a section longer than `size` is cut at words. overlap < size.
  size_t size = 1'000;
  size_t overlap = 0;
  std::string language = "en";  // BCP 47; tells sentences apart
};

// Where a page begins; page `number` reaches to the next page's beginning.
struct PageStart {
  size_t byte = 0;
  uint32_t number = 1;
};

struct PagedText {
  std::string text;              // valid UTF-8
  std::vector<PageStart> pages;  // ascending; empty: pages are not known

  // 0 if not known.
  uint32_t page_at(size_t byte) const;
};

struct Chunk {
  size_t begin = 0, end = 0;                  // bytes
  uint64_t start_offset = 0, end_offset = 0;  // code points
};

inline constexpr size_t kMaxChunks = 100'000;
inline constexpr size_t kMaxChunkedBytes = 256u << 20;

// The chunks in order. The first begins at 0, the last ends at the end of the text, each begins where the one before ends less `overlap`
// units: what they do not share restores the text. None begins or ends inside a grapheme cluster (UAX #29). kExtraction over kMaxChunks or
// kMaxChunkedBytes.
Result<std::vector<Chunk>> chunk_text(const PagedText& source, const ChunkOptions& options);

// Moves a chunk's ends inwards over white space; empty where there is nothing else.
Chunk trim_chunk(std::string_view text, Chunk chunk);

// Pages as form feeds divide them; none if there is no form feed.
std::vector<PageStart> form_feed_pages(std::string_view text);

// Calls `visit` with the end of each unit in ascending order, the last being the end of the text; stops when it returns false.
using UnitVisitor = std::function<bool(size_t end)>;
void visit_units(std::string_view text, const std::vector<PageStart>& pages, SplitBy split_by, const std::string& language,
                 const UnitVisitor& visit);

}  // namespace quarry::extract
