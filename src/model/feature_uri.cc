#include "model/feature_uri.h"

#include <fmt/format.h>

#include <algorithm>

namespace quarry {
namespace {

constexpr std::string_view kScheme = "mixpeek://";
constexpr size_t kMaxPartLength = 128;

bool is_part(std::string_view part) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  };
  return !part.empty() && part.size() <= kMaxPartLength && std::all_of(part.begin(), part.end(), allowed);
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "1", "v1", "1.0", "1.0.0" -> "v1"; what is not such a number stays as it is.
std::string normalize_version(std::string_view version) {
  std::string_view number = version;
  if (number.starts_with('v') || number.starts_with('V')) number.remove_prefix(1);
  if (number.empty() || number[0] < '0' || number[0] > '9') return std::string(version);
  while (number.ends_with(".0")) number.remove_suffix(2);
  return "v" + std::string(number);
}

// Splits "name@v1", "name@1.0.0" and "name_v1"; `version` is empty if `text` has none.
ExtractorName split_version(std::string_view text) {
  if (size_t at = text.rfind('@'); at != std::string_view::npos) return {std::string(text.substr(0, at)), std::string(text.substr(at + 1))};
  size_t suffix = text.rfind("_v");
  if (suffix != std::string_view::npos && suffix > 0 && is_digits(text.substr(suffix + 2)))
    return {std::string(text.substr(0, suffix)), std::string(text.substr(suffix + 1))};
  return {std::string(text), ""};
}

}  // namespace

std::string FeatureUri::to_string() const { return fmt::format("{}{}@{}/{}", kScheme, extractor, version, output); }

Result<FeatureUri> parse_feature_uri(std::string_view text) {
  auto fail = [&] {
    return bad_request(
        fmt::format("'{}' is not a feature URI; the form is mixpeek://{{extractor}}@{{version}}/{{output}}", clip(text, 200)));
  };
  if (!text.starts_with(kScheme)) return fail();
  std::string_view rest = text.substr(kScheme.size());
  size_t at = rest.find('@'), slash = rest.find('/');
  if (at == std::string_view::npos || slash == std::string_view::npos || at > slash) return fail();
  std::string_view name = rest.substr(0, at), version = rest.substr(at + 1, slash - at - 1), output = rest.substr(slash + 1);
  if (!is_part(name) || !is_part(version) || !is_part(output)) return fail();
  return FeatureUri{std::string(name), normalize_version(version), std::string(output)};
}

ExtractorName normalize_extractor(std::string_view name, std::string_view version) {
  ExtractorName out = split_version(name);
  if (!version.empty()) out.version = version;
  out.version = out.version.empty() ? "v1" : normalize_version(out.version);
  return out;
}

}  // namespace quarry
