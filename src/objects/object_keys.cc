#include <fmt/format.h>
#include <unicode/utf8.h>

#include "objects/object_store.h"

namespace quarry::objects {
namespace {

constexpr size_t kMaxKeyLength = 1'024;
constexpr size_t kMaxSegmentLength = 255;
constexpr const char* kNotUtf8 = "is not UTF-8";

// What is wrong with the characters of `key`, or null.
const char* character_fault(std::string_view key) {
  const auto* s = reinterpret_cast<const uint8_t*>(key.data());
  for (int32_t i = 0, n = static_cast<int32_t>(key.size()); i < n;) {
    UChar32 c;
    U8_NEXT(s, i, n, c);
    if (c < 0) return kNotUtf8;
    if (c < 0x20 || c == 0x7f) return "has a control character";
    if (c == '\\') return "has a backslash";
  }
  return nullptr;
}

const char* segment_fault(std::string_view key) {
  for (size_t start = 0; start <= key.size();) {
    size_t end = std::min(key.find('/', start), key.size());
    std::string_view segment = key.substr(start, end - start);
    if (segment.empty()) return "has an empty segment";
    if (segment == "." || segment == "..") return "has a '.' or '..' segment";
    if (segment.size() > kMaxSegmentLength) return "has a segment of more than 255 bytes";
    start = end + 1;
  }
  return nullptr;
}

}  // namespace

Status validate_key(std::string_view key) {
  if (key.empty()) return bad_request("an object key is empty");
  if (key.size() > kMaxKeyLength)
    return bad_request(fmt::format("an object key has {} bytes; at most {} are allowed", key.size(), kMaxKeyLength));
  const char* fault = character_fault(key);
  if (fault == kNotUtf8) return bad_request("an object key is not UTF-8");  // and so not quoted
  if (fault == nullptr) fault = segment_fault(key);
  if (fault == nullptr) return Ok{};
  return bad_request(fmt::format("object key {} {}", json::serialize(json::string(clip(key, 100))), fault));
}

// For stores that find a page's beginning without reading what lies before it.
Status ObjectStore::walk(std::string_view prefix, const Visit& visit) {
  constexpr size_t kPage = 1'000;
  std::string after;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, list(prefix, after, kPage));
    for (const ObjectInfo& info : page) {
      QUARRY_ASSIGN_OR_RETURN(bool more, visit(info));
      if (!more) return Ok{};
    }
    if (page.size() < kPage) return Ok{};
    after = page.back().key;
  }
}

Status ObjectStore::remove_many(std::span<const std::string> keys) {
  for (const std::string& key : keys) QUARRY_RETURN_IF_ERROR(remove(key));
  return Ok{};
}

Status remove_prefix(ObjectStore& store, std::string_view prefix) {
  constexpr size_t kBatch = 1'000;
  if (prefix.empty()) return bad_request("removing every object of a store takes a prefix");
  std::vector<std::string> batch;
  QUARRY_RETURN_IF_ERROR(store.walk(prefix, [&](const ObjectInfo& info) -> Result<bool> {
    batch.push_back(info.key);
    if (batch.size() < kBatch) return true;
    QUARRY_RETURN_IF_ERROR(store.remove_many(batch));
    batch.clear();
    return true;
  }));
  return store.remove_many(batch);
}

}  // namespace quarry::objects
