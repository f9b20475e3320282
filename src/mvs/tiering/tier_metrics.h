// What the process tells of its tiers under /metrics.
#pragma once

#include "base/metrics.h"
#include "mvs/mvs.h"

namespace quarry::mvs {

struct TierMetrics {
  static prometheus::Gauge& tables(Tier tier) {
    static auto& active = metrics::gauge("quarry_mvs_tables", "Tables that are known, by tier.", {{"tier", "active"}});
    static auto& cold = metrics::gauge("quarry_mvs_tables", "Tables that are known, by tier.", {{"tier", "cold"}});
    return tier == Tier::kCold ? cold : active;
  }
  static prometheus::Counter& searches(Tier tier) {
    static auto& active = metrics::counter("quarry_mvs_searches_total", "Searches by the tier that served them.", {{"tier", "active"}});
    static auto& cold = metrics::counter("quarry_mvs_searches_total", "Searches by the tier that served them.", {{"tier", "cold"}});
    return tier == Tier::kCold ? cold : active;
  }
  static prometheus::Gauge& memory_bytes() {
    static auto& gauge = metrics::gauge("quarry_mvs_memory_bytes", "Memory of all tables that are held, the cold cache included.");
    return gauge;
  }
  static prometheus::Gauge& cold_cache_bytes() {
    static auto& gauge = metrics::gauge("quarry_mvs_cold_cache_bytes", "Memory of cold tables that were read last.");
    return gauge;
  }
  static prometheus::Histogram& cold_read_seconds() {
    static auto& histogram = metrics::latency_histogram("quarry_mvs_cold_read_seconds", "Time to read a cold table from the object store.");
    return histogram;
  }
};

}  // namespace quarry::mvs
