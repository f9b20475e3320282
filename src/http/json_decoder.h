// JSON text from outside to values.
#pragma once

#include <string_view>

#include "base/result.h"

namespace quarry::http {

// RFC 8259: UTF-8 only, no comments, no NaN or infinity (a number too large for a double is refused), the last of twin keys wins.
// Errors: 422 with validation_errors [{type: "json_invalid" or "json_too_deep", location: ["body", byte offset], message}].
// A text of more than a few kilobytes is kept in one block that lives as long as any part of the value.
Result<json::value> decode_json(std::string_view text, size_t max_depth);

}  // namespace quarry::http
