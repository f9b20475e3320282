#include "http/session.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>

#include <fmt/format.h>

#include <charconv>

#include "base/log.h"

namespace quarry::http {
namespace {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

constexpr size_t kReadBytes = 16 << 10;
constexpr size_t kReadBodyBytes = 256 << 10;
constexpr size_t kMaxBuffered = 512 << 10;   // also bounds chunk headers and trailers
constexpr size_t kMaxJoinedBody = 32 << 10;  // smaller replies go out with their head in one write
constexpr size_t kWriteBytes = 256 << 10;
constexpr uint64_t kAdmitFirstBytes = 64 << 10;  // larger bodies are read only for callers who may send them
constexpr int64_t kProgressMs = 20'000;          // a transfer that stands still this long is ended
constexpr int64_t kLeastBytesPerMs = 1;          // ... and so is one slower than 1 kB/s, after a grace
constexpr int64_t kTransferGraceMs = 30'000;
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

Error too_many_bodies() { return {ErrorKind::kUnavailable, "too many request bodies are on their way; try again shortly"}; }

template <typename Integer>
void append_number(Integer number, std::string& out) {
  char digits[24];
  auto [end, ec] = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, end);
}

}  // namespace

bool Budget::Lease::grow(Budget& budget, uint64_t by) {
  uint64_t before = budget.used_.fetch_add(by);
  if (before + by > budget.limit_) {
    budget.used_.fetch_sub(by);
    return false;
  }
  budget_ = &budget;
  held_ += by;
  return true;
}

void Budget::Lease::release() {
  if (budget_ != nullptr) budget_->used_.fetch_sub(held_);
  budget_ = nullptr;
  held_ = 0;
}

void ServerState::session_ended() {
  if (sessions_.fetch_sub(1) != 1) return;
  std::lock_guard lock(mutex_);
  none_left_.notify_all();
}

bool ServerState::wait_for_sessions(int64_t timeout_ms) {
  std::unique_lock lock(mutex_);
  return none_left_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return sessions_.load() == 0; });
}

Session::Session(Worker& worker, ServerState& server, asio::ip::tcp::socket socket)
    : worker_(worker), server_(server), socket_(std::move(socket)), in_(kMaxBuffered), place_(worker.enter(this)) {
  server_.metrics.connections.Increment();
}

Session::~Session() {
  worker_.leave(place_);
  server_.metrics.connections.Decrement();
  server_.session_ended();
}

void Session::set_phase(Phase phase, int64_t patience_ms) {
  phase_ = phase;
  deadline_ms_ = patience_ms == INT64_MAX ? INT64_MAX : worker_.now_ms() + patience_ms;
}

void Session::check_deadline(int64_t now_ms) {
  if (now_ms < deadline_ms_) return;
  timed_out_ = true;
  deadline_ms_ = INT64_MAX;
  boost::system::error_code ignored;
  if (phase_ == Phase::kWriting)
    socket_.close(ignored);
  else
    socket_.cancel(ignored);
}

void Session::end_if_idle() {
  boost::system::error_code ignored;
  if (phase_ == Phase::kIdle) socket_.close(ignored);
}

void Session::close() {
  if (phase_ == Phase::kHandling)
    log_warn("a request still runs; it is told to end", {{"request_id", exchange_.request_id},
                                                         {"operation", exchange_.operation->id},
                                                         {"running_ms", (system_clock().steady_us() - exchange_.started_us) / 1000}});
  boost::system::error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<void> Session::run() {
  try {
    for (;;) {
      exchange_.clear();
      Read head = co_await read_head();
      if (head == Read::kClosed) break;
      set_request_id(exchange_);
      exchange_.started_us = system_clock().steady_us();
      if (head == Read::kDone) co_await serve();
      exchange_.drop_body();
      lease_.release();
      bool alive = co_await write_reply();
      if (!alive) break;
    }
  } catch (const std::exception& e) {
    log_error("connection failed", {{"request_id", exchange_.request_id}, {"what", e.what()}});
  }
  boost::system::error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
}

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

asio::awaitable<void> Session::serve() {
  const Dispatcher& dispatcher = server_.dispatcher;
  dispatcher.route(exchange_);
  bool has_body = exchange_.head.has_body();
  if (exchange_.answered) {
    exchange_.response.close |= has_body;  // the body stays unread
    co_return;
  }
  if (has_body) {
    if (!accept_body()) co_return;
    if (exchange_.head.chunked || *exchange_.head.content_length > kAdmitFirstBytes) co_await dispatch(&Dispatcher::admit);
    if (exchange_.answered) {
      exchange_.response.close = true;
      co_return;
    }
    if (co_await read_body() != Read::kDone) co_return;
  }
  if (exchange_.operation->runs_inline)
    dispatcher.handle(exchange_);
  else
    co_await dispatch(&Dispatcher::handle);
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

asio::awaitable<void> Session::dispatch(void (Dispatcher::*step)(Exchange&) const) {
  std::function<void()> work = [this, step] { (server_.dispatcher.*step)(exchange_); };
  server_.metrics.in_flight.Increment();
  bool taken = co_await on_handler_thread(std::move(work));
  server_.metrics.in_flight.Decrement();
  if (!taken)
    Dispatcher::answer_error(exchange_, {ErrorKind::kUnavailable, "the server has more requests than it can handle; try again shortly"});
}

asio::awaitable<bool> Session::on_handler_thread(std::function<void()> work) {
  set_phase(Phase::kHandling, INT64_MAX);
  auto start = [this, &work](auto handler) {
    // std::function wants what can be copied.
    auto resume = std::make_shared<decltype(handler)>(std::move(handler));
    auto executor = socket_.get_executor();
    bool taken = server_.handlers.try_submit([this, &work, resume, executor] {
      try {
        work();
      } catch (...) {
        exchange_.response.close = true;  // not even an error could be written; write_reply() sees that there is no answer
      }
      asio::post(executor, [resume] { std::move (*resume)(true); });
    });
    if (!taken) asio::post(executor, [resume] { std::move (*resume)(false); });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(start, asio::use_awaitable);
}

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
