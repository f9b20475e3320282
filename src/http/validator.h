// Checks a JSON value against a compiled schema and brings it into the one form that handlers see.
#pragma once

#include <string_view>

#include "http/schema.h"

namespace quarry::http {

inline constexpr size_t kMaxReportedErrors = 20;

// On success `value` is normalised: aliases are renamed to their property, nulls of optional members (unless any value is allowed there)
// are dropped, integers become int64, numbers double. On failure it is unchanged, and the error is a 422 whose details.validation_errors
// holds up to kMaxReportedErrors of {type, location, message}; `location` begins with `root` ("body", "query"). Thread-safe. Depth is
// bounded by the decoder's limit; work by a step budget, so that alternatives cannot multiply without end.
Status validate_value(const Schema& schema, json::value& value, std::string_view root);

// The 422 made of `errors`, each as above. Its message tells the first.
Error make_validation_error(json::array errors, size_t not_shown = 0);

}  // namespace quarry::http
