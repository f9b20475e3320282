// Progress of long work: a bar that redraws on a terminal, a line now and then elsewhere.
#pragma once

#include <cstdint>
#include <string>

namespace quarry {

class ProgressBar {
 public:
  // `unit` in the plural: "objects".
  ProgressBar(std::string title, std::string unit);
  void update(uint64_t done, uint64_t total, const std::string& note = "");
  // Leaves the last state on its own line.
  void finish();

 private:
  std::string line(uint64_t done, uint64_t total, const std::string& note) const;

  const std::string title_, unit_;
  const bool terminal_;
  const int64_t started_us_;
  int64_t last_drawn_us_ = 0;
  std::string last_line_;
  bool drawn_ = false;
};

}  // namespace quarry
