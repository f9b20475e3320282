// Extractor parameters against their JSON schema.
#pragma once

#include "base/result.h"

namespace quarry::extract {

// `given` with defaults filled in and nulls, which mean absent, left out. `schema`: {"properties": {name: {type, minimum, maximum,
// minLength, enum, default, items, properties, required}}}; other keywords are not looked at. 422 naming every bad parameter; an unknown
// one with the nearest known.
Result<json::object> check_parameters(const json::object& schema, const json::object& given);

// A 422 at one parameter.
Error bad_parameter(std::string_view name, std::string message);

}  // namespace quarry::extract
