// Durable document upserts over HTTP: bodies are made beforehand, then sent over C keep-alive connections; every reply must be 200.
// usage: bench-upsert HOST PORT KEY NAMESPACE DIMENSION BATCH REQUESTS CONNECTIONS  ->
// {"vectors":..,"seconds":..,"vectors_per_s":..,"p50_ms":..,"p99_ms":..}
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"

namespace {

struct Load {
  std::string host, key, ns;
  uint16_t port = 0;
  size_t dimension = 0, batch = 0, requests = 0, connections = 0;
};

std::string make_body(const Load& load, size_t request) {
  quarry::Rng rng(request + 1);
  std::string body = "{\"documents\":[";
  body.reserve(load.batch * (load.dimension * 10 + 80));
  for (size_t i = 0; i < load.batch; ++i) {
    fmt::format_to(std::back_inserter(body), "{}{{\"document_id\":\"d{}-{}\",\"payload\":{{\"n\":{}}},\"vectors\":{{\"v\":[", i ? "," : "",
                   request, i, i);
    for (size_t d = 0; d < load.dimension; ++d) fmt::format_to(std::back_inserter(body), "{}{:.6f}", d ? "," : "", rng.uniform() * 2 - 1);
    body += "]}}";
  }
  body += "]}";
  return body;
}

std::string make_request(const Load& load, size_t request) {
  std::string body = make_body(load, request);
  return fmt::format(
             "POST /v1/namespaces/{}/documents/upsert HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: "
             "application/json\r\n"
             "Content-Length: {}\r\n\r\n",
             load.ns, load.host, load.key, body.size()) +
         body;
}

int connect_to(const Load& load) {
  int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(load.port);
  ::inet_pton(AF_INET, load.host.c_str(), &address.sin_addr);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
  return fd;
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// Reads one reply with a Content-Length; true if its status is 200.
bool receive_ok(int fd, std::string& buffer) {
  buffer.clear();
  size_t need = std::string::npos;
  char chunk[65536];
  while (buffer.size() < need) {
    ssize_t n = ::recv(fd, chunk, sizeof chunk, 0);
    if (n <= 0) return false;
    buffer.append(chunk, static_cast<size_t>(n));
    size_t head_end = buffer.find("\r\n\r\n");
    if (need != std::string::npos || head_end == std::string::npos) continue;
    std::string head = buffer.substr(0, head_end);
    std::transform(head.begin(), head.end(), head.begin(), [](unsigned char c) { return std::tolower(c); });
    size_t at = head.find("content-length: ");
    if (at == std::string::npos) return false;
    need = head_end + 4 + std::stoul(head.substr(at + 16));
  }
  if (buffer.starts_with("HTTP/1.1 200")) return true;
  std::fprintf(stderr, "%.600s\n", buffer.c_str());
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 9) return std::fprintf(stderr, "usage: bench-upsert HOST PORT KEY NAMESPACE DIMENSION BATCH REQUESTS CONNECTIONS\n"), 2;
  Load load{argv[1],
            argv[3],
            argv[4],
            static_cast<uint16_t>(std::stoul(argv[2])),
            std::stoul(argv[5]),
            std::stoul(argv[6]),
            std::stoul(argv[7]),
            std::stoul(argv[8])};
  std::vector<std::string> prepared(load.requests);
  for (size_t i = 0; i < load.requests; ++i) prepared[i] = make_request(load, i);

  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::vector<double> latencies_ms(load.requests);
  int64_t began = quarry::system_clock().steady_us();
  std::vector<std::thread> clients;
  for (size_t c = 0; c < load.connections; ++c)
    clients.emplace_back([&] {
      int fd = connect_to(load);
      std::string reply;
      for (size_t i = next++; i < load.requests && !failed; i = next++) {
        int64_t start = quarry::system_clock().steady_us();
        if (!send_all(fd, prepared[i]) || !receive_ok(fd, reply)) failed = true;
        latencies_ms[i] = static_cast<double>(quarry::system_clock().steady_us() - start) / 1000.0;
      }
      ::close(fd);
    });
  for (auto& c : clients) c.join();
  if (failed) return std::fprintf(stderr, "a request failed\n"), 1;
  double seconds = static_cast<double>(quarry::system_clock().steady_us() - began) / 1e6;
  std::sort(latencies_ms.begin(), latencies_ms.end());
  auto vectors = static_cast<double>(load.requests * load.batch);
  boost::json::object out{{"vectors", vectors},
                          {"seconds", seconds},
                          {"vectors_per_s", vectors / seconds},
                          {"p50_ms", latencies_ms[load.requests / 2]},
                          {"p99_ms", latencies_ms[load.requests * 99 / 100]}};
  std::printf("%s\n", boost::json::serialize(out).c_str());
  return 0;
}
