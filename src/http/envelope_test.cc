#include "http/envelope.h"

#include <gtest/gtest.h>

namespace quarry::http {
namespace {

TEST(Envelope, EveryKindHasItsStatusAndName) {
  const std::tuple<ErrorKind, int, const char*> rows[] = {
      {ErrorKind::kBadRequest, 400, "BadRequestError"},
      {ErrorKind::kUnauthorized, 401, "UnauthorizedError"},
      {ErrorKind::kForbidden, 403, "ForbiddenError"},
      {ErrorKind::kNotFound, 404, "NotFoundError"},
      {ErrorKind::kMethodNotAllowed, 405, "MethodNotAllowedError"},
      {ErrorKind::kAlreadyExists, 409, "AlreadyExistsError"},
      {ErrorKind::kConflict, 409, "ConflictError"},
      {ErrorKind::kPayloadTooLarge, 413, "PayloadTooLargeError"},
      {ErrorKind::kRequestTimeout, 408, "TimeoutError"},
      {ErrorKind::kRangeNotSatisfiable, 416, "BadRequestError"},
      {ErrorKind::kValidation, 422, "ValidationError"},
      {ErrorKind::kTooManyRequests, 429, "TooManyRequestsError"},
      {ErrorKind::kInternal, 500, "InternalServerError"},
      {ErrorKind::kNotImplemented, 501, "NotImplementedError"},
      {ErrorKind::kUnavailable, 503, "ServiceUnavailableError"},
      {ErrorKind::kInferenceUnavailable, 503, "InferenceServiceUnavailableError"},
      {ErrorKind::kExtraction, 422, "FeatureExtractionError"},
      {ErrorKind::kProcessing, 500, "ProcessingError"},
      {ErrorKind::kStorage, 503, "StorageError"},
      {ErrorKind::kTimeout, 504, "TimeoutError"},
      {ErrorKind::kCorruption, 500, "StorageError"},
      {ErrorKind::kCanceled, 503, "ProcessingError"},
  };
  for (auto& [kind, status, type] : rows) {
    EXPECT_EQ(shape_of(kind).status, status) << type;
    EXPECT_EQ(shape_of(kind).type, type);
    json::value envelope = json::parse(encode_error({kind, "message"}, "req_1"));
    EXPECT_EQ(envelope.at("status"), status);
    EXPECT_EQ(envelope.at("success"), false);
    EXPECT_EQ(envelope.at("error").at("type"), type);
    EXPECT_EQ(envelope.at("error").at("message"), "message");
    EXPECT_TRUE(envelope.at("error").at("details").is_object());
  }
}

TEST(Envelope, WaitingClientsAreToldWhetherToRepeat) {
  json::value missing = json::parse(encode_error({ErrorKind::kInferenceUnavailable, "no model"}, "r"));
  EXPECT_EQ(missing.at("error").at("details").at("retryable"), false);
  json::value loading = json::parse(encode_error({ErrorKind::kInferenceUnavailable, "loading", {{"retryable", true}}}, "r"));
  EXPECT_EQ(loading.at("error").at("details").at("retryable"), true);
  json::value busy = json::parse(encode_error({ErrorKind::kUnavailable, "busy"}, "r"));
  EXPECT_FALSE(busy.at("error").at("details").as_object().contains("retryable"));
  EXPECT_GT(shape_of(ErrorKind::kTooManyRequests).retry_after_seconds, 0);
}

TEST(Envelope, ServerFaultsNameTheRequest) {
  EXPECT_EQ(json::parse(encode_error({ErrorKind::kInternal, "x"}, "req_9")).at("error").at("details").at("request_id"), "req_9");
  EXPECT_FALSE(
      json::parse(encode_error({ErrorKind::kNotFound, "x"}, "req_9")).at("error").at("details").as_object().contains("request_id"));
}

}  // namespace
}  // namespace quarry::http
