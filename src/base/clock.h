// Time as a seam: everything that reads a clock takes one, so that tests can move it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quarry {

// Microseconds since the Unix epoch, UTC.
using TimestampUs = int64_t;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimestampUs now_us() const = 0;
  virtual int64_t steady_us() const = 0;  // for durations and deadlines
};

// The process's real clock; lives forever.
const Clock& system_clock();

// Thread-safe; stands still until moved.
class ManualClock : public Clock {
 public:
  explicit ManualClock(TimestampUs start = 1'700'000'000'000'000) : now_(start) {}
  TimestampUs now_us() const override { return now_.load(); }
  int64_t steady_us() const override { return now_.load(); }
  void advance_us(int64_t by) { now_.fetch_add(by); }

 private:
  std::atomic<TimestampUs> now_;
};

// "2026-01-31T12:00:00.000000Z"
std::string format_timestamp(TimestampUs t);
// RFC 3339 / ISO 8601: date alone, or date-time with optional fraction and offset (none means UTC).
Result<TimestampUs> parse_timestamp(std::string_view text);

}  // namespace quarry
