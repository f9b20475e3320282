// From settings, variables and files to S3Options: pure, but for process_s3_environment.
#include <fmt/format.h>

#include <cstdlib>

#include "base/file.h"
#include "objects/s3_store.h"

namespace quarry::objects {
namespace {

constexpr size_t kMaxProfileFileBytes = 1 << 20;
constexpr std::string_view kScheme = "s3://";

std::string first_set(std::initializer_list<std::string> candidates) {
  for (const std::string& candidate : candidates)
    if (!candidate.empty()) return candidate;
  return "";
}

std::string variable(const S3Environment& environment, const char* name) {
  auto it = environment.variables.find(name);
  return it == environment.variables.end() ? "" : it->second;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

void read_entry(std::string_view line, S3Credentials& out) {
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos) return;
  const std::string_view name = trimmed(line.substr(0, equals)), value = trimmed(line.substr(equals + 1));
  if (name == "aws_access_key_id") out.access_key_id = value;
  if (name == "aws_secret_access_key") out.secret_access_key = value;
  if (name == "aws_session_token") out.session_token = value;
}

// The keys under "[profile]"; without them where the file has no such section.
S3Credentials read_profile(std::string_view text, std::string_view profile) {
  S3Credentials out;
  bool is_inside = false;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = trimmed(text.substr(begin, end - begin));
    begin = end + 1;
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      is_inside = line.back() == ']' && trimmed(line.substr(1, line.size() - 2)) == profile;
    } else if (is_inside) {
      read_entry(line, out);
    }
  }
  return out;
}

Result<S3Credentials> profile_credentials(const S3Settings& settings, const S3Environment& environment) {
  const std::string home = variable(environment, "HOME");
  const std::string file = first_set(
      {settings.credentials_file, variable(environment, "AWS_SHARED_CREDENTIALS_FILE"), home.empty() ? "" : home + "/.aws/credentials"});
  const std::string profile = first_set({settings.profile, variable(environment, "AWS_PROFILE"), "default"});
  const bool is_wanted = !settings.profile.empty() || !settings.credentials_file.empty() || !variable(environment, "AWS_PROFILE").empty();
  auto text = environment.read_text(file);
  if (!text.ok() && is_wanted) return bad_request(fmt::format("profile '{}': {}", profile, text.error().message));
  if (!text.ok()) return S3Credentials{};
  if (text->size() > kMaxProfileFileBytes)
    return bad_request(fmt::format("{} has {} bytes: it is no credentials file", file, text->size()));
  S3Credentials out = read_profile(*text, profile);
  out.origin = fmt::format("profile '{}' of {}", profile, file);
  const bool is_whole = !out.access_key_id.empty() && !out.secret_access_key.empty();
  if (is_whole) return out;
  if (is_wanted) return bad_request(fmt::format("{} has no aws_access_key_id and aws_secret_access_key under [{}]", file, profile));
  return S3Credentials{};
}

Result<S3Credentials> find_credentials(const S3Settings& settings, const S3Environment& environment) {
  if (settings.access_key_id.empty() != settings.secret_access_key.empty())
    return bad_request("objects.access_key_id and objects.secret_access_key are set together or not at all");
  if (!settings.access_key_id.empty())
    return S3Credentials{settings.access_key_id, settings.secret_access_key, settings.session_token, "the settings"};
  if (!settings.profile.empty()) return profile_credentials(settings, environment);
  S3Credentials from_variables{variable(environment, "AWS_ACCESS_KEY_ID"), variable(environment, "AWS_SECRET_ACCESS_KEY"),
                               variable(environment, "AWS_SESSION_TOKEN"), "AWS_ACCESS_KEY_ID"};
  if (!from_variables.access_key_id.empty() && !from_variables.secret_access_key.empty()) return from_variables;
  QUARRY_ASSIGN_OR_RETURN(S3Credentials from_profile, profile_credentials(settings, environment));
  if (!from_profile.access_key_id.empty()) return from_profile;
  return bad_request(fmt::format(
      "{} needs credentials: set objects.access_key_id and objects.secret_access_key (or QUARRY_OBJECTS_ACCESS_KEY_ID and "
      "QUARRY_OBJECTS_SECRET_ACCESS_KEY), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with objects.profile",
      settings.url));
}

}  // namespace

Result<S3Location> parse_s3_url(std::string_view url) {
  if (!url.starts_with(kScheme)) return bad_request(fmt::format("'{}' is not s3://BUCKET or s3://BUCKET/PREFIX", clip(url, 200)));
  url.remove_prefix(kScheme.size());
  while (url.ends_with('/')) url.remove_suffix(1);
  const size_t slash = std::min(url.find('/'), url.size());
  S3Location out{std::string(url.substr(0, slash)), ""};
  if (slash < url.size()) out.prefix = url.substr(slash + 1);
  if (out.bucket.empty()) return bad_request("the URL of an object store names no bucket: s3://BUCKET/PREFIX");
  return out;
}

Result<S3Addressing> parse_s3_addressing(std::string_view text) {
  if (text.empty() || text == "auto") return S3Addressing::kAuto;
  if (text == "path") return S3Addressing::kPath;
  if (text == "virtual") return S3Addressing::kVirtual;
  return bad_request(fmt::format("objects.addressing: '{}' is not auto, path or virtual", clip(text, 100)));
}

S3Environment process_s3_environment() {
  S3Environment out;
  for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE",
                           "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "HOME"})
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') out.variables[name] = value;
  out.read_text = [](const std::filesystem::path& file) { return read_file_range(file, 0, kMaxProfileFileBytes + 1); };
  return out;
}

Result<S3Options> resolve_s3_options(const S3Settings& settings, const S3Environment& environment) {
  S3Options out;
  QUARRY_ASSIGN_OR_RETURN(S3Location location, parse_s3_url(settings.url));
  out.bucket = location.bucket;
  out.prefix = location.prefix;
  QUARRY_ASSIGN_OR_RETURN(out.addressing, parse_s3_addressing(settings.addressing));
  out.region = first_set({settings.region, variable(environment, "AWS_REGION"), variable(environment, "AWS_DEFAULT_REGION"), out.region});
  out.endpoint = first_set({settings.endpoint, variable(environment, "AWS_ENDPOINT_URL_S3"), variable(environment, "AWS_ENDPOINT_URL"),
                            fmt::format("https://s3.{}.amazonaws.com", out.region)});
  QUARRY_ASSIGN_OR_RETURN(out.credentials, find_credentials(settings, environment));
  return out;
}

}  // namespace quarry::objects
