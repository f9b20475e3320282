// One block of one object as a file's bytes; docs/formats/object_cache.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quarry::objects {

struct BlockHeader {
  std::string_view key;
  uint64_t block = 0;
  uint64_t block_bytes = 0;
};

std::string encode_block(const BlockHeader& header, std::string_view payload);
// The payload; kCorruption if the bytes are torn, or are another block's than `expected`.
Result<std::string> decode_block(std::string_view bytes, const BlockHeader& expected);

}  // namespace quarry::objects
