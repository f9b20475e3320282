#include "extract/markup_text.h"

#include <algorithm>

#include "extract/markup_rules.h"

namespace quarry::extract {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Collects text, with runs of white space made one space and breaks made one or two line ends.
class TextSink {
 public:
  void add(std::string_view decoded, bool verbatim) {
    if (verbatim) {
      if (decoded.empty()) return;
      settle();
      out_ += decoded;
      return;
    }
    for (char c : decoded) {
      if (is_space(c)) {
        space_ = true;
        continue;
      }
      settle();
      out_ += c;
    }
  }
  void break_lines(int lines) { lines_ = std::max(lines_, lines); }
  void break_word() { space_ = true; }
  std::string take() {
    while (!out_.empty() && is_space(out_.back())) out_.pop_back();
    return std::move(out_);
  }

 private:
  void settle() {
    if (out_.empty()) {
      // leading white space goes
    } else if (lines_ > 0) {
      while (is_space(out_.back()) && out_.size() > 1) out_.pop_back();
      out_.append(static_cast<size_t>(lines_), '\n');
    } else if (space_ && !is_space(out_.back())) {
      out_ += ' ';
    }
    lines_ = 0, space_ = false;
  }

  std::string out_;
  int lines_ = 0;
  bool space_ = false;
};

class MarkupReader {
 public:
  MarkupReader(std::string_view source, bool html) : rest_(source), html_(html) {
    if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
  }

  MarkupText read() {
    while (!rest_.empty()) {
      const size_t tag = rest_.find('<');
      add_text(rest_.substr(0, tag));
      rest_.remove_prefix(std::min(tag, rest_.size()));
      if (!rest_.empty()) read_markup();
    }
    return {sink_.take(), title_.take()};
  }

 private:
  void add_text(std::string_view raw) {
    if (raw.empty()) return;
    std::string decoded = decode_entities(raw);
    if (in_title_ && !title_done_) title_.add(decoded, false);
    // An HTML page's title is not on the page; an XML document's is.
    if (!(in_title_ && html_)) sink_.add(decoded, verbatim_ > 0);
  }

  // `rest_` begins with '<'.
  void read_markup() {
    if (rest_.starts_with("<!--")) return skip_past("-->", 4);
    if (rest_.starts_with("<![CDATA[")) return read_cdata();
    if (rest_.starts_with("<?")) return skip_past("?>", 2);
    if (rest_.starts_with("<!")) return skip_declaration();
    const bool closing = rest_.starts_with("</");
    const size_t name_at = closing ? 2 : 1;
    if (rest_.size() <= name_at || !is_name_start(rest_[name_at])) {
      add_text("<");
      rest_.remove_prefix(1);
      return;
    }
    read_tag(closing, name_at);
  }

  void read_tag(bool closing, size_t name_at) {
    const size_t end = tag_end();
    std::string_view tag = rest_.substr(0, end);
    const bool empty_element = tag.size() >= 2 && tag[tag.size() - 2] == '/' && tag.back() == '>';
    const std::string name = tag_name(tag.substr(name_at));
    rest_.remove_prefix(end);
    apply(role_of(name, html_), name, closing, empty_element);
  }

  // Behind the '>' that ends the tag; one inside quotes does not.
  size_t tag_end() const {
    char quote = 0;
    for (size_t i = 1; i < rest_.size(); ++i) {
      const char c = rest_[i];
      if (quote != 0) {
        if (c == quote) quote = 0;
      } else if ((c == '"' || c == '\'') && rest_[i - 1] == '=') {
        quote = c;
      } else if (c == '>') {
        return i + 1;
      }
    }
    return rest_.size();
  }

  std::string tag_name(std::string_view tag) const {
    size_t end = 0;
    while (end < tag.size() && !is_space(tag[end]) && tag[end] != '>' && tag[end] != '/') ++end;
    tag = tag.substr(0, end);
    if (!html_) return std::string(tag.substr(tag.rfind(':') == std::string_view::npos ? 0 : tag.rfind(':') + 1));
    std::string name(tag);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
    return name;
  }

  void apply(MarkupRole role, const std::string& name, bool closing, bool empty_element) {
    switch (role) {
      case MarkupRole::kInline: return;
      case MarkupRole::kCell: return sink_.break_word();
      case MarkupRole::kLine: return sink_.break_lines(1);
      case MarkupRole::kBlock: return sink_.break_lines(2);
      case MarkupRole::kHidden:
        if (!closing && !empty_element) skip_element(name);
        return sink_.break_word();
      case MarkupRole::kVerbatim:
        sink_.break_lines(2);
        if (!empty_element) verbatim_ = closing ? std::max(verbatim_ - 1, 0) : verbatim_ + 1;
        return;
      case MarkupRole::kTitle:
        sink_.break_lines(2);
        if (empty_element) return;
        if (closing && in_title_) title_done_ = true;
        in_title_ = !closing;
    }
  }

  // To the element's closing tag (or its end); elements of that name inside it are not expected.
  void skip_element(const std::string& name) {
    const std::string closing = "</" + name;
    for (size_t at = 0; (at = rest_.find("</", at)) != std::string_view::npos; at += 2) {
      std::string_view candidate = rest_.substr(at, closing.size());
      const bool same = candidate.size() == closing.size() &&
                        std::equal(candidate.begin(), candidate.end(), closing.begin(),
                                   [](char a, char b) { return a == b || (a >= 'A' && a <= 'Z' && a + ('a' - 'A') == b); });
      if (!same) continue;
      rest_.remove_prefix(at);
      rest_.remove_prefix(tag_end());
      return;
    }
    rest_ = {};
  }

  void skip_past(std::string_view stop, size_t from) {
    const size_t at = rest_.find(stop, from);
    rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at + stop.size());
  }

  void read_cdata() {
    constexpr size_t kOpening = 9;
    const size_t end = rest_.find("]]>", kOpening);
    std::string_view text = rest_.substr(kOpening, end == std::string_view::npos ? end : end - kOpening);
    sink_.add(text, verbatim_ > 0);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 3);
  }

  // <!DOCTYPE ... [ internal subset ]>
  void skip_declaration() {
    size_t end = rest_.find_first_of("[>");
    if (end != std::string_view::npos && rest_[end] == '[') {
      end = rest_.find("]", end);
      if (end != std::string_view::npos) end = rest_.find('>', end);
    }
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
  }

  std::string_view rest_;
  const bool html_;
  TextSink sink_, title_;
  int verbatim_ = 0;
  bool in_title_ = false, title_done_ = false;
};

}  // namespace

MarkupText text_of_html(std::string_view source) { return MarkupReader(source, true).read(); }
MarkupText text_of_xml(std::string_view source) { return MarkupReader(source, false).read(); }

}  // namespace quarry::extract
