#include "base/metrics.h"

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace quarry::metrics {
namespace {

prometheus::Registry& registry() {
  static auto* instance = new prometheus::Registry(prometheus::Registry::InsertBehavior::Merge);
  return *instance;
}

const prometheus::Histogram::BucketBoundaries& latency_buckets() {
  static const prometheus::Histogram::BucketBoundaries buckets{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                               0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
  return buckets;
}

}  // namespace

prometheus::Counter& counter(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry()).Add(labels);
}

prometheus::Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry()).Add(labels);
}

prometheus::Histogram& latency_histogram(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry()).Add(labels, latency_buckets());
}

prometheus::Histogram& share_histogram(const std::string& name, const std::string& help, const Labels& labels) {
  const prometheus::Histogram::BucketBoundaries buckets{0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1};
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry()).Add(labels, buckets);
}

std::string render() { return prometheus::TextSerializer().Serialize(registry().Collect()); }

}  // namespace quarry::metrics
