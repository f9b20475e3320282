// The readable text of HTML and XML: tags, scripts and comments gone, entities decoded, block elements on lines of their own.
#pragma once

#include <string>
#include <string_view>

namespace quarry::extract {

struct MarkupText {
  std::string text;
  std::string title;  // of the first <title> (HTML: in the head); empty if there is none
};

// `source` is valid UTF-8 and need not be well formed: what is no tag is text. One pass, no recursion, output no longer than about the
// input.
MarkupText text_of_html(std::string_view source);
// DocBook, Mallard and the like: their paragraph and section elements break lines; listings keep theirs. Elements that are not known stand
// in line.
MarkupText text_of_xml(std::string_view source);

// "&amp;", "&#233;", "&#xE9;", "&eacute;": decoded in place of the reference; what is none stays.
std::string decode_entities(std::string_view text);

}  // namespace quarry::extract
