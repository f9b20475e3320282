// Process metrics in Prometheus form, kept by prometheus-cpp. Names start with quarry_, base units (seconds, bytes), totals end in _total.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <map>
#include <string>

namespace quarry::metrics {

using Labels = std::map<std::string, std::string>;

// Made on first use and kept for the life of the process; keep the reference on hot paths. Labels must have few values. Thread-safe.
prometheus::Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
prometheus::Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {});
// Buckets from 100 us to 60 s.
prometheus::Histogram& latency_histogram(const std::string& name, const std::string& help, const Labels& labels = {});

// Of shares that are best near 1: buckets from 0.5 to 1.
prometheus::Histogram& share_histogram(const std::string& name, const std::string& help, const Labels& labels = {});

// The text exposition format 0.0.4.
std::string render();

}  // namespace quarry::metrics
