// What the rest of the process tells a running task. Thread-safe.
#pragma once

#include <atomic>

namespace quarry::pipeline {

class TaskControl {
 public:
  std::atomic<bool> canceled{false};  // the client wants it to end
  std::atomic<bool> stopping{false};  // this process is going down: hand the task back
  std::atomic<bool> lost{false};      // another worker holds the lease: leave everything as it is

  bool halted() const {
    return canceled.load(std::memory_order_relaxed) || stopping.load(std::memory_order_relaxed) || lost.load(std::memory_order_relaxed);
  }
};

}  // namespace quarry::pipeline
