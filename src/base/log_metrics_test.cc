#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"

namespace quarry {
namespace {

std::string logged(LogLevel level, std::string_view message, const json::object& fields) {
  testing::internal::CaptureStderr();
  log(level, message, fields);
  return testing::internal::GetCapturedStderr();
}

class LogTest : public testing::Test {
 protected:
  void TearDown() override { configure_logging({}); }
};

TEST_F(LogTest, WritesOneJsonObjectALine) {
  configure_logging({.level = LogLevel::kInfo, .as_json = true});
  std::string line = logged(LogLevel::kWarn, "two\nlines {} \"quoted\"", {{"n", 5}, {"path", "/a b"}, {"msg", "not the message"}});
  ASSERT_FALSE(line.empty());
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  json::object parsed = json::parse(line).as_object();
  EXPECT_EQ(parsed.at("level"), "warn");
  EXPECT_EQ(parsed.at("msg"), "two\nlines {} \"quoted\"");
  EXPECT_EQ(parsed.at("n"), 5);
  EXPECT_EQ(parsed.at("ts").as_string().size(), 27u);
}

TEST_F(LogTest, WritesText) {
  configure_logging({.level = LogLevel::kDebug, .as_json = false});
  std::string line = logged(LogLevel::kDebug, "hello", {{"n", 5}});
  EXPECT_NE(line.find(" debug hello n=5\n"), std::string::npos) << line;
}

TEST_F(LogTest, DropsWhatIsBelowItsLevel) {
  configure_logging({.level = LogLevel::kWarn, .as_json = true});
  EXPECT_EQ(logged(LogLevel::kInfo, "quiet", {}), "");
  EXPECT_FALSE(log_enabled(LogLevel::kInfo));
  EXPECT_TRUE(log_enabled(LogLevel::kError));
}

TEST(Metrics, AreMadeOnceAndRendered) {
  auto& a = metrics::counter("quarry_test_total", "help", {{"kind", "a"}});
  EXPECT_EQ(&a, &metrics::counter("quarry_test_total", "help", {{"kind", "a"}}));
  EXPECT_NE(&a, &metrics::counter("quarry_test_total", "help", {{"kind", "b"}}));
  a.Increment(3);
  metrics::gauge("quarry_test_bytes", "help").Set(7);
  metrics::latency_histogram("quarry_test_seconds", "help").Observe(0.002);
  std::string text = metrics::render();
  EXPECT_NE(text.find("quarry_test_total{kind=\"a\"} 3"), std::string::npos) << text;
  EXPECT_NE(text.find("quarry_test_bytes 7"), std::string::npos);
  EXPECT_NE(text.find("quarry_test_seconds_bucket{le=\"0.001\"} 0"), std::string::npos);
  EXPECT_NE(text.find("quarry_test_seconds_bucket{le=\"0.0025\"} 1"), std::string::npos);
}

TEST(Metrics, MayBeMadeFromManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 200; ++i) metrics::counter("quarry_threads_total", "help", {{"k", std::to_string(i % 5)}}).Increment();
    });
  for (auto& thread : threads) thread.join();
  double sum = 0;
  for (int i = 0; i < 5; ++i) sum += metrics::counter("quarry_threads_total", "help", {{"k", std::to_string(i)}}).Value();
  EXPECT_EQ(sum, 800);
}

}  // namespace
}  // namespace quarry
