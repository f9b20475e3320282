// What the load generators share: questions asked in turn until the time is over, latencies, errors, and one reply kept per question.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace quarry::bench {

using Clock = std::chrono::steady_clock;

// Thread-safe. Each client asks next(), works, and calls done() or failed(), until next() gives nothing.
class ClosedLoop {
 public:
  ClosedLoop(size_t questions, double seconds);

  std::optional<size_t> next();  // the number of a question, round and round
  void stop() { stopped_ = true; }
  void done(size_t question, Clock::time_point began, std::string_view reply);
  void failed(std::string why);

  // {"requests","seconds","qps","p50_ms","p99_ms","max_ms","errors","first_error"}
  std::string report() const;
  // A JSON string per question, in order; empty where none was answered. False if the file can't be written.
  bool write_replies(const std::string& file) const;

 private:
  const Clock::time_point began_, end_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> stopped_{false};
  mutable std::mutex mutex_;
  std::vector<float> took_ms_;
  std::vector<std::string> replies_;
  Clock::time_point last_;
  size_t errors_ = 0;
  std::string first_error_;
};

std::vector<std::string> read_lines(const std::string& file);

}  // namespace quarry::bench
