#include "main/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/clock.h"

namespace quarry {
namespace {

constexpr size_t kBarCells = 30;
constexpr int64_t kTerminalIntervalUs = 80'000;
constexpr int64_t kPlainIntervalUs = 3'000'000;

}  // namespace

ProgressBar::ProgressBar(std::string title, std::string unit)
    : title_(std::move(title)), unit_(std::move(unit)), terminal_(isatty(STDERR_FILENO) == 1), started_us_(system_clock().steady_us()) {}

std::string ProgressBar::line(uint64_t done, uint64_t total, const std::string& note) const {
  double seconds = static_cast<double>(system_clock().steady_us() - started_us_) / 1e6;
  double share = total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  auto filled = static_cast<size_t>(share * kBarCells);
  std::string bar = std::string(filled, '#') + std::string(kBarCells - filled, '.');
  std::string rate = seconds > 0.5 && done > 0 ? fmt::format("  {:.0f} {}/s", static_cast<double>(done) / seconds, unit_) : "";
  return fmt::format("{} [{}] {}/{} {}  {:.1f} s{}{}{}", title_, bar, done, total, unit_, seconds, rate, note.empty() ? "" : "  ", note);
}

void ProgressBar::update(uint64_t done, uint64_t total, const std::string& note) {
  int64_t now = system_clock().steady_us();
  last_line_ = line(done, total, note);
  if (drawn_ && now - last_drawn_us_ < (terminal_ ? kTerminalIntervalUs : kPlainIntervalUs)) return;
  last_drawn_us_ = now;
  drawn_ = true;
  if (terminal_)
    std::fprintf(stderr, "\r\033[K%s", last_line_.c_str());
  else
    std::fprintf(stderr, "%s\n", last_line_.c_str());
  std::fflush(stderr);
}

void ProgressBar::finish() {
  if (last_line_.empty()) return;
  std::fprintf(stderr, "%s%s\n", terminal_ ? "\r\033[K" : "", last_line_.c_str());
}

}  // namespace quarry
