#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>

#include <fmt/format.h>

#include "http/session.h"
#include "http/session_limits.h"

namespace quarry::http {
namespace {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadBytes = 16 << 10;

Error too_many_bodies() { return {ErrorKind::kUnavailable, "too many request bodies are on their way; try again shortly"}; }

}  // namespace

// False: more bytes are needed.
bool Session::parse_head(boost::beast::error_code& ec) {
  while (in_.size() > 0) {
    const char* bytes = static_cast<const char*>(in_.data().data());
    if (phase_ == Phase::kIdle && (*bytes == '\r' || *bytes == '\n')) {
      in_.consume(1);  // RFC 9112: empty lines before a request line are ignored
      continue;
    }
    if (phase_ == Phase::kIdle) set_phase(Phase::kHead, server_.options.header_timeout_ms);
    in_.consume(parser_->put(in_.data(), ec));
    if (ec == beast_http::error::need_more) {
      ec = {};
      return false;
    }
    if (ec || parser_->is_header_done()) return true;
  }
  return false;
}

asio::awaitable<Session::Read> Session::read_head() {
  parser_.emplace(exchange_);
  set_phase(Phase::kIdle, server_.options.idle_timeout_ms);
  boost::beast::error_code ec;
  while (!parse_head(ec)) {
    if (phase_ == Phase::kIdle && server_.stopping.load(std::memory_order_relaxed)) co_return Read::kClosed;
    if (co_await read_more(kReadBytes)) continue;
    if (!timed_out_ || phase_ == Phase::kIdle) co_return Read::kClosed;
    fail({ErrorKind::kRequestTimeout, "the request's headers took too long"});
    co_return Read::kAnswered;
  }
  std::string_view complaint = ec ? std::string_view() : parser_->complaint();
  if (!ec && complaint.empty()) co_return Read::kDone;
  if (ec)
    fail_parse(ec);
  else
    fail(bad_request(std::string(complaint)));
  co_return Read::kAnswered;
}

asio::awaitable<bool> Session::read_more(size_t bytes) {
  size_t room = in_.max_size() - in_.size();
  if (room == 0) co_return false;
  auto [ec, count] = co_await socket_.async_read_some(in_.prepare(std::min(bytes, room)), kAwait);
  in_.commit(count);
  co_return !ec && count > 0;
}

void Session::fail(const Error& error) {
  if (exchange_.request_id.empty()) set_request_id(exchange_);
  Dispatcher::answer_error(exchange_, error);
  exchange_.response.close = true;
}

void Session::fail_parse(const boost::beast::error_code& ec) {
  if (ec == beast_http::error::header_limit)
    fail(bad_request(fmt::format("the request's headers exceed {} bytes or {} fields", kMaxHeadBytes, kMaxHeaders)));
  else if (ec == beast_http::error::body_limit)
    fail({ErrorKind::kPayloadTooLarge, fmt::format("the body exceeds {} bytes", server_.dispatcher.body_limit(exchange_))});
  else
    fail(bad_request("not an HTTP/1.1 request: " + ec.message()));
}

bool Session::accept_body() {
  uint64_t limit = server_.dispatcher.body_limit(exchange_);
  uint64_t stated = exchange_.head.content_length.value_or(0);
  if (stated > limit) {
    fail({ErrorKind::kPayloadTooLarge,
          fmt::format("the body has {} bytes; this operation takes at most {}", stated, limit),
          {{"limit_bytes", limit}}});
    return false;
  }
  if (!server_.bodies.has_room(stated)) {
    fail(too_many_bodies());
    return false;
  }
  parser_->set_body_limit(limit);
  return true;
}

bool Session::charge_body() {
  uint64_t arrived = exchange_.body.size(), held = lease_.held();
  if (arrived <= held || lease_.grow(server_.bodies, arrived - held)) return true;
  fail(too_many_bodies());
  return false;
}

asio::awaitable<Session::Read> Session::read_body() {
  if (exchange_.head.expects_continue && in_.size() == 0) co_await write("HTTP/1.1 100 Continue\r\n\r\n");
  set_phase(Phase::kBody, kProgressMs);
  int64_t began_ms = worker_.now_ms();
  parser_->eager(true);
  boost::beast::error_code ec;
  while (!parser_->is_done()) {
    if (in_.size() > 0) in_.consume(parser_->put(in_.data(), ec));
    if (ec == beast_http::error::need_more) ec = {};
    if (ec) {
      fail_parse(ec);
      co_return Read::kAnswered;
    }
    if (!charge_body()) co_return Read::kAnswered;
    if (parser_->is_done()) break;
    int64_t slowest_ms = began_ms + kTransferGraceMs + static_cast<int64_t>(exchange_.body.size()) / kLeastBytesPerMs;
    deadline_ms_ = std::min(worker_.now_ms() + kProgressMs, slowest_ms);
    if (co_await read_more(kReadBodyBytes)) continue;
    fail(timed_out_ ? Error{ErrorKind::kRequestTimeout, "the request's body took too long"}
                    : bad_request("the request's body ended too early"));
    co_return Read::kAnswered;
  }
  co_return Read::kDone;
}

}  // namespace quarry::http
