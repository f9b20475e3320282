// Values to JSON text.
#pragma once

#include <string>

#include "base/result.h"

namespace quarry::http {

// Appends `value` as compact UTF-8 JSON. Doubles take the fewest digits that read back to the same bits and always look like one
// ("1.0"); infinities and NaN, which JSON cannot say, become null.
void encode_json(const json::value& value, std::string& out);
void encode_json_string(std::string_view text, std::string& out);
// The same for an object whose member `name` goes out a second time, under the name `alias`: encoded once, and never copied as a value.
void encode_json_with_alias(const json::object& object, std::string_view name, std::string_view alias, std::string& out);

}  // namespace quarry::http
