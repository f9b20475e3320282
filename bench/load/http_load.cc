// Closed-loop HTTP load over keep-alive connections, all of them driven by one thread. Every reply must be 2xx and hold the text --expect
// at least --count times; anything else is an error, after which that client connects anew.
// usage: bench-load --port N --requests FILE [--host 127.0.0.1] [--header "Name: value"]... [--clients 1] [--seconds 5] [--expect TEXT]
//                   [--count 1] [--replies OUT]
// FILE has one JSON object a line: {"method", "target", "body"}. SIGTERM ends it early. Prints ClosedLoop::report().
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <cstring>

#include "closed_loop.h"

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;
using asio::ip::tcp;
using quarry::bench::Clock;
using quarry::bench::ClosedLoop;

namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr uint64_t kMostReplyBytes = 64 << 20;
constexpr size_t kReadBytes = 64 << 10;  // one system call for most replies; a buffer left to itself reads 512 bytes at a time
constexpr size_t kMostFailures = 100;  // of one client in a row; then it gives up

struct Options {
  std::string host = "127.0.0.1", requests, expect, replies;
  std::vector<std::string> headers;
  uint16_t port = 0;
  size_t clients = 1, count = 1;
  double seconds = 5;
};

std::string as_bytes(const Options& options, std::string_view line) {
  json::object request = json::parse(line).as_object();
  std::string_view body = request.contains("body") ? std::string_view(request["body"].as_string()) : std::string_view();
  std::string out = fmt::format("{} {} HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
                                std::string_view(request.at("method").as_string()), std::string_view(request.at("target").as_string()),
                                options.host, options.port, body.size());
  for (const std::string& header : options.headers) out += header + "\r\n";
  return out.append("\r\n").append(body);
}

size_t occurrences(std::string_view text, std::string_view wanted) {
  size_t count = 0;
  // memmem: string_view::find stops at every first character, of which JSON has hundreds.
  while (const void* at = ::memmem(text.data(), text.size(), wanted.data(), wanted.size())) {
    text.remove_prefix(static_cast<size_t>(static_cast<const char*>(at) - text.data()) + wanted.size());
    ++count;
  }
  return count;
}

class Client {
 public:
  Client(asio::io_context& context, const Options& options, const std::vector<std::string>& requests, ClosedLoop& loop)
      : options_(options), requests_(requests), loop_(loop), socket_(context) {
    buffer_.reserve(kReadBytes);
  }

  asio::awaitable<void> run() {
    for (size_t failures = 0; failures < kMostFailures;) {
      auto question = loop_.next();
      if (!question) co_return;
      Clock::time_point began = Clock::now();
      std::string why = co_await ask(requests_[*question]);
      if (why.empty()) {
        loop_.done(*question, began, reply_);
        failures = 0;
        continue;
      }
      loop_.failed(std::move(why));
      ++failures;
      drop();
    }
  }

 private:
  // Empty if the reply is good; it lies in reply_ then.
  asio::awaitable<std::string> ask(const std::string& request) {
    if (!socket_.is_open()) {
      auto [failed] = co_await socket_.async_connect({asio::ip::make_address(options_.host), options_.port}, kAsTuple);
      if (failed) co_return "connecting: " + failed.message();
      socket_.set_option(tcp::no_delay(true));
    }
    auto [unsent, sent] = co_await asio::async_write(socket_, asio::buffer(request), kAsTuple);
    if (unsent) co_return "sending: " + unsent.message();
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMostReplyBytes);
    auto [unread, read] = co_await http::async_read(socket_, buffer_, parser, kAsTuple);
    if (unread) co_return "reading: " + unread.message();
    reply_ = std::move(parser.get().body());
    if (parser.get().result_int() / 100 != 2) co_return fmt::format("{} {}", parser.get().result_int(), reply_.substr(0, 300));
    if (!options_.expect.empty() && occurrences(reply_, options_.expect) < options_.count)
      co_return fmt::format("the reply holds {} less than {} times: {}", options_.expect, options_.count, reply_.substr(0, 300));
    if (!parser.keep_alive()) drop();
    co_return std::string();
  }

  void drop() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    buffer_.clear();
  }

  const Options& options_;
  const std::vector<std::string>& requests_;
  ClosedLoop& loop_;
  tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
  std::string reply_;
};

int run(const Options& options) {
  std::vector<std::string> requests = quarry::bench::read_lines(options.requests);
  if (requests.empty()) return std::fprintf(stderr, "bench-load: %s holds no requests\n", options.requests.c_str()), 1;
  for (std::string& request : requests) request = as_bytes(options, request);
  asio::io_context context(1);
  ClosedLoop loop(requests.size(), options.seconds);
  asio::signal_set end_early(context, SIGTERM);
  end_early.async_wait([&](boost::system::error_code failed, int) {
    if (!failed) loop.stop();
  });
  std::vector<std::unique_ptr<Client>> clients;
  size_t running = options.clients;
  for (size_t i = 0; i < options.clients; ++i) {
    clients.push_back(std::make_unique<Client>(context, options, requests, loop));
    asio::co_spawn(context, clients.back()->run(), [&](std::exception_ptr) {
      if (--running == 0) end_early.cancel();
    });
  }
  context.run();
  std::puts(loop.report().c_str());
  if (options.replies.empty() || loop.write_replies(options.replies)) return 0;
  return std::fprintf(stderr, "bench-load: %s can't be written\n", options.replies.c_str()), 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("closed-loop HTTP load");
  app.add_option("--host", options.host);
  app.add_option("--port", options.port)->required();
  app.add_option("--requests", options.requests)->required();
  app.add_option("--header", options.headers);
  app.add_option("--clients", options.clients)->check(CLI::Range(1, 1024));
  app.add_option("--seconds", options.seconds)->check(CLI::Range(0.1, 3600.0));
  app.add_option("--expect", options.expect);
  app.add_option("--count", options.count);
  app.add_option("--replies", options.replies);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& failure) {
    return std::fprintf(stderr, "bench-load: %s\n", failure.what()), 1;
  }
}
