#include "base/clock.h"

#include <fmt/format.h>

#include <chrono>

namespace quarry {
namespace {

class SystemClock : public Clock {
 public:
  TimestampUs now_us() const override {
    using namespace std::chrono;
    return duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
  }
  int64_t steady_us() const override {
    using namespace std::chrono;
    return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
  }
};

constexpr int64_t kUsPerSecond = 1'000'000;

// Reads exactly `digits` decimal digits at `pos`; -1 if there are none.
int read_digits(std::string_view s, size_t& pos, int digits) {
  if (pos + digits > s.size()) return -1;
  int value = 0;
  for (int i = 0; i < digits; ++i) {
    char c = s[pos + i];
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  pos += digits;
  return value;
}

bool eat(std::string_view s, size_t& pos, char c) {
  if (pos >= s.size() || s[pos] != c) return false;
  ++pos;
  return true;
}

// What is finer than a microsecond is cut off.
int64_t read_fraction_us(std::string_view s, size_t& pos) {
  int64_t us = 0, scale = kUsPerSecond / 10;
  while (pos < s.size() && s[pos] >= '0' && s[pos] <= '9') {
    us += (s[pos++] - '0') * scale;
    scale /= 10;
  }
  return us;
}

// Offset from UTC in minutes: "Z", "+02:00", "-0730", "+02" or nothing.
bool read_offset(std::string_view s, size_t& pos, int& minutes) {
  minutes = 0;
  if (pos == s.size()) return true;
  if (eat(s, pos, 'Z') || eat(s, pos, 'z')) return pos == s.size();
  int sign = s[pos] == '+' ? 1 : s[pos] == '-' ? -1 : 0;
  if (sign == 0) return false;
  ++pos;
  int hours = read_digits(s, pos, 2);
  bool has_minutes = eat(s, pos, ':') || pos < s.size();
  int mins = has_minutes ? read_digits(s, pos, 2) : 0;
  if (hours < 0 || hours > 23 || mins < 0 || mins > 59) return false;
  minutes = sign * (hours * 60 + mins);
  return pos == s.size();
}

void write_digits(int64_t number, char* at, int digits) {
  for (int i = digits - 1; i >= 0; --i, number /= 10) at[i] = static_cast<char>('0' + number % 10);
}

}  // namespace

const Clock& system_clock() {
  static const SystemClock* clock = new SystemClock;
  return *clock;
}

std::string format_timestamp(TimestampUs t) {
  using namespace std::chrono;
  sys_time<microseconds> tp{microseconds{t}};
  auto day = floor<days>(tp);
  year_month_day date{day};
  hh_mm_ss time{tp - day};
  const int year = int(date.year());
  if (year < 0 || year > 9999)
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", year, unsigned(date.month()), unsigned(date.day()),
                       time.hours().count(), time.minutes().count(), time.seconds().count(), time.subseconds().count());
  std::string out(27, '-');
  write_digits(year, &out[0], 4);
  write_digits(unsigned(date.month()), &out[5], 2);
  write_digits(unsigned(date.day()), &out[8], 2);
  out[10] = 'T';
  write_digits(time.hours().count(), &out[11], 2);
  out[13] = ':';
  write_digits(time.minutes().count(), &out[14], 2);
  out[16] = ':';
  write_digits(time.seconds().count(), &out[17], 2);
  out[19] = '.';
  write_digits(time.subseconds().count(), &out[20], 6);
  out[26] = 'Z';
  return out;
}

Result<TimestampUs> parse_timestamp(std::string_view text) {
  using namespace std::chrono;
  auto fail = [&] { return bad_request(fmt::format("'{}' is not an ISO 8601 date or date-time", clip(text, 64))); };
  size_t pos = 0;
  int y = read_digits(text, pos, 4);
  if (y < 0 || !eat(text, pos, '-')) return fail();
  int m = read_digits(text, pos, 2);
  if (m < 0 || !eat(text, pos, '-')) return fail();
  int d = read_digits(text, pos, 2);
  year_month_day date{year{y}, month{unsigned(std::max(m, 0))}, day{unsigned(std::max(d, 0))}};
  if (d < 0 || !date.ok()) return fail();
  TimestampUs us = duration_cast<microseconds>(sys_days{date}.time_since_epoch()).count();
  if (pos == text.size()) return us;
  if (!eat(text, pos, 'T') && !eat(text, pos, 't') && !eat(text, pos, ' ')) return fail();
  int hh = read_digits(text, pos, 2);
  if (hh < 0 || hh > 23 || !eat(text, pos, ':')) return fail();
  int mm = read_digits(text, pos, 2);
  if (mm < 0 || mm > 59) return fail();
  int ss = 0;
  if (eat(text, pos, ':')) ss = read_digits(text, pos, 2);
  if (ss < 0 || ss > 60) return fail();
  int64_t fraction = 0;
  if (eat(text, pos, '.')) {
    size_t start = pos;
    fraction = read_fraction_us(text, pos);
    if (pos == start) return fail();
  }
  int offset_minutes = 0;
  if (!read_offset(text, pos, offset_minutes)) return fail();
  return us + (int64_t(hh) * 3600 + mm * 60 + ss - offset_minutes * 60) * kUsPerSecond + fraction;
}

}  // namespace quarry
