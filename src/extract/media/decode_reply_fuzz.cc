// libFuzzer: a decoder that a hostile file took over can say what it likes. The input is header, a zero byte, body.
#include <cstdint>
#include <cstdlib>

#include "extract/media/decode_reply.h"
#include "extract/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quarry::extract;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t split = std::min(input.find('\0'), input.size());
  auto text = parse_pdf_reply(input.substr(0, split), input.substr(std::min(split + 1, input.size())));
  if (!text.ok()) return 0;
  for (const PdfPage& page : text->pages)
    if (!quarry::is_valid_utf8(page.text)) std::abort();
  return 0;
}
