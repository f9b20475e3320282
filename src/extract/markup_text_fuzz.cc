// libFuzzer: any markup gives valid text.
#include <cstdint>
#include <cstdlib>

#include "extract/markup_text.h"
#include "extract/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quarry::extract;
  const std::string source = to_valid_utf8(std::string(reinterpret_cast<const char*>(data), size));
  for (const MarkupText& read : {text_of_html(source), text_of_xml(source)})
    if (!quarry::is_valid_utf8(read.text) || !quarry::is_valid_utf8(read.title)) std::abort();
  return 0;
}
