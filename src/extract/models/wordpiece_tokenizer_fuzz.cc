// libFuzzer: any bytes tokenize to ids of the vocabulary, and reading in parts ends where reading at once does.
#include <cstdint>
#include <cstdlib>

#include "extract/models/wordpiece_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using quarry::extract::WordPieceTokenizer;
  static const auto tokenizer =
      WordPieceTokenizer::from_vocabulary("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nb\n##b\nab\n##ab\n!\n中\né\n##\n#\nthe\n##ing\n")
          .value();
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<int64_t> whole, part;
  if (!tokenizer->encode(text, SIZE_MAX, whole)) std::abort();
  for (int64_t id : whole)
    if (id < 0 || id >= static_cast<int64_t>(tokenizer->size())) std::abort();
  tokenizer->encode(text, 8, part);
  if (part.size() > whole.size() || !std::equal(part.begin(), part.end(), whole.begin())) std::abort();
  return 0;
}
