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
  // Whether a read in parts found the log's state and the indexes of the sidecars in the cold cache.
  static prometheus::Counter& cold_views(bool was_kept) {
    static constexpr const char* kName = "quarry_mvs_cold_views_total";
    static constexpr const char* kHelp = "Reads of cold tables in parts, by whether the cold cache had where their parts lie.";
    static auto& kept = metrics::counter(kName, kHelp, {{"cache", "hit"}});
    static auto& opened = metrics::counter(kName, kHelp, {{"cache", "miss"}});
    return was_kept ? kept : opened;
  }
  static prometheus::Histogram& cold_read_seconds() {
    static auto& histogram = metrics::latency_histogram("quarry_mvs_cold_read_seconds", "Time to read a cold table from the object store.");
    return histogram;
  }
};

}  // namespace quarry::mvs
