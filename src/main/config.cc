#include "main/config.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

extern char** environ;

namespace quarry {
namespace {

const SettingInfo* find_setting(std::string_view key) {
  for (const auto& s : all_settings())
    if (s.key == key) return &s;
  return nullptr;
}

// Levenshtein distance (1965); both words are short.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t substitute = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({substitute, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string nearest_key(std::string_view key) {
  std::string best;
  size_t best_distance = SIZE_MAX;
  for (const auto& s : all_settings()) {
    size_t d = edit_distance(key, s.key);
    if (d < best_distance) best_distance = d, best = s.key;
  }
  return best;
}

Status check_value(const SettingInfo& info, const std::string& text) {
  if (info.type == SettingType::kBytes) {
    auto parsed = parse_bytes(text);
    if (!parsed.ok()) return std::move(parsed).error();
  }
  if (info.type == SettingType::kBoolean && text != "true" && text != "false")
    return bad_request(fmt::format("'{}' is not true or false", text));
  if (info.type == SettingType::kInteger) {
    int64_t value = 0;
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec != std::errc() || end != text.data() + text.size() || value < 0)
      return bad_request(fmt::format("'{}' is not a number of 0 or more", text));
  }
  return Ok{};
}

Result<std::string> toml_text(const toml::node& node) {
  if (const auto* s = node.as_string()) return s->get();
  if (const auto* i = node.as_integer()) return std::to_string(i->get());
  if (const auto* b = node.as_boolean()) return std::string(b->get() ? "true" : "false");
  return bad_request("only strings, whole numbers and booleans are settings");
}

struct TomlEntry {
  std::string key, text;
  uint32_t line = 0;
};

Status flatten(const toml::table& table, const std::string& prefix, std::vector<TomlEntry>& out) {
  for (const auto& [name, node] : table) {
    std::string key = prefix + std::string(name.str());
    if (const auto* inner = node.as_table()) {
      if (prefix.empty())
        QUARRY_RETURN_IF_ERROR(flatten(*inner, key + ".", out));
      else
        return bad_request(fmt::format("line {}: unknown table '{}'", node.source().begin.line, key));
      continue;
    }
    auto text = toml_text(node);
    if (!text.ok()) return std::move(text).error().with_context(fmt::format("line {}: {}", node.source().begin.line, key));
    out.push_back({key, std::move(text).value(), node.source().begin.line});
  }
  return Ok{};
}

Result<std::vector<TomlEntry>> read_toml(const std::filesystem::path& file) {
  toml::parse_result parsed = toml::parse_file(file.string());
  if (!parsed) return bad_request(fmt::format("line {}: {}", parsed.error().source().begin.line, parsed.error().description()));
  std::vector<TomlEntry> entries;
  QUARRY_RETURN_IF_ERROR(flatten(parsed.table(), "", entries));
  return entries;
}

std::filesystem::path default_file() {
  std::error_code ignored;
  return std::filesystem::exists("quarry.toml", ignored) ? "quarry.toml" : "";
}

}  // namespace

Result<uint64_t> parse_bytes(std::string_view text) {
  uint64_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit(end, text.data() + text.size() - end);
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  static constexpr std::pair<std::string_view, uint64_t> kUnits[] = {
      {"", 1},       {"B", 1},          {"KiB", 1ull << 10},   {"MiB", 1ull << 20},      {"GiB", 1ull << 30}, {"TiB", 1ull << 40},
      {"KB", 1'000}, {"MB", 1'000'000}, {"GB", 1'000'000'000}, {"TB", 1'000'000'000'000}};
  if (ec == std::errc())
    for (auto [name, factor] : kUnits)
      if (unit == name && value <= UINT64_MAX / factor) return value * factor;
  return bad_request(fmt::format("'{}' is not a size such as 512MiB", text));
}

std::string environment_name(std::string_view key) {
  std::string name = "QUARRY_";
  for (char c : key) name.push_back(c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  return name;
}

std::map<std::string, std::string> process_environment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view line = *entry;
    size_t eq = line.find('=');
    if (line.starts_with("QUARRY_") && eq != line.npos) out.emplace(line.substr(0, eq), line.substr(eq + 1));
  }
  return out;
}

Status Config::set(const std::string& key, std::string text, std::string origin) {
  const SettingInfo* info = find_setting(key);
  if (info == nullptr) return bad_request(fmt::format("{}: unknown setting '{}'; did you mean '{}'?", origin, key, nearest_key(key)));
  Status valid = check_value(*info, text);
  if (!valid.ok()) return std::move(valid).error().with_context(fmt::format("{}: {}", origin, key));
  values_[key] = {std::move(text), std::move(origin)};
  return Ok{};
}

Result<Config> Config::load(const std::filesystem::path& file, const std::map<std::string, std::string>& environment,
                            const std::map<std::string, std::string>& flags) {
  Config config;
  for (const auto& s : all_settings()) QUARRY_RETURN_IF_ERROR(config.set(s.key, s.fallback, "default"));
  std::filesystem::path source = file.empty() ? default_file() : file;
  if (!source.empty()) {
    auto entries = read_toml(source);
    if (!entries.ok()) return std::move(entries).error().with_context(source.string());
    for (auto& e : *entries) QUARRY_RETURN_IF_ERROR(config.set(e.key, e.text, fmt::format("{}:{}", source.string(), e.line)));
  }
  for (const auto& s : all_settings()) {
    auto it = environment.find(environment_name(s.key));
    if (it != environment.end()) QUARRY_RETURN_IF_ERROR(config.set(s.key, it->second, it->first));
  }
  for (const auto& [key, value] : flags) {
    std::string flag = "--" + key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    QUARRY_RETURN_IF_ERROR(config.set(key, value, flag));
  }
  return config;
}

const Config::Value& Config::at(std::string_view key) const {
  auto it = values_.find(key);
  QUARRY_CHECK(it != values_.end());
  return it->second;
}

std::string Config::text(std::string_view key) const { return at(key).text; }
int64_t Config::integer(std::string_view key) const { return std::stoll(at(key).text); }
bool Config::boolean(std::string_view key) const { return at(key).text == "true"; }
uint64_t Config::bytes(std::string_view key) const { return parse_bytes(at(key).text).value(); }
const std::string& Config::origin(std::string_view key) const { return at(key).origin; }

}  // namespace quarry
