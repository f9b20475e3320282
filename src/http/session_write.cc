#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <charconv>

#include "base/log.h"
#include "http/session.h"
#include "http/session_limits.h"

namespace quarry::http {
namespace {

namespace asio = boost::asio;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

constexpr size_t kMaxJoinedBody = 32 << 10;  // smaller replies go out with their head in one write
constexpr size_t kWriteBytes = 256 << 10;
constexpr auto kBusyPause = std::chrono::milliseconds(50);  // between two tries to read a piece of a reply
constexpr int kBusyTries = 400;
constexpr int64_t kLingerMs = 2'000;
constexpr size_t kLingerBytes = 16 << 20;

std::string_view reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Payload Too Large";
    case 416: return "Range Not Satisfiable";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Status";
  }
}

template <typename Integer>
void append_number(Integer number, std::string& out) {
  char digits[24];
  auto [end, ec] = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, end);
}

}  // namespace

void Session::format_head() {
  const Response& response = exchange_.response;
  out_.clear();
  out_ += "HTTP/1.1 ";
  append_number(response.status, out_);
  out_ += ' ';
  out_ += reason(response.status);
  out_ += "\r\n";
  out_ += worker_.date_line();
  out_ += "X-Request-Id: ";
  out_ += exchange_.request_id;
  out_ += "\r\n";
  bool bodiless = response.status == 204 || response.status == 304;
  if (!bodiless) {
    out_ += "Content-Type: ";
    out_ += response.content_type;
    out_ += "\r\nX-Content-Type-Options: nosniff\r\nContent-Length: ";
    append_number(response.content_length(), out_);
    out_ += "\r\n";
  }
  out_ += response.headers;
  if (response.close)
    out_ += "Connection: close\r\n";
  else if (exchange_.head.version == 10)
    out_ += "Connection: keep-alive\r\n";
  out_ += "\r\n";
}

asio::awaitable<bool> Session::write_reply() {
  Response& response = exchange_.response;
  if (!exchange_.answered) fail(internal_error("the request could not be answered"));
  bool unread = response.close;  // set so far only where a body may still be on its way
  response.close |= !exchange_.head.keep_alive || server_.stopping.load(std::memory_order_relaxed);
  format_head();
  bool bodiless = exchange_.head.method == Method::kHead || response.status == 204 || response.status == 304;
  bool from_source = !bodiless && response.source.read != nullptr;
  std::string_view body = bodiless || from_source ? std::string_view() : response.payload();
  size_t bytes = out_.size() + (bodiless ? 0 : response.content_length());
  if (body.size() <= kMaxJoinedBody) {
    out_ += body;
    body = {};
  }
  bool sent = co_await write(out_);
  if (sent && !body.empty()) sent = co_await write(body);
  if (sent && from_source) sent = co_await write_source(response.source);
  server_.metrics.observe(exchange_, system_clock().steady_us(), bytes);
  if (sent && unread) co_await linger();
  co_return sent && !response.close;
}

asio::awaitable<bool> Session::write(std::string_view bytes) {
  set_phase(Phase::kWriting, kProgressMs);
  int64_t began_ms = worker_.now_ms();
  for (size_t sent = 0; sent < bytes.size();) {
    std::string_view part = bytes.substr(sent, kWriteBytes);
    auto [ec, count] = co_await socket_.async_write_some(asio::buffer(part), kAwait);
    if (ec) co_return false;
    sent += count;
    int64_t slowest_ms = began_ms + kTransferGraceMs + static_cast<int64_t>(sent) / kLeastBytesPerMs;
    deadline_ms_ = std::min(worker_.now_ms() + kProgressMs, slowest_ms);
  }
  co_return true;
}

// A failure can only cut the connection: the head, with the length, is on its way.
asio::awaitable<bool> Session::write_source(const service::BodySource& source) {
  std::string piece;
  for (uint64_t offset = 0; offset < source.size; offset += piece.size()) {
    Status read = co_await read_piece(source, offset, piece);
    if (!read.ok()) {
      log_warn("a reply was cut short", {{"request_id", exchange_.request_id}, {"offset", offset}, {"what", read.error().message}});
      co_return false;
    }
    bool sent = co_await write(piece);
    if (!sent) co_return false;
  }
  co_return true;
}

asio::awaitable<Status> Session::read_piece(const service::BodySource& source, uint64_t offset, std::string& piece) {
  Result<std::string> result = internal_error("the bytes could not be read");
  std::function<void()> read = [&] { result = source.read(offset, std::min<uint64_t>(kWriteBytes, source.size - offset)); };
  asio::steady_timer pause(socket_.get_executor());
  int tries = 0;
  for (bool taken = false; !taken && tries < kBusyTries && socket_.is_open(); ++tries) {
    taken = co_await on_handler_thread(read);
    if (taken) break;
    pause.expires_after(kBusyPause);
    co_await pause.async_wait(kAwait);
  }
  if (!result.ok()) co_return std::move(result).error();
  piece = std::move(result).value();
  if (piece.empty()) co_return internal_error("the bytes ended early");
  co_return Ok{};
}

// A close with unread bytes resets the connection, and the client would lose the reply: let it finish speaking for a while.
asio::awaitable<void> Session::linger() {
  boost::system::error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  set_phase(Phase::kBody, kLingerMs);
  for (size_t drained = 0; drained < kLingerBytes && !timed_out_;) {
    in_.clear();
    if (!co_await read_more(kReadBodyBytes)) break;
    drained += in_.size();
  }
}

}  // namespace quarry::http
