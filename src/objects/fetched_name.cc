#include "objects/fetched_name.h"

#include <algorithm>

#include "base/ascii.h"
#include "model/ids.h"

namespace quarry::objects {
namespace {

constexpr size_t kMaxNameBytes = 255;

std::string sanitised(std::string name) {
  if (size_t folder = name.find_last_of("/\\"); folder != std::string::npos) name.erase(0, folder + 1);
  std::erase_if(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  name.erase(0, std::min(name.find_first_not_of(". "), name.size()));
  if (name.size() > kMaxNameBytes) {
    size_t end = kMaxNameBytes;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
    name.resize(end);
  }
  return is_safe_name(name, kMaxNameBytes) ? name : std::string();
}

// The value of a parameter: a quoted string (backslashes undone) or a token.
std::string parameter(std::string_view header, std::string_view name) {
  const std::string folded = ascii_lower(header);
  for (size_t at = folded.find(name); at != std::string::npos; at = folded.find(name, at + 1)) {
    const bool begins = at > 0 && (folded[at - 1] == ';' || folded[at - 1] == ' ' || folded[at - 1] == '\t');
    std::string_view rest = header.substr(at + name.size());
    if (!begins || !rest.starts_with('=')) continue;
    rest.remove_prefix(1);
    if (!rest.starts_with('"')) return std::string(rest.substr(0, rest.find_first_of("; \t\r\n")));
    std::string value;
    for (size_t i = 1; i < rest.size() && rest[i] != '"'; ++i) value += rest[i] == '\\' && i + 1 < rest.size() ? rest[++i] : rest[i];
    return value;
  }
  return "";
}

// RFC 8187: charset'language'percent-encoded; only UTF-8.
std::string extended_value(std::string_view value) {
  const size_t first = value.find('\''), second = first == std::string_view::npos ? first : value.find('\'', first + 1);
  if (second == std::string_view::npos || ascii_lower(value.substr(0, first)) != "utf-8") return "";
  return percent_decoded(value.substr(second + 1));
}

}  // namespace

std::string fetched_name(std::string_view content_disposition, std::string_view url_path) {
  if (std::string name = sanitised(extended_value(parameter(content_disposition, "filename*"))); !name.empty()) return name;
  if (std::string name = sanitised(parameter(content_disposition, "filename")); !name.empty()) return name;
  if (size_t slash = url_path.rfind('/'); slash != std::string_view::npos) url_path.remove_prefix(slash + 1);
  return sanitised(percent_decoded(url_path));
}

}  // namespace quarry::objects
