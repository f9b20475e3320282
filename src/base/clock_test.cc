#include "base/clock.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace quarry {
namespace {

TEST(FormatTimestamp, PrintsMicrosecondsInUtc) {
  EXPECT_EQ(format_timestamp(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(format_timestamp(1'769'860'800'123'456), "2026-01-31T12:00:00.123456Z");
  EXPECT_EQ(format_timestamp(-1), "1969-12-31T23:59:59.999999Z");
}

struct Case {
  const char* text;
  const char* utc;  // null: refused
};

class ParseTimestamp : public testing::TestWithParam<Case> {};

TEST_P(ParseTimestamp, ReadsIso8601) {
  auto parsed = parse_timestamp(GetParam().text);
  ASSERT_EQ(parsed.ok(), GetParam().utc != nullptr) << GetParam().text;
  if (parsed.ok()) {
    EXPECT_EQ(format_timestamp(*parsed), GetParam().utc) << GetParam().text;
  } else {
    EXPECT_EQ(parsed.error().kind, ErrorKind::kBadRequest);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Good, ParseTimestamp,
    testing::Values(Case{"2026-01-31", "2026-01-31T00:00:00.000000Z"}, Case{"2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000Z"},
                    Case{"2026-01-31T12:00:00", "2026-01-31T12:00:00.000000Z"}, Case{"2026-01-31 12:00", "2026-01-31T12:00:00.000000Z"},
                    Case{"2026-01-31t12:00:00z", "2026-01-31T12:00:00.000000Z"},
                    Case{"2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.500000Z"},
                    Case{"2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123456Z"},
                    Case{"2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00.000000Z"},
                    Case{"2026-01-31T12:00:00-0730", "2026-01-31T19:30:00.000000Z"},
                    Case{"2026-01-31T12:00:00+02", "2026-01-31T10:00:00.000000Z"},
                    Case{"2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000000Z"}, Case{"2024-02-29", "2024-02-29T00:00:00.000000Z"},
                    Case{"2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"}, Case{"0000-01-01", "0000-01-01T00:00:00.000000Z"}));

INSTANTIATE_TEST_SUITE_P(Bad, ParseTimestamp,
                         testing::Values(Case{"", nullptr}, Case{"2026", nullptr}, Case{"2026-1-31", nullptr}, Case{"2026-13-01", nullptr},
                                         Case{"2026-00-10", nullptr}, Case{"2025-02-29", nullptr}, Case{"2026-01-31T", nullptr},
                                         Case{"2026-01-31T24:00:00Z", nullptr}, Case{"2026-01-31T12:60:00Z", nullptr},
                                         Case{"2026-01-31T12:00:61Z", nullptr}, Case{"2026-01-31T12:00:00.Z", nullptr},
                                         Case{"2026-01-31T12:00:00+24:00", nullptr}, Case{"2026-01-31T12:00:00+02:0", nullptr},
                                         Case{"2026-01-31T12:00:00Zjunk", nullptr}, Case{"2026-01-31T12", nullptr},
                                         Case{"-026-01-31", nullptr}, Case{"20260131", nullptr}, Case{"2026-01-31T12:00:0", nullptr},
                                         Case{" 2026-01-31", nullptr}, Case{"1769860800", nullptr}));

TEST(Timestamps, RoundTrip) {
  Rng rng(3);
  for (int i = 0; i < 1'000; ++i) {
    auto t = static_cast<TimestampUs>(rng.below(4'000'000'000'000'000));
    EXPECT_EQ(*parse_timestamp(format_timestamp(t)), t);
  }
}

TEST(Clocks, SystemMovesAndManualStandsStill) {
  EXPECT_GT(system_clock().now_us(), 1'700'000'000'000'000);
  int64_t before = system_clock().steady_us();
  EXPECT_GE(system_clock().steady_us(), before);
  ManualClock clock(5);
  EXPECT_EQ(clock.now_us(), 5);
  clock.advance_us(10);
  EXPECT_EQ(clock.now_us(), 15);
  EXPECT_EQ(clock.steady_us(), 15);
}

}  // namespace
}  // namespace quarry
