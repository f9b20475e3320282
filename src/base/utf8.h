// Whether bytes are text.
#pragma once

#include <string_view>

namespace quarry {

// RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF.
bool is_valid_utf8(std::string_view text);

}  // namespace quarry
