#include "base/hash.h"

#include <sodium.h>

#include <cstring>

namespace quarry {
namespace {

constexpr uint64_t kMix0 = 0xa0761d6478bd642fULL;
constexpr uint64_t kMix1 = 0xe7037ed1a0b428dbULL;

uint64_t multiply_fold(uint64_t a, uint64_t b) {
  __extension__ using U128 = unsigned __int128;
  U128 product = U128(a) * b;
  return uint64_t(product) ^ uint64_t(product >> 64);
}

uint64_t load_up_to_8(const char* p, size_t n) {
  uint64_t v = 0;
  std::memcpy(&v, p, n);  // little-endian machines only, as everywhere in the storage formats
  return v;
}

struct CrcTable {
  uint32_t entry[8][256];
};

constexpr CrcTable make_crc_table() {
  CrcTable t{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c >> 1) ^ ((c & 1) ? 0x82f63b78u : 0);
    t.entry[0][i] = c;
  }
  for (uint32_t i = 0; i < 256; ++i)
    for (int s = 1; s < 8; ++s) t.entry[s][i] = (t.entry[s - 1][i] >> 8) ^ t.entry[0][t.entry[s - 1][i] & 0xff];
  return t;
}

constexpr CrcTable kCrc = make_crc_table();

uint32_t crc32c_tables(const char* p, size_t n, uint32_t crc) {
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t v = load_up_to_8(p, 8) ^ crc;
    crc = 0;
    for (int s = 0; s < 8; ++s) crc ^= kCrc.entry[7 - s][(v >> (8 * s)) & 0xff];
  }
  for (; n > 0; ++p, --n) crc = (crc >> 8) ^ kCrc.entry[0][(crc ^ uint8_t(*p)) & 0xff];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(const char* p, size_t n, uint32_t crc) {
  uint64_t c = crc;
  for (; n >= 8; p += 8, n -= 8) c = __builtin_ia32_crc32di(c, load_up_to_8(p, 8));
  auto c32 = uint32_t(c);
  for (; n > 0; ++p, --n) c32 = __builtin_ia32_crc32qi(c32, uint8_t(*p));
  return c32;
}
#endif

}  // namespace

Sha256 sha256(std::string_view bytes) {
  Sha256 out;
  crypto_hash_sha256(out.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return out;
}

std::string hex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (uint8_t b : bytes) {
    out.push_back(kDigits[b >> 4]);
    out.push_back(kDigits[b & 15]);
  }
  return out;
}

std::string sha256_hex(std::string_view bytes) { return hex(sha256(bytes)); }

Sha256 hmac_sha256(std::string_view key, std::string_view message) {
  Sha256 digest{};
  static_assert(crypto_auth_hmacsha256_BYTES == sizeof digest);
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, reinterpret_cast<const uint8_t*>(key.data()), key.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const uint8_t*>(message.data()), message.size());
  crypto_auth_hmacsha256_final(&state, digest.data());
  return digest;
}

std::string hmac_sha256_hex(std::string_view key, std::string_view message) { return hex(hmac_sha256(key, message)); }

bool equal_secrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

uint64_t hash64(std::string_view bytes, uint64_t seed) {
  uint64_t h = seed ^ kMix0;
  const char* p = bytes.data();
  size_t n = bytes.size();
  for (; n >= 8; p += 8, n -= 8) h = multiply_fold(h ^ load_up_to_8(p, 8), kMix1);
  if (n > 0) h = multiply_fold(h ^ load_up_to_8(p, n), kMix1);
  return multiply_fold(h ^ bytes.size(), kMix0 ^ kMix1);
}

uint32_t crc32c(std::string_view bytes, uint32_t seed) {
  uint32_t crc = ~seed;
#if defined(__x86_64__)
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2");
  if (has_sse42) return ~crc32c_sse42(bytes.data(), bytes.size(), crc);
#endif
  return ~crc32c_tables(bytes.data(), bytes.size(), crc);
}

std::string base64_encode(std::string_view bytes) {
  constexpr int kVariant = sodium_base64_VARIANT_ORIGINAL;
  std::string out(sodium_base64_encoded_len(bytes.size(), kVariant), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), kVariant);
  out.pop_back();  // the terminating zero
  return out;
}

bool base64_decode(std::string_view text, std::string& out) {
  auto is_filler = [](char c) { return c == '=' || c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_filler(text.back())) text.remove_suffix(1);
  out.resize(text.size() / 4 * 3 + 3);
  size_t written = 0;
  const char* end = nullptr;
  int rc = sodium_base642bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), text.data(), text.size(), " \t\r\n", &written, &end,
                             sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
  out.resize(written);
  return rc == 0 && end == text.data() + text.size();
}

}  // namespace quarry
