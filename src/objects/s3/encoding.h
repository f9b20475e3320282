// How S3 wants text written.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quarry::objects::s3 {

using Pairs = std::vector<std::pair<std::string, std::string>>;  // names and values: of headers, of a query

// Everything but A-Z a-z 0-9 - _ . ~ as %XX. `keep_slash` leaves '/' as well: a key's path.
std::string uri_encode(std::string_view text, bool keep_slash = false);
// name=value&..., sorted by name, then value, as signing wants it.
std::string encode_query(const Pairs& query);
// The value of a Content-MD5 header; S3's batch delete asks for one. Empty where the machine's policy forbids MD5.
std::string content_md5(std::string_view bytes);
std::string xml_escape(std::string_view text);

}  // namespace quarry::objects::s3
