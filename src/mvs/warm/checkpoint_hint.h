// The text of _last_checkpoint: {"version": v, "size": actions, "quarryCrc32c": "<c>-<s>"}, c the CRC-32C of the checkpoint's bytes, s that
// of the text "<c>:<v>", so that a hint which is damaged does not speak against a checkpoint. Other programs write none of the last.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quarry::mvs {

struct CheckpointHint {
  int64_t version = -1;         // -1: nothing
  std::optional<uint32_t> crc;  // of the checkpoint's bytes; only Quarry says so
  bool is_sound = true;         // false: not as it was written
};

std::string encode_checkpoint_hint(int64_t version, size_t actions, uint32_t crc);
CheckpointHint parse_checkpoint_hint(std::string_view text);

}  // namespace quarry::mvs
