// Identifiers: a prefix that names the kind, an underscore, and either random or derived characters.
#pragma once

#include <string>
#include <string_view>

namespace quarry {

// "bkt_" + 16 random characters of [a-z0-9] (about 83 bits).
std::string new_id(std::string_view prefix);
// 24 random hexadecimal characters: an organization's internal_id.
std::string new_internal_id();

// The id of the document that `collection_id` makes from `source_id` (an object or a document) at `position`: a repeated step writes the
// same ids. "doc_" + 26 characters of base32 over 128 bits of SHA-256.
std::string derive_document_id(std::string_view collection_id, std::string_view source_id, uint64_t position);

// True for names a path or identifier may bear: 1..max_length bytes of valid UTF-8 without control characters, '/' , '\\', or a leading
// '.'.
bool is_safe_name(std::string_view name, size_t max_length = 255);

}  // namespace quarry
