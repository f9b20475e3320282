// A file name for what a URL gave.
#pragma once

#include <string>
#include <string_view>

namespace quarry::objects {

// From a Content-Disposition header (RFC 6266; filename* wins), else the last segment of the URL's path. Folders, control characters and
// leading dots are taken off; at most 255 bytes of valid UTF-8; empty if nothing is left.
std::string fetched_name(std::string_view content_disposition, std::string_view url_path);

}  // namespace quarry::objects
