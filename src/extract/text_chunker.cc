#include "extract/text_chunker.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "extract/utf8.h"

namespace quarry::extract {
namespace {

Error extraction(std::string message) { return {ErrorKind::kExtraction, std::move(message)}; }

// Chunks of `size` units each, `size - overlap` units apart; sees one unit's end after the other and keeps only the chunks that are open.
class UnitPacker {
 public:
  UnitPacker(size_t size, size_t overlap, std::vector<Chunk>& out) : size_(size), step_(size - overlap), out_(out) {}

  // False: too many chunks.
  bool add(size_t end) {
    if (units_ % step_ == 0) starts_.push_back(previous_);
    ++units_;
    previous_ = end;
    // The chunk that began at unit k * step ends behind unit k * step + size.
    if (units_ >= size_ && (units_ - size_) % step_ == 0) close();
    return out_.size() <= kMaxChunks;
  }
  void finish() {
    // What is left open ends with the text; of several, the first holds them all.
    if (closed_at_ != previous_ && !starts_.empty()) close();
  }

 private:
  void close() {
    out_.push_back({starts_.front(), previous_, 0, 0});
    closed_at_ = previous_;
    starts_.pop_front();
  }

  const size_t size_, step_;
  std::vector<Chunk>& out_;
  std::deque<size_t> starts_;  // of chunks that have begun and not ended: at most size / step + 1
  size_t units_ = 0, previous_ = 0, closed_at_ = 0;
};

// Packs the words of one section into chunks of at most `size` characters.
class SectionPacker {
 public:
  SectionPacker(const ChunkOptions& options, std::vector<Chunk>& out) : options_(options), out_(out) {}

  // `begin`: the section's place in the text. False: too many chunks.
  bool add_section(std::string_view section, size_t begin) {
    window_.clear();
    characters_ = 0;
    size_t at = 0;
    visit_units(section, {}, SplitBy::kWords, options_.language, [&](size_t end) {
      add_word(section.substr(at, end - at), begin + at);
      at = end;
      return out_.size() <= kMaxChunks;
    });
    if (has_news_) emit();
    return out_.size() <= kMaxChunks;
  }

 private:
  struct Piece {
    size_t begin, end, characters;
  };

  // A word, or several pieces of one that is longer than a chunk.
  void add_word(std::string_view word, size_t begin) {
    const bool ascii = std::all_of(word.begin(), word.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    if (ascii && word.size() <= options_.size) return add_piece({begin, begin + word.size(), word.size()});
    Piece piece{begin, begin, 0};
    visit_units(word, {}, SplitBy::kCharacters, "", [&](size_t end) {
      if (piece.characters == options_.size) {
        add_piece(piece);
        piece = {piece.end, piece.end, 0};
      }
      piece.end = begin + end;
      ++piece.characters;
      return out_.size() <= kMaxChunks;
    });
    if (piece.characters > 0) add_piece(piece);
  }

  void add_piece(const Piece& piece) {
    if (!window_.empty() && characters_ + piece.characters > options_.size) {
      emit();
      do {  // at least one goes, so that chunks move on
        characters_ -= window_.front().characters;
        window_.pop_front();
      } while (!window_.empty() && (characters_ > options_.overlap || characters_ + piece.characters > options_.size));
    }
    window_.push_back(piece);
    characters_ += piece.characters;
    has_news_ = true;
  }

  void emit() {
    out_.push_back({window_.front().begin, window_.back().end, 0, 0});
    has_news_ = false;
  }

  const ChunkOptions& options_;
  std::vector<Chunk>& out_;
  std::deque<Piece> window_;  // of the chunk being filled
  size_t characters_ = 0;     // of the window
  bool has_news_ = false;     // the window holds what no chunk has yet
};

bool pack(const PagedText& source, const ChunkOptions& options, std::vector<Chunk>& out) {
  bool fits = true;
  if (options.split_by == SplitBy::kMarkdown) {
    SectionPacker packer(options, out);
    size_t begin = 0;
    visit_units(source.text, source.pages, options.split_by, options.language, [&](size_t end) {
      fits = packer.add_section(std::string_view(source.text).substr(begin, end - begin), begin);
      begin = end;
      return fits;
    });
    return fits;
  }
  UnitPacker packer(options.size, options.overlap, out);
  visit_units(source.text, source.pages, options.split_by, options.language, [&](size_t end) { return fits = packer.add(end); });
  packer.finish();
  return fits && out.size() <= kMaxChunks;
}

// Counts code points up to offsets that only grow.
class CodePointCursor {
 public:
  explicit CodePointCursor(std::string_view text) : text_(text) {}
  uint64_t at(size_t byte) {
    points_ += count_code_points(text_.substr(byte_, byte - byte_));
    byte_ = byte;
    return points_;
  }

 private:
  std::string_view text_;
  size_t byte_ = 0;
  uint64_t points_ = 0;
};

bool is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

uint32_t PagedText::page_at(size_t byte) const {
  auto after = std::upper_bound(pages.begin(), pages.end(), byte, [](size_t at, const PageStart& page) { return at < page.byte; });
  return after == pages.begin() ? 0 : std::prev(after)->number;
}

Result<std::vector<Chunk>> chunk_text(const PagedText& source, const ChunkOptions& options) {
  QUARRY_CHECK(options.size > 0 && options.overlap < options.size);
  if (source.text.size() > kMaxChunkedBytes)
    return extraction(fmt::format("a text of {} bytes is over the limit of {}", source.text.size(), kMaxChunkedBytes));
  std::vector<Chunk> chunks;
  if (!pack(source, options, chunks))
    return extraction(fmt::format("the text makes more than {} chunks; choose a larger chunk_size", kMaxChunks));
  CodePointCursor begins(source.text), ends(source.text);
  for (Chunk& chunk : chunks) {
    chunk.start_offset = begins.at(chunk.begin);
    chunk.end_offset = ends.at(chunk.end);
  }
  return chunks;
}

Chunk trim_chunk(std::string_view text, Chunk chunk) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  while (chunk.begin < chunk.end && is_space(byte(chunk.begin))) ++chunk.begin, ++chunk.start_offset;
  while (chunk.end > chunk.begin && is_space(byte(chunk.end - 1))) --chunk.end, --chunk.end_offset;
  return chunk;
}

std::vector<PageStart> form_feed_pages(std::string_view text) {
  std::vector<PageStart> pages;
  for (size_t at = text.find('\f'); at != std::string_view::npos; at = text.find('\f', at + 1)) {
    if (pages.empty()) pages.push_back({0, 1});
    pages.push_back({at + 1, pages.back().number + 1});
  }
  return pages;
}

}  // namespace quarry::extract
