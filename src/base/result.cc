#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace quarry {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kBadRequest: return "bad_request";
    case ErrorKind::kUnauthorized: return "unauthorized";
    case ErrorKind::kForbidden: return "forbidden";
    case ErrorKind::kNotFound: return "not_found";
    case ErrorKind::kMethodNotAllowed: return "method_not_allowed";
    case ErrorKind::kAlreadyExists: return "already_exists";
    case ErrorKind::kConflict: return "conflict";
    case ErrorKind::kPayloadTooLarge: return "payload_too_large";
    case ErrorKind::kValidation: return "validation";
    case ErrorKind::kTooManyRequests: return "too_many_requests";
    case ErrorKind::kInternal: return "internal";
    case ErrorKind::kNotImplemented: return "not_implemented";
    case ErrorKind::kUnavailable: return "unavailable";
    case ErrorKind::kInferenceUnavailable: return "inference_unavailable";
    case ErrorKind::kExtraction: return "extraction";
    case ErrorKind::kProcessing: return "processing";
    case ErrorKind::kStorage: return "storage";
    case ErrorKind::kTimeout: return "timeout";
    case ErrorKind::kCorruption: return "corruption";
    case ErrorKind::kCanceled: return "canceled";
    case ErrorKind::kRequestTimeout: return "request_timeout";
    case ErrorKind::kRangeNotSatisfiable: return "range_not_satisfiable";
  }
  return "unknown";
}

Error Error::with_context(std::string_view context) && {
  message.insert(0, std::string(context) + ": ");
  return std::move(*this);
}

std::string_view clip(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80) --limit;  // a continuation byte of UTF-8
  return text.substr(0, limit);
}

Error validation_error(std::string type, json::array location, std::string message) {
  json::object item{{"type", std::move(type)}, {"location", std::move(location)}, {"message", message}};
  return {ErrorKind::kValidation, std::move(message), json::object{{"validation_errors", json::array{std::move(item)}}}};
}

namespace internal {

void abort_on_error_access(const Error& error) {
  std::fprintf(stderr, "value of a failed Result was read: %s\n", error.message.c_str());
  std::abort();
}

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace internal
}  // namespace quarry
