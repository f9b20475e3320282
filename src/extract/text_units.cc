// Where characters, words, sentences, paragraphs, pages and Markdown sections end.
#include <unicode/brkiter.h>
#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include <algorithm>
#include <memory>

#include "extract/text_chunker.h"

namespace quarry::extract {
namespace {

enum class BreakKind { kCharacter, kWord, kSentence, kBoundaryCheck };
constexpr size_t kBreakKinds = 4;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }

std::unique_ptr<icu::BreakIterator> create_breaker(BreakKind kind, const icu::Locale& locale, UErrorCode& status) {
  switch (kind) {
    case BreakKind::kWord: return std::unique_ptr<icu::BreakIterator>(icu::BreakIterator::createWordInstance(locale, status));
    case BreakKind::kSentence: return std::unique_ptr<icu::BreakIterator>(icu::BreakIterator::createSentenceInstance(locale, status));
    default: return std::unique_ptr<icu::BreakIterator>(icu::BreakIterator::createCharacterInstance(locale, status));
  }
}

std::unique_ptr<icu::BreakIterator> make_breaker(BreakKind kind, const std::string& language) {
  UErrorCode status = U_ZERO_ERROR;
  icu::Locale locale = icu::Locale::forLanguageTag(language, status);
  if (U_FAILURE(status) || locale.isBogus()) locale = icu::Locale::getRoot();
  status = U_ZERO_ERROR;
  // Abbreviations that the language's data lists ("e.g.", "Mr.") end no sentence.
  if (kind == BreakKind::kSentence) locale.setKeywordValue("ss", "standard", status);
  status = U_ZERO_ERROR;
  std::unique_ptr<icu::BreakIterator> made = create_breaker(kind, locale, status);
  if (U_SUCCESS(status)) return made;
  status = U_ZERO_ERROR;  // a tag that parses may still be one that ICU makes nothing of
  made = create_breaker(kind, icu::Locale::getRoot(), status);
  QUARRY_CHECK(U_SUCCESS(status));  // ICU's data is missing: nothing works
  return made;
}

// Costly to make and not thread-safe: each thread keeps the last one of each kind.
icu::BreakIterator& breaker_for(BreakKind kind, const std::string& language) {
  struct Kept {
    std::string language;
    std::unique_ptr<icu::BreakIterator> breaker;
  };
  thread_local Kept kept[kBreakKinds];
  Kept& slot = kept[static_cast<int>(kind)];
  if (slot.breaker == nullptr || slot.language != language) slot = {language, make_breaker(kind, language)};
  return *slot.breaker;
}

using TextHandle = std::unique_ptr<UText, decltype(&utext_close)>;

TextHandle open_text(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  TextHandle handle(utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &status), utext_close);
  QUARRY_CHECK(U_SUCCESS(status));
  return handle;
}

icu::BreakIterator& breaker_over(UText* text, BreakKind kind, const std::string& language) {
  UErrorCode status = U_ZERO_ERROR;
  icu::BreakIterator& breaker = breaker_for(kind, language);
  breaker.setText(text, status);
  QUARRY_CHECK(U_SUCCESS(status));
  return breaker;
}

// Calls visit(begin, end, rule status) for each segment while it returns true.
void visit_segments(std::string_view text, BreakKind kind, const std::string& language,
                    const std::function<bool(size_t, size_t, int32_t)>& visit) {
  TextHandle handle = open_text(text);
  icu::BreakIterator& breaker = breaker_over(handle.get(), kind, language);
  int32_t begin = breaker.first();
  for (int32_t end = breaker.next(); end != icu::BreakIterator::DONE; begin = end, end = breaker.next())
    if (!visit(static_cast<size_t>(begin), static_cast<size_t>(end), breaker.getRuleStatus())) break;
}

void visit_characters(std::string_view text, const UnitVisitor& visit) {
  if (!is_ascii(text)) return visit_segments(text, BreakKind::kCharacter, "", [&](size_t, size_t end, int32_t) { return visit(end); });
  for (size_t end = 1; end <= text.size(); ++end) {
    const bool inside = end < text.size() && text[end - 1] == '\r' && text[end] == '\n';
    if (!inside && !visit(end)) return;
  }
}

