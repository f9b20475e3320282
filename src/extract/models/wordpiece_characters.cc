#include "extract/models/wordpiece_characters.h"

#include <iterator>

namespace quarry::extract {
namespace {

using Kind = CharacterKind;

struct CodePointRange {
  char32_t first, last;
  Kind kind;
};

struct Mapping {
  char32_t source;
  char32_t target[3];
};

#include "extract/models/wordpiece_tables.inc"

constexpr uint16_t kFirstMapping = 4;
// The first pages are shared: one for each kind, all of its entries alike.
constexpr uint16_t kSharedPages = 4;

constexpr char32_t kHangulFirst = 0xAC00, kHangulLast = 0xD7A3;

// Unicode standard, section 3.12: Hangul syllable decomposition.
Folded decompose_hangul(char32_t point) {
  char32_t index = point - kHangulFirst, last = index % 28;
  Folded folded{Kind::kWord, static_cast<uint8_t>(last ? 3 : 2), {0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11A7 + last}};
  return folded;
}

}  // namespace

CharacterTables::CharacterTables() {
  pages_.resize(kSharedPages);
  for (uint16_t kind = 0; kind < kSharedPages; ++kind) pages_[kind].fill(kind);
  for (const CodePointRange& range : kRanges) set_range(range.first, range.last, range.kind);
  for (size_t i = 0; i < std::size(kMappings); ++i) set(kMappings[i].source, static_cast<uint16_t>(kFirstMapping + i));
  for (unsigned c = 0; c < 128; ++c) {
    Folded folded = fold(c);
    ascii_[c] = {folded.kind, static_cast<char>(folded.points[0])};
  }
}

void CharacterTables::set(char32_t point, uint16_t value) {
  uint16_t& page = page_of_[point / kPageSize];
  if (page < kSharedPages) {
    pages_.push_back(pages_[page]);
    page = static_cast<uint16_t>(pages_.size() - 1);
  }
  pages_[page][point % kPageSize] = value;
}

void CharacterTables::set_range(char32_t first, char32_t last, CharacterKind kind) {
  for (char32_t point = first; point <= last;) {
    if (point % kPageSize == 0 && point + kPageSize - 1 <= last) {
      page_of_[point / kPageSize] = static_cast<uint16_t>(kind);
      point += kPageSize;
    } else {
      set(point++, static_cast<uint16_t>(kind));
    }
  }
}

Folded CharacterTables::fold(char32_t point) const {
  if (point >= kHangulFirst && point <= kHangulLast) return decompose_hangul(point);
  uint16_t value = entry(point);
  if (value < kFirstMapping) return {static_cast<Kind>(value), 1, {point}};
  const Mapping& mapping = kMappings[value - kFirstMapping];
  Folded folded{static_cast<Kind>(entry(mapping.target[0])), 0, {}};
  while (folded.count < 3 && mapping.target[folded.count]) {
    folded.points[folded.count] = mapping.target[folded.count];
    ++folded.count;
  }
  return folded;
}

const CharacterTables& character_tables() {
  static const CharacterTables tables;
  return tables;
}

}  // namespace quarry::extract
