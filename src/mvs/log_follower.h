// Looks at the logs of a store's tables for what other writers committed. One thread, which takes part in no write.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace quarry::mvs {

class Table;

// When a log should be looked at; times on the steady clock.
struct LookTimes {
  int64_t used_us = 0;    // when the table was last read or written
  int64_t looked_us = 0;  // when its log was last looked at; 0: never
};

// A table in use at every interval, one that is idle every 60 intervals.
bool look_is_due(const LookTimes& times, int64_t now_us, int64_t interval_us);

class LogFollower {
 public:
  // `tables` is called on the follower's thread. `interval_us` is positive.
  LogFollower(int64_t interval_us, std::function<std::vector<std::shared_ptr<Table>>()> tables);
  // Waits for a look that has begun.
  ~LogFollower();
  LogFollower(const LogFollower&) = delete;
  LogFollower& operator=(const LogFollower&) = delete;

 private:
  void run();
  void look_at(Table& table);

  const int64_t interval_us_;
  const std::function<std::vector<std::shared_ptr<Table>>()> tables_;
  std::map<std::string, std::string> last_errors_;  // by table: what was logged
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace quarry::mvs
