#include "closed_loop.h"

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>

namespace quarry::bench {
namespace {

double seconds_between(Clock::time_point from, Clock::time_point to) { return std::chrono::duration<double>(to - from).count(); }

double percentile(const std::vector<float>& sorted, double share) {
  return sorted.empty() ? 0 : sorted[std::min(sorted.size() - 1, static_cast<size_t>(static_cast<double>(sorted.size()) * share))];
}

}  // namespace

ClosedLoop::ClosedLoop(size_t questions, double seconds)
    : began_(Clock::now()), end_(began_ + std::chrono::microseconds(static_cast<int64_t>(seconds * 1e6))), replies_(questions), last_(began_) {}

std::optional<size_t> ClosedLoop::next() {
  if (replies_.empty() || stopped_ || Clock::now() >= end_) return std::nullopt;
  return next_++ % replies_.size();
}

void ClosedLoop::done(size_t question, Clock::time_point began, std::string_view reply) {
  Clock::time_point now = Clock::now();
  std::lock_guard lock(mutex_);
  took_ms_.push_back(static_cast<float>(seconds_between(began, now) * 1e3));
  if (replies_[question].empty()) replies_[question] = reply;
  last_ = std::max(last_, now);
}

void ClosedLoop::failed(std::string why) {
  std::lock_guard lock(mutex_);
  if (errors_++ == 0) first_error_ = std::move(why);
}

std::string ClosedLoop::report() const {
  std::lock_guard lock(mutex_);
  std::vector<float> sorted = took_ms_;
  std::sort(sorted.begin(), sorted.end());
  double seconds = std::max(seconds_between(began_, last_), 1e-9);
  boost::json::object out{{"requests", sorted.size()},
                          {"seconds", seconds},
                          {"qps", static_cast<double>(sorted.size()) / seconds},
                          {"p50_ms", percentile(sorted, 0.5)},
                          {"p99_ms", percentile(sorted, 0.99)},
                          {"max_ms", sorted.empty() ? 0 : sorted.back()},
                          {"errors", errors_},
                          {"first_error", first_error_}};
  return boost::json::serialize(out);
}

bool ClosedLoop::write_replies(const std::string& file) const {
  std::lock_guard lock(mutex_);
  std::ofstream out(file);
  for (const std::string& reply : replies_) out << boost::json::serialize(boost::json::string(reply)) << "\n";
  out.close();
  return bool(out);
}

std::vector<std::string> read_lines(const std::string& file) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) lines.push_back(std::move(line));
  return lines;
}

}  // namespace quarry::bench