// A word with what follows it: the next unit begins behind the last white space before the next word, so that an opening quote stays with
// its word.
void visit_words(std::string_view text, const std::string& language, const UnitVisitor& visit) {
  bool has_word = false;
  size_t behind_space = 0;
  bool go_on = true;
  visit_segments(text, BreakKind::kWord, language, [&](size_t begin, size_t end, int32_t rule) {
    if (rule >= UBRK_WORD_NUMBER && rule < UBRK_WORD_IDEO_LIMIT) {
      if (has_word) go_on = visit(behind_space > 0 ? behind_space : begin);
      has_word = true;
      behind_space = 0;
    } else if (is_space(text[end - 1])) {
      behind_space = end;
    }
    return go_on;
  });
  if (go_on && !text.empty()) visit(text.size());
}

// Word and sentence rules now and then cut a grapheme cluster (before U+0600 and its like): such a unit goes on to its next end.
void visit_whole_characters(std::string_view text, const UnitVisitor& visit, const std::function<void(const UnitVisitor&)>& units) {
  if (is_ascii(text)) return units(visit);
  TextHandle handle = open_text(text);
  icu::BreakIterator& characters = breaker_over(handle.get(), BreakKind::kBoundaryCheck, "");
  units([&](size_t end) { return (end < text.size() && !characters.isBoundary(static_cast<int32_t>(end))) || visit(end); });
}

