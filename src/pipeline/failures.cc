#include "pipeline/failures.h"

namespace quarry::pipeline {

std::string_view failure_type(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kStorage:
    case ErrorKind::kTimeout:
    case ErrorKind::kUnavailable:
    case ErrorKind::kConflict:
    case ErrorKind::kCanceled: return "transient";
    case ErrorKind::kInferenceUnavailable:
    case ErrorKind::kTooManyRequests: return "resource";
    default: return "permanent";
  }
}

json::object failure_record(std::string_view object_id, const Failure& failure, std::string_view timestamp) {
  json::object record{{"object_id", object_id}};
  if (!failure.collection_id.empty()) record["collection_id"] = failure.collection_id;
  record["error_type"] = failure_type(failure.error.kind);
  record["error"] = failure.error.message;
  record["message"] = failure.error.message;
  record["kind"] = to_string(failure.error.kind);
  record["timestamp"] = timestamp;
  return record;
}

}  // namespace quarry::pipeline
