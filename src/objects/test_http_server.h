// A small HTTP server on 127.0.0.1 for tests: one thread, one connection at a time, replies from a function.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "base/file.h"
#include "base/result.h"

namespace quarry::objects {

class TestHttpServer {
 public:
  // Gets the request's path and the socket; writes the whole reply itself.
  using Handler = std::function<void(const std::string& path, int socket)>;

  // What the handler gets: the path, or all that was read of the request, of which it then reads the rest itself.
  enum Given { kPath, kWholeHead };

  explicit TestHttpServer(Handler handler, Given given = kPath)
      : handler_(std::move(handler)), given_(given), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    QUARRY_CHECK(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(listener_.get(), 16) == 0);
    socklen_t size = sizeof address;
    QUARRY_CHECK(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~TestHttpServer() {
    stopping_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

  int port() const { return port_; }
  int connections() const { return connections_; }
  std::string url(const std::string& path, const std::string& host = "127.0.0.1") const {
    return "http://" + host + ":" + std::to_string(port_) + path;
  }

  static void send_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t n = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  static void reply(int socket, const std::string& status, const std::string& headers, std::string_view body) {
    send_all(socket,
             "HTTP/1.1 " + status + "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n");
    send_all(socket, body);
  }
  // Blocks until the other side closes.
  static void wait_for_close(int socket) {
    char buffer[256];
    while (::recv(socket, buffer, sizeof buffer, 0) > 0) {
    }
  }

 private:
  void serve() {
    while (!stopping_) {
      FileDescriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket) continue;
      ++connections_;
      std::string request;
      char buffer[4096];
      while (request.find("\r\n\r\n") == std::string::npos) {
        ssize_t n = ::recv(socket.get(), buffer, sizeof buffer, 0);
        if (n <= 0) break;
        request.append(buffer, static_cast<size_t>(n));
      }
      if (given_ == kWholeHead) {
        handler_(request, socket.get());
        continue;
      }
      const size_t begin = request.find(' ');
      if (begin != std::string::npos) handler_(request.substr(begin + 1, request.find(' ', begin + 1) - begin - 1), socket.get());
    }
  }

  Handler handler_;
  const Given given_;
  FileDescriptor listener_;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> connections_{0};
  std::thread thread_;
};

}  // namespace quarry::objects
