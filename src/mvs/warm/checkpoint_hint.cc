#include "mvs/warm/checkpoint_hint.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "base/hash.h"
#include "base/result.h"

namespace quarry::mvs {
namespace {

constexpr std::string_view kHintCrc = "quarryCrc32c";

std::string hint_crc(uint32_t crc, int64_t version) {
  return fmt::format("{:08x}-{:08x}", crc, crc32c(fmt::format("{:08x}:{}", crc, version)));
}

std::optional<uint32_t> parse_hint_crc(std::string_view text, int64_t version) {
  uint32_t crc = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + std::min<size_t>(text.size(), 8), crc, 16);
  return ec == std::errc() && text == hint_crc(crc, version) ? std::optional(crc) : std::nullopt;
}

}  // namespace

std::string encode_checkpoint_hint(int64_t version, size_t actions, uint32_t crc) {
  return json::serialize(json::object{{"version", version}, {"size", actions}, {kHintCrc, hint_crc(crc, version)}});
}

CheckpointHint parse_checkpoint_hint(std::string_view text) {
  boost::system::error_code ec;
  const json::value value = json::parse(text, ec);
  const auto* version = !ec && value.is_object() ? value.get_object().if_contains("version") : nullptr;
  if (version == nullptr || !version->is_int64()) return {.is_sound = false};
  CheckpointHint out{.version = version->get_int64()};
  const auto* sums = value.get_object().if_contains(kHintCrc);
  if (sums == nullptr) return out;
  if (sums->is_string()) out.crc = parse_hint_crc(std::string_view(sums->get_string()), out.version);
  out.is_sound = out.crc.has_value();
  return out;
}

}  // namespace quarry::mvs
