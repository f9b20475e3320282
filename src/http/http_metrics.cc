#include "http/http_metrics.h"

namespace quarry::http {

HttpMetrics::HttpMetrics(const std::vector<Operation>& operations)
    : connections(metrics::gauge("quarry_http_connections", "Open client connections.")),
      in_flight(metrics::gauge("quarry_http_requests_in_flight", "Requests being handled.")),
      refused(metrics::counter("quarry_http_connections_refused_total", "Connections turned away at the limit.")),
      bytes_in_(metrics::counter("quarry_http_request_body_bytes_total", "Bytes of request bodies.")),
      bytes_out_(metrics::counter("quarry_http_response_bytes_total", "Bytes of replies, headers included.")),
      series_(std::make_unique<Series[]>(operations.size() + 1)),
      unmatched_(operations.size()) {
  for (const Operation& operation : operations) series_[operation.index].name = operation.id;
  series_[unmatched_].name = "unmatched";
}

prometheus::Counter& HttpMetrics::counter_of(Series& series, int status) {
  size_t index = static_cast<size_t>(status / 100) % 6;
  auto& slot = series.by_class[index];
  prometheus::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    // Twice at once is harmless: the registry hands out the same counter.
    counter = &metrics::counter("quarry_http_requests_total", "Requests by operation and status class.",
                                {{"operation", series.name}, {"status", std::to_string(index) + "xx"}});
    slot.store(counter, std::memory_order_release);
  }
  return *counter;
}

prometheus::Histogram& HttpMetrics::histogram_of(Series& series) {
  prometheus::Histogram* histogram = series.latency.load(std::memory_order_acquire);
  if (histogram == nullptr) {
    histogram = &metrics::latency_histogram(
        "quarry_http_request_seconds", "From the last byte of a request's head to its reply, by operation.", {{"operation", series.name}});
    series.latency.store(histogram, std::memory_order_release);
  }
  return *histogram;
}

void HttpMetrics::observe(const Exchange& exchange, int64_t now_us, size_t bytes_out) {
  Series& series = series_[exchange.operation != nullptr ? exchange.operation->index : unmatched_];
  counter_of(series, exchange.response.status).Increment();
  histogram_of(series).Observe(static_cast<double>(now_us - exchange.started_us) * 1e-6);
  if (exchange.head.content_length) bytes_in_.Increment(static_cast<double>(*exchange.head.content_length));
  bytes_out_.Increment(static_cast<double>(bytes_out));
}

}  // namespace quarry::http
