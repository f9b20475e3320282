// Structured logs: one JSON object a line on standard error ({"ts","level","msg", fields...}), or plain text on a terminal.
#pragma once

#include <boost/json.hpp>
#include <string_view>

namespace quarry {

namespace json = boost::json;

enum class LogLevel { kDebug, kInfo, kWarn, kError };

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  bool as_json = true;
};

// Call once before threads start.
void configure_logging(const LogOptions& options);

// Thread-safe. Values that could be secret never belong in `fields`.
void log(LogLevel level, std::string_view message, const json::object& fields = {});
bool log_enabled(LogLevel level);

inline void log_debug(std::string_view m, const json::object& f = {}) { log(LogLevel::kDebug, m, f); }
inline void log_info(std::string_view m, const json::object& f = {}) { log(LogLevel::kInfo, m, f); }
inline void log_warn(std::string_view m, const json::object& f = {}) { log(LogLevel::kWarn, m, f); }
inline void log_error(std::string_view m, const json::object& f = {}) { log(LogLevel::kError, m, f); }

}  // namespace quarry
