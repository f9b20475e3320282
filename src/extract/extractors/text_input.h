// What the text extractor reads: the text of one of an item's fields or blobs, with its pages.
#pragma once

#include "extract/extract.h"
#include "extract/text_chunker.h"

namespace quarry::extract {

struct TextInput {
  PagedText source;
  std::string title, author;  // as the document says; may be empty
  json::object diagnostics;
};

// With `property` the field or blob of that name (a dotted path for fields); without, the first blob that holds text or a PDF, else a field
// that is called like text, else the first string. Errors: kBadRequest (there is none, or it is not text), kExtraction (a damaged or empty
// file).
Result<TextInput> read_text_input(const SourceItem& item, const std::string& property, Decoder* decoder);

// Bytes as text: UTF-8, UTF-16 with a byte order mark, else Windows-1252. kExtraction for what is none of them.
Result<std::string> decode_text(std::string bytes, std::string_view what, std::string& encoding);

}  // namespace quarry::extract
