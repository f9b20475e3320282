// libFuzzer: chunks cover a text without gaps, whatever the text and the options. The first three bytes choose the options.
#include <cstdint>
#include <cstdlib>

#include "extract/text_chunker.h"
#include "extract/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quarry::extract;
  if (size < 3) return 0;
  ChunkOptions options;
  options.split_by = static_cast<SplitBy>(data[0] % 7);
  options.size = 1 + data[1] % 32;
  options.overlap = data[2] % options.size;
  PagedText source{to_valid_utf8(std::string(reinterpret_cast<const char*>(data) + 3, size - 3)), {}};
  source.pages = form_feed_pages(source.text);
  auto chunks = chunk_text(source, options);
  if (!chunks.ok()) return 0;
  size_t covered = 0;
  for (const Chunk& chunk : *chunks) {
    if (chunk.begin > covered || chunk.end <= covered ||
        !is_valid_utf8(std::string_view(source.text).substr(chunk.begin, chunk.end - chunk.begin)))
      std::abort();
    covered = chunk.end;
  }
  if (covered != source.text.size()) std::abort();
  return 0;
}
