#include "pipeline/snapshots/renaming.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "pipeline/pipeline.h"

namespace quarry::pipeline {
namespace {

// new_id(): a prefix, an underscore, 16 characters of [a-z0-9].
constexpr size_t kPrefixSize = 4, kRandomSize = 16, kIdSize = kPrefixSize + kRandomSize;
constexpr std::array<std::string_view, 5> kPrefixes{"bkt_", "col_", "ret_", "evt_", "obj_"};

bool is_id_character(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_word_character(char c) { return is_id_character(c) || (c >= 'A' && c <= 'Z') || c == '_'; }

bool is_id_at(std::string_view text, size_t at) {
  if (text.size() - at < kIdSize || (at > 0 && is_word_character(text[at - 1]))) return false;
  const std::string_view prefix = text.substr(at, kPrefixSize), rest = text.substr(at + kPrefixSize, kRandomSize);
  return std::find(kPrefixes.begin(), kPrefixes.end(), prefix) != kPrefixes.end() &&
         std::all_of(rest.begin(), rest.end(), is_id_character) && (at + kIdSize == text.size() || !is_word_character(text[at + kIdSize]));
}

}  // namespace

std::string Renaming::id(std::string_view old) const {
  if (!old.starts_with("obj_") && !known_.contains(old)) return std::string(old);
  return fmt::format("{}{}", old.substr(0, kPrefixSize), sha256_hex(fmt::format("{}\n{}", seed_, old)).substr(0, kRandomSize));
}

std::string Renaming::text(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    if (!is_id_at(text, at)) {
      out += text[at++];
      continue;
    }
    out += id(text.substr(at, kIdSize));
    at += kIdSize;
  }
  return out;
}

std::string Renaming::key(std::string_view key) const {
  if (!key.starts_with(from_prefix_)) return std::string(key);
  return to_prefix_ + text(key.substr(from_prefix_.size()));
}

void Renaming::apply(json::value& value) const {
  if (value.is_string()) {
    value = json::string(text(value.get_string()));
  } else if (value.is_array()) {
    for (json::value& entry : value.get_array()) apply(entry);
  } else if (value.is_object()) {
    for (auto& member : value.get_object()) apply(member.value());
  }
}

void Renaming::apply_to_object(json::object& body) const {
  for (std::string_view name : {"object_id", "bucket_id", "edges", "_internal"})
    if (json::value* value = body.if_contains(name)) apply(*value);
  json::value* blobs = body.if_contains("blobs");
  if (blobs == nullptr || !blobs->is_array()) return;
  for (json::value& blob : blobs->get_array()) {
    json::value* storage = blob.is_object() ? blob.get_object().if_contains("storage") : nullptr;
    json::value* stored = storage != nullptr && storage->is_object() ? storage->get_object().if_contains("key") : nullptr;
    if (stored != nullptr && stored->is_string()) *stored = json::string(key(stored->get_string()));
  }
}

void Renaming::apply(catalog::Resource& resource) const {
  resource.id = text(resource.id);
  resource.parent_id = text(resource.parent_id);
  if (resource.kind == catalog::kind::kObject) return apply_to_object(resource.body);
  for (auto& member : resource.body) apply(member.value());
}

}  // namespace quarry::pipeline
