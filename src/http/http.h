// The HTTP server: sockets, routing, admission, limits, validation against api/openapi.json, JSON in and out. Knows no storage.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "service/service.h"

namespace quarry::http {

struct Options {
  std::string host = "127.0.0.1";
  uint16_t port = 0;  // 0: any free port
  size_t io_threads = 2;
  size_t handler_threads = 16;  // blocking handlers
  size_t max_connections = 4096;
  uint64_t max_body_bytes = 64ull << 20;  // JSON bodies; 413 past it
  uint64_t max_upload_bytes = 512ull << 20;
  uint64_t max_bodies_in_flight_bytes = 1ull << 30;  // 503 with Retry-After past it
  int64_t idle_timeout_ms = 75'000;
  int64_t header_timeout_ms = 15'000;
  int64_t request_timeout_ms = 300'000;  // RequestContext.deadline
  size_t max_json_depth = 64;
};

// The contract as the server knows it: api/openapi.json, embedded in the program. Immutable, thread-safe.
class Contract {
 public:
  static Result<std::shared_ptr<const Contract>> load_embedded();
  virtual ~Contract() = default;
  // Rows "built"/"501  METHOD path operation_id" by group and the totals, given what the service has bound: `quarry api --coverage`.
  virtual std::string coverage(const service::Api& api) const = 0;
  virtual std::string_view document() const = 0;  // api/openapi.json, byte for byte
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> make(Options options, service::Api& api, std::shared_ptr<const Contract> contract);
  virtual ~Server() = default;
  // Binds and begins to accept. kConflict with the address when the port is taken.
  virtual Status start() = 0;
  virtual uint16_t port() const = 0;
  // Stops accepting and lets running requests finish for `grace_ms`. Then closes the connections, logs what still runs, tells it to end
  // (RequestContext::expired) and waits until it has: handlers use what the caller frees next.
  virtual void stop(int64_t grace_ms) = 0;
};

}  // namespace quarry::http
