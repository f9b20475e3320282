// Digests: SHA-256 for content and keys, a fast 64-bit hash for tables, CRC32C for blocks.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace quarry {

using Sha256 = std::array<uint8_t, 32>;

Sha256 sha256(std::string_view bytes);
std::string sha256_hex(std::string_view bytes);
std::string hex(std::span<const uint8_t> bytes);
Sha256 hmac_sha256(std::string_view key, std::string_view message);
std::string hmac_sha256_hex(std::string_view key, std::string_view message);
// Compares in constant time.
bool equal_secrets(std::string_view a, std::string_view b);

// 64-bit hash, stable across machines and releases: stored on disk. (wyhash-style mixing of 8-byte words.)
uint64_t hash64(std::string_view bytes, uint64_t seed = 0);

// CRC-32C (Castagnoli), as stored beside blocks.
uint32_t crc32c(std::string_view bytes, uint32_t seed = 0);

// Standard base64 with padding.
std::string base64_encode(std::string_view bytes);
// False if `text` is not base64 (white space is skipped; missing padding is accepted).
bool base64_decode(std::string_view text, std::string& out);

}  // namespace quarry
