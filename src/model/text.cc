#include "model/text.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include <algorithm>
#include <memory>

#include "base/result.h"
#include "model/word_iterator.h"

namespace quarry {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string fold_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return out;
}

bool is_ascii_word_char(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

// On ASCII a word is letters, digits and '_', joined by some inner punctuation (UAX #29, ICU's "@"); without that a plain scan is exact.
bool is_plain_ascii(std::string_view text) {
  static constexpr std::string_view kMayJoin = "'.:,;@";
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80 && kMayJoin.find(c) == std::string_view::npos; });
}

std::vector<std::string> ascii_words(std::string_view text) {
  std::vector<std::string> words;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    bool has_alnum = false;
    for (; end < text.size() && is_ascii_word_char(text[end]); ++end) has_alnum = has_alnum || text[end] != '_';
    if (has_alnum) words.push_back(fold_ascii(text.substr(i, end - i)));
    i = std::max(end, i + 1);
  }
  return words;
}

// ICU also calls a run of underscores a word.
bool is_word(int32_t rule, std::string_view segment) {
  return rule >= UBRK_WORD_NUMBER && rule < UBRK_WORD_IDEO_LIMIT && segment.find_first_not_of('_') != std::string_view::npos;
}

}  // namespace

std::string fold_text(std::string_view text) {
  if (is_ascii(text)) return fold_ascii(text);
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* folder = icu::Normalizer2::getNFKCCasefoldInstance(status);
  QUARRY_CHECK(U_SUCCESS(status));
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  folder->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, nullptr, status);
  return U_SUCCESS(status) ? out : std::string(text);
}

std::vector<std::string> fold_words(std::string_view text) {
  if (is_plain_ascii(text)) return ascii_words(text);
  UErrorCode status = U_ZERO_ERROR;
  std::unique_ptr<UText, decltype(&utext_close)> handle(utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &status),
                                                        utext_close);
  icu::BreakIterator& breaker = word_iterator();
  breaker.setText(handle.get(), status);
  std::vector<std::string> words;
  if (U_FAILURE(status)) return words;
  int32_t start = breaker.first();
  for (int32_t end = breaker.next(); end != icu::BreakIterator::DONE; start = end, end = breaker.next()) {
    std::string_view segment = text.substr(static_cast<size_t>(start), static_cast<size_t>(end - start));
    if (is_word(breaker.getRuleStatus(), segment)) words.push_back(fold_text(segment));
  }
  return words;
}

}  // namespace quarry
