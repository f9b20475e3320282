#include "http/envelope.h"

#include "http/json_encoder.h"

namespace quarry::http {

const ErrorShape& shape_of(ErrorKind kind) {
  static constexpr ErrorShape kInternalShape{500, "InternalServerError", false, 0};
  switch (kind) {
    case ErrorKind::kBadRequest: static constexpr ErrorShape a{400, "BadRequestError", false, 0}; return a;
    case ErrorKind::kUnauthorized: static constexpr ErrorShape b{401, "UnauthorizedError", false, 0}; return b;
    case ErrorKind::kForbidden: static constexpr ErrorShape c{403, "ForbiddenError", false, 0}; return c;
    case ErrorKind::kNotFound: static constexpr ErrorShape d{404, "NotFoundError", false, 0}; return d;
    case ErrorKind::kMethodNotAllowed: static constexpr ErrorShape e{405, "MethodNotAllowedError", false, 0}; return e;
    case ErrorKind::kAlreadyExists: static constexpr ErrorShape f{409, "AlreadyExistsError", false, 0}; return f;
    case ErrorKind::kConflict: static constexpr ErrorShape g{409, "ConflictError", false, 0}; return g;
    case ErrorKind::kPayloadTooLarge: static constexpr ErrorShape h{413, "PayloadTooLargeError", false, 0}; return h;
    case ErrorKind::kValidation: static constexpr ErrorShape i{422, "ValidationError", false, 0}; return i;
    case ErrorKind::kTooManyRequests: static constexpr ErrorShape j{429, "TooManyRequestsError", false, 1}; return j;
    case ErrorKind::kInternal: return kInternalShape;
    case ErrorKind::kNotImplemented: static constexpr ErrorShape k{501, "NotImplementedError", false, 0}; return k;
    case ErrorKind::kUnavailable: static constexpr ErrorShape l{503, "ServiceUnavailableError", false, 1}; return l;
    case ErrorKind::kInferenceUnavailable: static constexpr ErrorShape m{503, "InferenceServiceUnavailableError", true, 0}; return m;
    case ErrorKind::kExtraction: static constexpr ErrorShape n{422, "FeatureExtractionError", false, 0}; return n;
    case ErrorKind::kProcessing: static constexpr ErrorShape o{500, "ProcessingError", false, 0}; return o;
    case ErrorKind::kStorage: static constexpr ErrorShape p{503, "StorageError", true, 0}; return p;
    case ErrorKind::kTimeout: static constexpr ErrorShape q{504, "TimeoutError", false, 0}; return q;
    case ErrorKind::kCorruption: static constexpr ErrorShape r{500, "StorageError", false, 0}; return r;
    case ErrorKind::kCanceled: static constexpr ErrorShape s{503, "ProcessingError", false, 0}; return s;
  }
  return kInternalShape;
}

std::string encode_error(const Error& error, std::string_view request_id) {
  const ErrorShape& shape = shape_of(error.kind);
  json::object details = error.details;
  if (shape.final && !details.contains("retryable")) details["retryable"] = false;
  if (shape.status >= 500) details["request_id"] = request_id;
  json::object envelope{{"success", false},
                        {"status", shape.status},
                        {"error", {{"type", shape.type}, {"message", error.message}, {"details", std::move(details)}}}};
  std::string out;
  encode_json(envelope, out);
  return out;
}

}  // namespace quarry::http
