// Errors as the wire shows them: {success: false, status, error: {type, message, details}}. The one place that knows status codes.
#pragma once

#include <string>

#include "base/result.h"

namespace quarry::http {

struct ErrorShape {
  int status;
  std::string_view type;    // the contract's name
  bool final;               // details.retryable is false unless the error says otherwise: clients that wait and repeat should not
  int retry_after_seconds;  // 0: no Retry-After header
};

const ErrorShape& shape_of(ErrorKind kind);

// The envelope as JSON text; its `status` equals the HTTP status.
std::string encode_error(const Error& error, std::string_view request_id);

}  // namespace quarry::http
