// Files of this folder as the program carries them. The bytes live as long as the process.
#pragma once

#include <string_view>

namespace quarry::api {

std::string_view openapi_json();
std::string_view docs_html();

}  // namespace quarry::api
