// Replies of quarry-decode, which a hostile file may have taken over: nothing in them is believed unchecked.
#pragma once

#include <string_view>

#include "extract/extract.h"

namespace quarry::extract {

// kExtraction: the child's own message, or a reply that is not as decode_protocol.h has it.
Result<PdfText> parse_pdf_reply(std::string_view header, std::string_view body);

}  // namespace quarry::extract
