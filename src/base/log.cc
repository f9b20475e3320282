#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>

#include "base/clock.h"

namespace quarry {
namespace {

std::atomic<bool> g_as_json{true};

spdlog::logger& logger() {
  static auto* instance = [] {
    auto created = spdlog::stderr_color_mt("quarry");
    created->set_pattern("%v");
    return new std::shared_ptr<spdlog::logger>(created);
  }();
  return **instance;
}

spdlog::level::level_enum spd_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
  return "info";
}

std::string json_line(LogLevel level, std::string_view message, const json::object& fields) {
  json::object line{{"ts", format_timestamp(system_clock().now_us())}, {"level", level_name(level)}, {"msg", message}};
  for (const auto& field : fields) line.emplace(field.key(), field.value());
  return json::serialize(line);
}

std::string text_line(LogLevel level, std::string_view message, const json::object& fields) {
  std::string line = format_timestamp(system_clock().now_us());
  line.append(" ").append(level_name(level)).append(" ").append(message);
  for (const auto& field : fields) line.append(" ").append(field.key()).append("=").append(json::serialize(field.value()));
  return line;
}

}  // namespace

void configure_logging(const LogOptions& options) {
  g_as_json = options.as_json;
  logger().set_level(spd_level(options.level));
}

bool log_enabled(LogLevel level) { return logger().should_log(spd_level(level)); }

void log(LogLevel level, std::string_view message, const json::object& fields) {
  if (!log_enabled(level)) return;
  logger().log(spd_level(level), "{}", g_as_json ? json_line(level, message, fields) : text_line(level, message, fields));
}

}  // namespace quarry
