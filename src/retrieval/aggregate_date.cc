#include "retrieval/aggregate_date.h"

#include <chrono>

#include "base/clock.h"

namespace quarry::retrieval {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;
using Microseconds = std::chrono::sys_time<std::chrono::microseconds>;

struct Moment {
  Microseconds time;
  sys_days day;
  year_month_day date;
};

std::optional<Moment> moment_of(const json::value& value) {
  if (!value.is_string()) return std::nullopt;
  Result<TimestampUs> parsed = parse_timestamp(value.get_string());
  if (!parsed.ok()) return std::nullopt;
  Microseconds time{std::chrono::microseconds(*parsed)};
  sys_days day = std::chrono::floor<days>(time);
  return Moment{time, day, year_month_day(day)};
}

int64_t day_of_week(const Moment& m) { return std::chrono::weekday(m.day).c_encoding() + 1; }

int64_t day_of_year(const Moment& m) { return (m.day - sys_days(m.date.year() / std::chrono::January / 1)).count() + 1; }

Microseconds start_of(const Moment& m, std::string_view unit) {
  if (unit == "year") return sys_days(m.date.year() / std::chrono::January / 1);
  if (unit == "month") return sys_days(m.date.year() / m.date.month() / 1);
  if (unit == "week") return m.day - days(day_of_week(m) - 1);
  if (unit == "hour") return std::chrono::floor<std::chrono::hours>(m.time);
  if (unit == "minute") return std::chrono::floor<std::chrono::minutes>(m.time);
  if (unit == "second") return std::chrono::floor<std::chrono::seconds>(m.time);
  return m.day;
}

}  // namespace

json::value truncate_date(const json::value& value, std::string_view unit) {
  std::optional<Moment> m = moment_of(value);
  if (!m) return nullptr;
  return json::value(format_timestamp(start_of(*m, unit).time_since_epoch().count()));
}

json::value date_part(const json::value& value, std::string_view part) {
  std::optional<Moment> m = moment_of(value);
  if (!m) return nullptr;
  std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(m->time - m->day));
  if (part == "year") return static_cast<int>(m->date.year());
  if (part == "month") return static_cast<unsigned>(m->date.month());
  if (part == "week") return (day_of_year(*m) + 7 - day_of_week(*m)) / 7;  // days before the first Sunday are week 0
  if (part == "dayOfWeek") return day_of_week(*m);
  if (part == "dayOfYear") return day_of_year(*m);
  if (part == "hour") return clock.hours().count();
  if (part == "minute") return clock.minutes().count();
  if (part == "second") return clock.seconds().count();
  return static_cast<unsigned>(m->date.day());
}

}  // namespace quarry::retrieval
