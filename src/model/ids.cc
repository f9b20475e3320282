#include "model/ids.h"

#include <sodium.h>
#include <unicode/utf8.h>

#include "base/hash.h"
#include "base/rng.h"

namespace quarry {

std::string new_id(std::string_view prefix) { return std::string(prefix) + "_" + secure_token(16); }

std::string new_internal_id() {
  uint8_t bytes[12];
  fill_secure_random(bytes);
  return hex(bytes);
}

std::string derive_document_id(std::string_view collection_id, std::string_view source_id, uint64_t position) {
  static constexpr char kBase32[] = "abcdefghijklmnopqrstuvwxyz234567";
  std::string key;
  key.append(collection_id).push_back('\0');
  key.append(source_id).push_back('\0');
  key.append(std::to_string(position));
  Sha256 digest = sha256(key);
  std::string id = "doc_";
  uint32_t buffer = 0;
  int bits = 0;
  for (size_t i = 0; i < 16; ++i) {
    buffer = (buffer << 8) | digest[i];
    for (bits += 8; bits >= 5; bits -= 5) id.push_back(kBase32[(buffer >> (bits - 5)) & 31]);
  }
  id.push_back(kBase32[(buffer << (5 - bits)) & 31]);
  return id;
}

bool is_safe_name(std::string_view name, size_t max_length) {
  if (name.empty() || name.size() > max_length || name.front() == '.') return false;
  const auto* s = reinterpret_cast<const uint8_t*>(name.data());
  for (int32_t i = 0, n = static_cast<int32_t>(name.size()); i < n;) {
    UChar32 c;
    U8_NEXT(s, i, n, c);
    if (c < 0x20 || c == 0x7f || c == '/' || c == '\\') return false;  // c < 0: not UTF-8
  }
  return true;
}

}  // namespace quarry
