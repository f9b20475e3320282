// libFuzzer: what TextIndex::open accepts can be read to the end; what it does not accept harms nothing. The checksums are put right first,
// or no input would get past them.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/hash.h"
#include "mvs/text/index_layout.h"
#include "mvs/text/text_index.h"

namespace {

using namespace quarry::mvs;

void mend_checksums(std::string& bytes) {
  using namespace text_layout;
  if (bytes.size() < kHeaderBytes) return;
  uint64_t offset = 0;
  std::memcpy(&offset, bytes.data() + kSectionsAt + 5 * 16, sizeof offset);
  const auto put = [&](size_t at, uint32_t value) {
    if (at <= bytes.size() && bytes.size() - at >= sizeof value) std::memcpy(bytes.data() + at, &value, sizeof value);
  };
  put(kHeaderCrcAt, quarry::crc32c(std::string_view(bytes).substr(0, kHeaderCrcAt)));
  if (offset > bytes.size()) return;
  const size_t pages = (offset + kPageBytes - 1) / kPageBytes;
  for (size_t p = 0; p < pages; ++p)
    put(offset + p * 4,
        quarry::crc32c(std::string_view(bytes).substr(p * kPageBytes, std::min<size_t>(kPageBytes, offset - p * kPageBytes))));
  if (bytes.size() - offset >= pages * 4) put(offset + pages * 4, quarry::crc32c(std::string_view(bytes).substr(offset, pages * 4)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  mend_checksums(bytes);
  const auto index = TextIndex::open(std::move(bytes), "fuzz");
  if (!index.ok()) return 0;
  uint64_t words = 0;
  (*index)->for_each_with_prefix("", [&](std::string_view term, const TextTerm& found) {
    Postings postings;
    found.postings.decode_all(postings, true);
    words += postings.positions.size();
    const auto again = (*index)->find(term);
    if (!again || again->ordinal != found.ordinal) std::abort();
    return true;
  });
  if (words != (*index)->total_length()) std::abort();
  return 0;
}