// Line breaks inside a paragraph end no sentence: they become spaces, byte for byte, for the break iterator's eyes.
std::string without_line_breaks(std::string_view text) {
  std::string out(text);
  for (size_t i = 0; i < out.size();) {
    if (!is_space(out[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    int lines = 0;
    for (; end < out.size() && is_space(out[end]); ++end)
      lines += text[end] == '\n' || (text[end] == '\r' && (end + 1 == out.size() || text[end + 1] != '\n'));
    if (lines <= 1) std::fill(out.begin() + static_cast<std::ptrdiff_t>(i), out.begin() + static_cast<std::ptrdiff_t>(end), ' ');
    i = end;
  }
  return out;
}

void visit_sentences(std::string_view text, const std::string& language, const UnitVisitor& visit) {
  const std::string plain = without_line_breaks(text);
  // A segment of white space alone (a further blank line) belongs to the sentence before it.
  size_t last = 0;
  bool go_on = true;
  visit_segments(plain, BreakKind::kSentence, language, [&](size_t begin, size_t end, int32_t) {
    const bool blank =
        std::all_of(plain.begin() + static_cast<std::ptrdiff_t>(begin), plain.begin() + static_cast<std::ptrdiff_t>(end), is_space);
    if (!blank && last > 0) go_on = visit(last);
    if (!blank || last > 0) last = end;
    return go_on;
  });
  if (go_on && !text.empty()) visit(text.size());
}

void visit_paragraphs(std::string_view text, const UnitVisitor& visit) {
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    if (!is_space(text[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    int lines = 0;
    bool page = false;
    for (; end < text.size() && is_space(text[end]); ++end) {
      lines += text[end] == '\n' || (text[end] == '\r' && (end + 1 == text.size() || text[end + 1] != '\n'));
      page = page || text[end] == '\f';
    }
    // Indentation of the next paragraph's first line is its own.
    size_t cut = end;
    while (cut > i && (text[cut - 1] == ' ' || text[cut - 1] == '\t')) --cut;
    const bool first = i == begin;  // leading white space belongs to the first paragraph
    if ((lines >= 2 || page) && !first && end < text.size()) {
      if (!visit(cut)) return;
      begin = cut;
    }
    i = end;
  }
  if (begin < text.size()) visit(text.size());
}

void visit_pages(std::string_view text, const std::vector<PageStart>& pages, const UnitVisitor& visit) {
  for (const PageStart& page : pages)
    if (page.byte > 0 && page.byte < text.size() && !visit(page.byte)) return;
  if (!text.empty()) visit(text.size());
}

// ---- Markdown -------------------------------------------------------------------------------------------------------

std::string_view strip_indent(std::string_view line) {
  size_t indent = line.find_first_not_of(' ');
  return indent == std::string_view::npos ? std::string_view() : indent > 3 ? std::string_view() : line.substr(indent);
}

bool is_atx_heading(std::string_view line) {
  size_t level = line.find_first_not_of('#');
  if (level == std::string_view::npos) return !line.empty() && line.size() <= 6;
  return level >= 1 && level <= 6 && (line[level] == ' ' || line[level] == '\t' || line[level] == '\r');
}

bool is_underline(std::string_view line) {
  while (!line.empty() && is_space(line.back())) line.remove_suffix(1);
  return !line.empty() && (line[0] == '=' || line[0] == '-') && line.find_first_not_of(line[0]) == std::string_view::npos;
}

// Lines of a CommonMark text, told apart as far as headings need it.
class MarkdownScanner {
 public:
  // The beginning of the section that `line` (at `begin`) opens, or npos.
  size_t section_at(std::string_view line, size_t begin) {
    std::string_view bare = strip_indent(line);
    const size_t previous = paragraph_;
    if (toggles_fence(bare) || in_fence_) return paragraph_ = std::string_view::npos;
    if (is_atx_heading(bare)) {
      paragraph_ = std::string_view::npos;
      return begin;
    }
    if (previous != std::string_view::npos && is_underline(bare)) {
      paragraph_ = std::string_view::npos;
      return previous;
    }
    // An underline makes the one line above it a heading.
    paragraph_ = bare.find_first_not_of(" \t\r\n") == std::string_view::npos ? std::string_view::npos : begin;
    return std::string_view::npos;
  }

 private:
  bool toggles_fence(std::string_view bare) {
    if (bare.size() < 3 || (bare[0] != '`' && bare[0] != '~')) return false;
    size_t length = std::min(bare.find_first_not_of(bare[0]), bare.size());
    if (length < 3) return false;
    if (!in_fence_) {
      in_fence_ = true, fence_ = bare[0], fence_length_ = length;
      return true;
    }
    const bool closes = bare[0] == fence_ && length >= fence_length_ && bare.find_first_not_of(" \t\r\n", length) == std::string_view::npos;
    if (closes) in_fence_ = false;
    return closes;
  }

  bool in_fence_ = false;
  char fence_ = 0;
  size_t fence_length_ = 0;
  size_t paragraph_ = std::string_view::npos;  // where the line before begins, if a heading's underline may follow
};

void visit_sections(std::string_view text, const UnitVisitor& visit) {
  MarkdownScanner scanner;
  size_t begin_of_section = 0;
  bool has_content = false;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    const size_t opened = scanner.section_at(line, begin);
    if (opened != std::string_view::npos && opened > begin_of_section && has_content) {
      if (!visit(opened)) return;
      begin_of_section = opened;
    }
    has_content = has_content || line.find_first_not_of(" \t\r\f\v") != std::string_view::npos;
    begin = end + 1;
  }
  if (!text.empty()) visit(text.size());
}

}  // namespace

void visit_units(std::string_view text, const std::vector<PageStart>& pages, SplitBy split_by, const std::string& language,
                 const UnitVisitor& visit) {
  switch (split_by) {
    case SplitBy::kCharacters: return visit_characters(text, visit);
    case SplitBy::kWords: return visit_whole_characters(text, visit, [&](const UnitVisitor& units) { visit_words(text, language, units); });
    case SplitBy::kSentences:
      return visit_whole_characters(text, visit, [&](const UnitVisitor& units) { visit_sentences(text, language, units); });
    case SplitBy::kParagraphs: return visit_paragraphs(text, visit);
    case SplitBy::kPages: return visit_pages(text, pages, visit);
    case SplitBy::kMarkdown: return visit_sections(text, visit);
    case SplitBy::kNone:
      if (!text.empty()) visit(text.size());
  }
}

}  // namespace quarry::extract
