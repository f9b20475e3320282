// file   := magic[8] = "QRYBLK1\n", crc:u32le, key_size:u32le, payload_size:u64le, block:u64le, block_bytes:u64le, key[], payload[]
// crc    := CRC-32C of everything after it
#include "objects/cache/block_file.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/hash.h"

namespace quarry::objects {
namespace {

constexpr std::string_view kMagic = "QRYBLK1\n";
constexpr size_t kCrcAt = 8, kBodyAt = 12, kKeyAt = 40;

}  // namespace

std::string encode_block(const BlockHeader& header, std::string_view payload) {
  std::string body;
  body.reserve(kKeyAt - kBodyAt + header.key.size() + payload.size());
  append_little(body, uint32_t(header.key.size()));
  append_little(body, uint64_t(payload.size()));
  append_little(body, header.block);
  append_little(body, header.block_bytes);
  body.append(header.key).append(payload);
  std::string out(kMagic);
  append_little(out, crc32c(body));
  return out += body;
}

Result<std::string> decode_block(std::string_view bytes, const BlockHeader& expected) {
  if (bytes.size() < kKeyAt || !bytes.starts_with(kMagic)) return corruption("no header at offset 0");
  if (crc32c(bytes.substr(kBodyAt)) != read_little<uint32_t>(bytes, kCrcAt))
    return corruption(fmt::format("the checksum at offset {} differs", kCrcAt));
  const uint64_t key_size = read_little<uint32_t>(bytes, kBodyAt), payload_size = read_little<uint64_t>(bytes, 16);
  if (key_size > bytes.size() - kKeyAt || payload_size != bytes.size() - kKeyAt - key_size) return corruption("sizes at offset 12 differ");
  const bool is_it = bytes.substr(kKeyAt, key_size) == expected.key && read_little<uint64_t>(bytes, 24) == expected.block &&
                     read_little<uint64_t>(bytes, 32) == expected.block_bytes && payload_size <= expected.block_bytes;
  if (!is_it) return corruption("another block's file");
  return std::string(bytes.substr(kKeyAt + key_size));
}

}  // namespace quarry::objects
