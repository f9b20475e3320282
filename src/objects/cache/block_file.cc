// file   := magic[8] = "QRYBLK1\n", crc:u32le, key_size:u32le, payload_size:u64le, block:u64le, block_bytes:u64le, key[], payload[]
// crc    := CRC-32C of everything after it
#include "objects/cache/block_file.h"

#include <fmt/format.h>

#include "base/hash.h"

namespace quarry::objects {
namespace {

constexpr std::string_view kMagic = "QRYBLK1\n";
constexpr size_t kCrcAt = 8, kBodyAt = 12, kKeyAt = 40;

void put_number(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t number_at(std::string_view bytes, size_t at, int size) {
  uint64_t out = 0;
  for (int i = size - 1; i >= 0; --i) out = out << 8 | static_cast<unsigned char>(bytes[at + static_cast<size_t>(i)]);
  return out;
}

}  // namespace

std::string encode_block(const BlockHeader& header, std::string_view payload) {
  std::string body;
  body.reserve(kKeyAt - kBodyAt + header.key.size() + payload.size());
  put_number(body, header.key.size(), 4);
  put_number(body, payload.size(), 8);
  put_number(body, header.block, 8);
  put_number(body, header.block_bytes, 8);
  body.append(header.key).append(payload);
  std::string out(kMagic);
  put_number(out, crc32c(body), 4);
  return out += body;
}

Result<std::string> decode_block(std::string_view bytes, const BlockHeader& expected) {
  if (bytes.size() < kKeyAt || !bytes.starts_with(kMagic)) return corruption("no header at offset 0");
  if (crc32c(bytes.substr(kBodyAt)) != number_at(bytes, kCrcAt, 4))
    return corruption(fmt::format("the checksum at offset {} differs", kCrcAt));
  const uint64_t key_size = number_at(bytes, kBodyAt, 4), payload_size = number_at(bytes, 16, 8);
  if (key_size > bytes.size() - kKeyAt || payload_size != bytes.size() - kKeyAt - key_size) return corruption("sizes at offset 12 differ");
  const bool is_it = bytes.substr(kKeyAt, key_size) == expected.key && number_at(bytes, 24, 8) == expected.block &&
                     number_at(bytes, 32, 8) == expected.block_bytes && payload_size <= expected.block_bytes;
  if (!is_it) return corruption("another block's file");
  return std::string(bytes.substr(kKeyAt + key_size));
}

}  // namespace quarry::objects
