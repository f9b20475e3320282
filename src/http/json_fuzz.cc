// Any bytes: decoding ends in a value or an error, and what was decoded survives encoding and decoding again.
#include <cstdint>
#include <cstdlib>

#include "http/json_decoder.h"
#include "http/json_encoder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quarry::http;
  auto value = decode_json({reinterpret_cast<const char*>(data), size}, 64);
  if (!value.ok()) return 0;
  std::string text;
  encode_json(*value, text);
  auto again = decode_json(text, 64);
  if (!again.ok() || *again != *value) std::abort();
  return 0;
}
