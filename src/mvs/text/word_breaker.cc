#include "mvs/text/word_breaker.h"

#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include <array>

#include "base/result.h"
#include "base/utf8.h"
#include "model/text.h"
#include "model/word_iterator.h"

namespace quarry::mvs {
namespace {

enum CharClass : uint8_t { kOther, kSpace, kLetter, kDigit, kUnderscore, kMidAny, kMidNumber, kHigh };

// Word_Break classes of ASCII (Unicode 15; as in CLDR's root, ':' joins nothing), with what joins words where it stands between two
// letters, two digits, or either.
constexpr std::array<CharClass, 256> make_classes() {
  std::array<CharClass, 256> out{};
  for (unsigned char c : {' ', '\t', '\n', '\v', '\f', '\r', '@'}) out[c] = kSpace;
  for (int c = 'a'; c <= 'z'; ++c) out[size_t(c)] = out[size_t(c - 'a' + 'A')] = kLetter;
  for (int c = '0'; c <= '9'; ++c) out[size_t(c)] = kDigit;
  out['_'] = kUnderscore;
  out['.'] = out['\''] = kMidAny;
  out[','] = out[';'] = kMidNumber;
  for (size_t c = 128; c < 256; ++c) out[c] = kHigh;
  return out;
}

constexpr auto kClasses = make_classes();

CharClass class_of(char c) { return kClasses[static_cast<unsigned char>(c)]; }
bool is_word_class(CharClass c) { return c == kLetter || c == kDigit || c == kUnderscore; }

bool joins(CharClass before, CharClass middle, CharClass after) {
  if (before != after) return false;
  if (before == kLetter) return middle == kMidAny;
  return before == kDigit && (middle == kMidAny || middle == kMidNumber);
}

// Longest prefix of at most kMaxWordBytes that ends between characters.
std::string_view cut_word(std::string_view word) { return word.size() <= kMaxWordBytes ? word : clip(word, kMaxWordBytes); }

}  // namespace

bool WordBreaker::next(std::string_view& word) {
  for (;;) {
    if (next_range_ < ranges_.size() ? next_unicode(word) : next_ascii(word)) return true;
    if (next_range_ < ranges_.size()) continue;
    if (!next_piece()) return false;
  }
}

bool WordBreaker::next_piece() {
  size_t begin = piece_end_;
  while (begin < text_.size() && class_of(text_[begin]) == kSpace) ++begin;
  if (begin == text_.size()) return false;
  bool ascii = true;
  size_t end = begin;
  for (; end < text_.size() && class_of(text_[end]) != kSpace; ++end) ascii = ascii && class_of(text_[end]) != kHigh;
  at_ = begin;
  piece_end_ = end;
  if (!ascii) break_piece();
  return true;
}

bool WordBreaker::next_ascii(std::string_view& word) {
  while (at_ < piece_end_) {
    const size_t begin = at_;
    bool has_alnum = false;
    CharClass before = kOther;
    while (at_ < piece_end_) {
      const CharClass c = class_of(text_[at_]);
      if (is_word_class(c)) {
        has_alnum = has_alnum || c != kUnderscore;
        before = c;
        ++at_;
      } else if (at_ + 1 < piece_end_ && at_ > begin && joins(before, c, class_of(text_[at_ + 1]))) {
        ++at_;
      } else {
        break;
      }
    }
    const size_t end = at_;
    if (end == begin) {
      ++at_;
      continue;
    }
    if (!has_alnum) continue;
    const std::string_view found = cut_word(text_.substr(begin, end - begin));
    folded_.resize(found.size());
    for (size_t i = 0; i < found.size(); ++i) folded_[i] = class_of(found[i]) == kLetter ? char(found[i] | 0x20) : found[i];
    word = folded_;
    return true;
  }
  return false;
}

bool WordBreaker::next_unicode(std::string_view& word) {
  const Range range = ranges_[next_range_++];
  folded_ = fold_text(text_.substr(range.begin, range.end - range.begin));
  word = cut_word(folded_);
  return !word.empty();
}

// Finds the words of the piece [at_, piece_end_) by ICU.
void WordBreaker::break_piece() {
  ranges_.clear();
  next_range_ = 0;
  const size_t base = std::exchange(at_, piece_end_);
  UErrorCode status = U_ZERO_ERROR;
  UText handle = UTEXT_INITIALIZER;
  utext_openUTF8(&handle, text_.data() + base, int64_t(piece_end_ - base), &status);
  icu::BreakIterator& iterator = word_iterator();
  iterator.setText(&handle, status);
  if (U_SUCCESS(status)) {
    size_t start = size_t(iterator.first());
    for (int32_t end = iterator.next(); end != icu::BreakIterator::DONE; start = size_t(end), end = iterator.next()) {
      const int32_t rule = iterator.getRuleStatus();
      const bool is_word = rule >= UBRK_WORD_NUMBER && rule < UBRK_WORD_IDEO_LIMIT;
      const std::string_view found = text_.substr(base + start, size_t(end) - start);
      if (is_word && found.find_first_not_of('_') != std::string_view::npos) ranges_.push_back({base + start, base + size_t(end)});
    }
  }
  utext_close(&handle);
}

}  // namespace quarry::mvs
