// What BERT's uncased normaliser makes of each code point.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace quarry::extract {

enum class CharacterKind : uint8_t {
  kWord,      // part of a word
  kDrop,      // control, format, private use and non-spacing marks; U+FFFD
  kSpace,     // ends a word
  kIsolated,  // punctuation and Chinese characters: a word of their own
};

struct Folded {
  CharacterKind kind = CharacterKind::kWord;
  uint8_t count = 1;
  char32_t points[3] = {};  // lower case, without marks; Hangul comes apart into its letters
};

struct AsciiEntry {
  CharacterKind kind = CharacterKind::kWord;
  char folded = 0;
};

class CharacterTables {
 public:
  CharacterTables();
  Folded fold(char32_t point) const;  // point < 0x110000
  const std::array<AsciiEntry, 128>& ascii() const { return ascii_; }

 private:
  static constexpr size_t kPageSize = 256;
  using Page = std::array<uint16_t, kPageSize>;  // a CharacterKind, or kFirstMapping + index

  uint16_t entry(char32_t point) const { return pages_[page_of_[point / kPageSize]][point % kPageSize]; }
  void set(char32_t point, uint16_t value);
  void set_range(char32_t first, char32_t last, CharacterKind kind);

  std::array<uint16_t, 0x110000 / kPageSize> page_of_{};
  std::vector<Page> pages_;
  std::array<AsciiEntry, 128> ascii_{};
};

// Made on first use (about a quarter of a millisecond). Thread-safe.
const CharacterTables& character_tables();

}  // namespace quarry::extract
