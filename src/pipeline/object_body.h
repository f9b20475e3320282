// Reading an object's catalog body; its form is in pipeline.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/schema.h"

namespace quarry::pipeline {

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

// A member's text; empty when it is absent or something else.
std::string text_member(const json::object& object, std::string_view name);

// kInternal naming the object when a blob is not one.
Result<std::vector<ObjectBlob>> parse_blobs(const json::object& object_body);

// When the content last changed, apart from status changes.
TimestampUs content_changed_at(const json::object& object_body);

// Left out of processing by a soft delete.
bool is_disabled(const json::object& object_body);

}  // namespace quarry::pipeline
