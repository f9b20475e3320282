// Percent-encoding of URLs (RFC 3986).
#pragma once

#include <string>
#include <string_view>

namespace quarry::http {

// Appends the decoded `text` to `out`. False on a broken escape, a control character or bytes that are not UTF-8: no name may hold them.
// With `plus_is_space` a '+' means a space, as in query strings.
bool percent_decode(std::string_view text, bool plus_is_space, std::string& out);

}  // namespace quarry::http
