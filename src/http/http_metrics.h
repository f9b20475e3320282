// What the server counts: requests and their time by operation and status class, bytes, connections.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "base/metrics.h"
#include "http/exchange.h"

namespace quarry::http {

// Thread-safe. A series comes into being with the first request that needs it.
class HttpMetrics {
 public:
  explicit HttpMetrics(const std::vector<Operation>& operations);

  void observe(const Exchange& exchange, int64_t now_us, size_t bytes_out);

  prometheus::Gauge& connections;
  prometheus::Gauge& in_flight;
  prometheus::Counter& refused;  // connections turned away

 private:
  struct Series {
    std::array<std::atomic<prometheus::Counter*>, 6> by_class{};
    std::atomic<prometheus::Histogram*> latency{nullptr};
    std::string name;
  };
  static prometheus::Counter& counter_of(Series& series, int status);
  static prometheus::Histogram& histogram_of(Series& series);

  prometheus::Counter& bytes_in_;
  prometheus::Counter& bytes_out_;
  std::unique_ptr<Series[]> series_;
  size_t unmatched_;  // the index of what is no operation
};

}  // namespace quarry::http
