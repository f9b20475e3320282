#include "http/envelope.h"

#include "http/json_encoder.h"

namespace quarry::http {
namespace {

struct Row {
  ErrorKind kind;
  ErrorShape shape;
};

constexpr Row kRows[] = {
    {ErrorKind::kBadRequest, {400, "BadRequestError", false, 0}},
    {ErrorKind::kUnauthorized, {401, "UnauthorizedError", false, 0}},
    {ErrorKind::kForbidden, {403, "ForbiddenError", false, 0}},
    {ErrorKind::kNotFound, {404, "NotFoundError", false, 0}},
    {ErrorKind::kMethodNotAllowed, {405, "MethodNotAllowedError", false, 0}},
    {ErrorKind::kAlreadyExists, {409, "AlreadyExistsError", false, 0}},
    {ErrorKind::kConflict, {409, "ConflictError", false, 0}},
    {ErrorKind::kRequestTimeout, {408, "TimeoutError", false, 0}},
    {ErrorKind::kPayloadTooLarge, {413, "PayloadTooLargeError", false, 0}},
    {ErrorKind::kRangeNotSatisfiable, {416, "BadRequestError", false, 0}},
    {ErrorKind::kValidation, {422, "ValidationError", false, 0}},
    {ErrorKind::kExtraction, {422, "FeatureExtractionError", false, 0}},
    {ErrorKind::kTooManyRequests, {429, "TooManyRequestsError", false, 1}},
    {ErrorKind::kInternal, {500, "InternalServerError", false, 0}},
    {ErrorKind::kProcessing, {500, "ProcessingError", false, 0}},
    {ErrorKind::kCorruption, {500, "StorageError", false, 0}},
    {ErrorKind::kNotImplemented, {501, "NotImplementedError", false, 0}},
    {ErrorKind::kUnavailable, {503, "ServiceUnavailableError", false, 1}},
    {ErrorKind::kInferenceUnavailable, {503, "InferenceServiceUnavailableError", true, 0}},
    {ErrorKind::kStorage, {503, "StorageError", true, 0}},
    {ErrorKind::kCanceled, {503, "ProcessingError", true, 0}},
    {ErrorKind::kTimeout, {504, "TimeoutError", false, 0}},
};

}  // namespace

const ErrorShape& shape_of(ErrorKind kind) {
  static constexpr ErrorShape unknown{500, "InternalServerError", false, 0};
  for (const Row& row : kRows)
    if (row.kind == kind) return row.shape;
  return unknown;
}

std::string encode_error(const Error& error, std::string_view request_id) {
  const ErrorShape& shape = shape_of(error.kind);
  json::object details = error.details;
  if (shape.final && !details.contains("retryable")) details["retryable"] = false;
  if (shape.status >= 500) details["request_id"] = request_id;
  json::object body{{"type", shape.type}, {"message", error.message}, {"details", std::move(details)}};
  std::string out;
  encode_json(json::object{{"success", false}, {"status", shape.status}, {"error", std::move(body)}}, out);
  return out;
}

}  // namespace quarry::http
