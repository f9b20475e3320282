// What went wrong with one object or document, as work items, batches and the failed-documents listing show it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace quarry::pipeline {

struct Failure {
  std::string collection_id;  // empty: before any collection, such as reading the blobs
  Error error;
};

// "transient": trying again may help; "resource": it may, once memory, a model or a key is there; "permanent": it will not.
std::string_view failure_type(ErrorKind kind);

// {object_id, collection_id?, error_type, error, kind, timestamp}
json::object failure_record(std::string_view object_id, const Failure& failure, std::string_view timestamp);

}  // namespace quarry::pipeline
