#include "mvs/log_follower.h"

#include <chrono>

#include "base/log.h"
#include "mvs/table.h"

namespace quarry::mvs {
namespace {

constexpr int64_t kIdleAfterUs = 600ll * 1'000'000;
constexpr int64_t kIdleIntervals = 60;

}  // namespace

bool look_is_due(const LookTimes& times, int64_t now_us, int64_t interval_us) {
  const bool idle = now_us - times.used_us >= kIdleAfterUs;
  return times.looked_us == 0 || now_us - times.looked_us >= (idle ? kIdleIntervals * interval_us : interval_us);
}

LogFollower::LogFollower(int64_t interval_us, std::function<std::vector<std::shared_ptr<Table>>()> tables)
    : interval_us_(interval_us), tables_(std::move(tables)), thread_([this] { run(); }) {}

LogFollower::~LogFollower() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void LogFollower::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, std::chrono::microseconds(interval_us_), [&] { return stopping_; })) {
    lock.unlock();
    for (const auto& table : tables_()) look_at(*table);
    lock.lock();
  }
}

// A fault that lasts is logged once.
void LogFollower::look_at(Table& table) {
  const Status status = table.look(interval_us_);
  if (status.ok()) {
    last_errors_.erase(table.id());
    return;
  }
  std::string& known = last_errors_[table.id()];
  if (known != status.error().message)
    log_warn("following a table's log failed", {{"table", table.id()}, {"error", status.error().message}});
  known = status.error().message;
}

}  // namespace quarry::mvs
