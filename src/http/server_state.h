// What all connections of a server share, and the budget that bounds their bodies.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "base/executor.h"
#include "http/dispatcher.h"
#include "http/http_metrics.h"

namespace quarry::http {

// Counts against a limit; what is counted is let go by the destructor. Thread-safe.
class Budget {
 public:
  explicit Budget(uint64_t limit) : limit_(limit) {}
  // Whether a lease could grow by this now.
  bool has_room(uint64_t bytes) const { return bytes <= limit_ && used_.load() <= limit_ - bytes; }
  class Lease {
   public:
    ~Lease() { release(); }
    // False, and unchanged, when the budget has less than that left.
    bool grow(Budget& budget, uint64_t by);
    void release();
    uint64_t held() const { return held_; }

   private:
    Budget* budget_ = nullptr;
    uint64_t held_ = 0;
  };

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
};

// What all sessions of a server share. Outlives them.
struct ServerState {
  ServerState(const Options& o, const Dispatcher& d, HttpMetrics& m, Executor& e)
      : options(o), dispatcher(d), metrics(m), handlers(e), bodies(o.max_bodies_in_flight_bytes) {}

  const Options& options;
  const Dispatcher& dispatcher;
  HttpMetrics& metrics;
  Executor& handlers;
  Budget bodies;
  std::atomic<bool> stopping{false};

  void session_began() { sessions_.fetch_add(1); }
  void session_ended();
  size_t sessions() const { return sessions_.load(); }
  // Waits until no session is left; false after `timeout_ms`.
  bool wait_for_sessions(int64_t timeout_ms);

 private:
  std::atomic<size_t> sessions_{0};
  std::mutex mutex_;
  std::condition_variable none_left_;
};

}  // namespace quarry::http
