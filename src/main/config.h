// Settings: a TOML file, then QUARRY_* variables, then flags; the later wins, and every value knows where it came from.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace quarry {

enum class SettingType { kString, kInteger, kBoolean, kBytes, kPath };

struct SettingInfo {
  std::string key;  // "http.max_body_bytes": table and key of the TOML file; QUARRY_HTTP_MAX_BODY_BYTES in the environment
  SettingType type = SettingType::kString;
  std::string fallback;
  std::string help;

  bool is_secret() const;  // its value is never shown
};

// Every setting there is; the one list behind the file, the variables, `quarry config` and the documentation.
const std::vector<SettingInfo>& all_settings();

class Config {
 public:
  // `file` empty: ./quarry.toml where it exists. Errors name the file and line, or the variable, and the nearest
  // known key.
  static Result<Config> load(const std::filesystem::path& file, const std::map<std::string, std::string>& environment,
                             const std::map<std::string, std::string>& flags);

  std::string text(std::string_view key) const;
  int64_t integer(std::string_view key) const;
  bool boolean(std::string_view key) const;
  uint64_t bytes(std::string_view key) const;  // "64MiB", "2GB", "1024"
  std::filesystem::path path(std::string_view key) const { return text(key); }
  const std::string& origin(std::string_view key) const;  // "default", "quarry.toml:3", "QUARRY_LISTEN", "--listen"

 private:
  struct Value {
    std::string text;
    std::string origin;
  };
  Status set(const std::string& key, std::string text, std::string origin);
  const Value& at(std::string_view key) const;
  std::map<std::string, Value, std::less<>> values_;
};

Result<uint64_t> parse_bytes(std::string_view text);
// QUARRY_HTTP_MAX_BODY_BYTES for http.max_body_bytes.
std::string environment_name(std::string_view key);
std::map<std::string, std::string> process_environment();

}  // namespace quarry
