// An object as its catalog body keeps it (kind "object", parent = its bucket), written by the service, read here:
//
//   body    = { object_id, bucket_id, key_prefix?, status, error?, blobs: [blob], edges?, _internal: {...}, and the user's fields beside them }
//   blob    = { blob_id, property, type, key_prefix?, properties: {..}, details: {filename?, size_bytes?, mime_type?, hash?}, and one of
//               value: <JSON of a plain type or a short text>
//               storage: { key }                    bytes on the object store
//               storage: { url, mirror, key? } }    read from the URL when first processed; kept under `key` from then on if `mirror`
//
// `_internal` never leaves the server: { content_hash, content_at (microseconds), idempotency_key?, unique_key? }.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/schema.h"

namespace quarry::pipeline {

inline constexpr std::string_view kInternalMember = "_internal";
inline constexpr uint64_t kMaxInlineTextBytes = 64 << 10;  // a longer text is kept on the object store

struct ObjectBlob {
  std::string blob_id, property;
  FieldType type = FieldType::kString;
  std::string filename, mime_type;
  std::optional<uint64_t> size_bytes;
  json::object properties;
  json::value value;  // null: the bytes are in storage
  std::string key, url;
  bool mirror = true;
  bool has_value = false;
};

// kInternal naming the object when a blob is not one.
Result<std::vector<ObjectBlob>> parse_blobs(const json::object& object_body);

// True for members that are the object's own, not the user's: "object_id", "blobs", "status", ...
bool is_object_member(std::string_view name);

// When the content last changed, apart from status changes.
TimestampUs content_changed_at(const json::object& object_body);

}  // namespace quarry::pipeline
