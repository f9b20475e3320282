#include "http/json_decoder.h"

#include <fmt/format.h>

#include <cmath>

namespace quarry::http {
namespace {

constexpr size_t kOwnBlockBytes = 16 << 10;

// Small values live on the heap: handlers move their parts about and keep them.
json::storage_ptr storage_for(size_t text_bytes) {
  if (text_bytes < kOwnBlockBytes) return {};
  return json::make_shared_resource<json::monotonic_resource>(text_bytes);
}

bool all_finite(const json::value& value) {
  if (value.is_double()) return std::isfinite(value.get_double());
  if (value.is_array()) {
    for (const json::value& item : value.get_array())
      if (!all_finite(item)) return false;
  } else if (value.is_object()) {
    for (const auto& member : value.get_object())
      if (!all_finite(member.value())) return false;
  }
  return true;
}

Error decode_error(json::error_code ec, size_t offset, size_t max_depth) {
  if (ec == json::error::too_deep)
    return validation_error("json_too_deep", {"body", offset}, fmt::format("the JSON body is nested deeper than {} levels", max_depth));
  std::string_view what = ec == json::error::incomplete ? "it ends too early" : "";
  std::string reason = what.empty() ? ec.message() : std::string(what);
  return validation_error("json_invalid", {"body", offset}, fmt::format("the body is not JSON: {} at byte {}", reason, offset));
}

}  // namespace

Result<json::value> decode_json(std::string_view text, size_t max_depth) {
  json::parse_options options;
  options.max_depth = max_depth;
  try {
    unsigned char scratch[4096];
    json::stream_parser parser(storage_for(text.size()), options, scratch);
    json::error_code ec;
    size_t read = parser.write(text.data(), text.size(), ec);
    if (!ec) {
      parser.finish(ec);
      read = text.size();
    }
    if (ec) return decode_error(ec, read, max_depth);
    json::value value = parser.release();
    if (!all_finite(value)) return validation_error("finite_number", {"body"}, "the JSON body holds a number too large for a double");
    return value;
  } catch (const std::bad_alloc&) {
    return Error{ErrorKind::kUnavailable, "not enough memory for this body now"};
  } catch (const std::exception& e) {
    return validation_error("json_invalid", {"body"}, std::string("the body is not JSON: ") + e.what());
  }
}

}  // namespace quarry::http
