// libFuzzer: every file has a type.
#include <cstdint>
#include <cstdlib>

#include "extract/extract.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string type = quarry::extract::detect_mime_type(bytes, bytes.substr(0, 20));
  if (type.find('/') == std::string::npos) std::abort();
  quarry::extract::field_type_of_mime(type);
  return 0;
}
