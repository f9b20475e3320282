#include "http/session.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"

namespace quarry::http {
namespace {

namespace asio = boost::asio;

constexpr size_t kMaxBuffered = 512 << 10;       // also bounds chunk headers and trailers
constexpr uint64_t kAdmitFirstBytes = 64 << 10;  // larger bodies are read only for callers who may send them

}  // namespace

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

}  // namespace quarry::http
