// One client connection: reads requests one after the other, has them handled, writes replies in order.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <functional>
#include <optional>
#include <string>

#include "http/request_parser.h"
#include "http/server_state.h"
#include "http/worker.h"

namespace quarry::http {

class Session {
 public:
  Session(Worker& worker, ServerState& server, boost::asio::ip::tcp::socket socket);
  ~Session();

  // Serves until the connection ends. Never throws.
  boost::asio::awaitable<void> run();

  // Called by the worker's tick: what waited for too long is ended.
  void check_deadline(int64_t now_ms);
  void end_if_idle();
  // Logs the request that is still being handled, if there is one: the session lives until its handler returns.
  void close();

 private:
  enum class Phase { kIdle, kHead, kBody, kHandling, kWriting };
  enum class Read { kDone, kClosed, kAnswered };  // kAnswered: an error reply is ready

  // session_read.cc
  boost::asio::awaitable<Read> read_head();
  boost::asio::awaitable<Read> read_body();
  boost::asio::awaitable<bool> read_more(size_t bytes);
  bool parse_head(boost::beast::error_code& ec);
  // Before any byte of a body is read: may it come?
  bool accept_body();
  // Counts what has arrived of the body, so that a promise of bytes takes nothing from others.
  bool charge_body();
  void fail(const Error& error);
  void fail_parse(const boost::beast::error_code& ec);

  // session_write.cc
  boost::asio::awaitable<bool> write_reply();
  boost::asio::awaitable<bool> write(std::string_view bytes);
  boost::asio::awaitable<bool> write_source(const service::BodySource& source);
  boost::asio::awaitable<Status> read_piece(const service::BodySource& source, uint64_t offset, std::string& piece);
  boost::asio::awaitable<void> linger();
  void format_head();

  boost::asio::awaitable<void> serve();
  boost::asio::awaitable<void> dispatch(void (Dispatcher::*step)(Exchange&) const);
  // False: the handlers' queue is full, and `work` was not run.
  boost::asio::awaitable<bool> on_handler_thread(std::function<void()> work);
  void set_phase(Phase phase, int64_t patience_ms);

  Worker& worker_;
  ServerState& server_;
  boost::asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer in_;
  std::string out_;
  Exchange exchange_;
  std::optional<RequestParser> parser_;
  Budget::Lease lease_;
  Phase phase_ = Phase::kIdle;
  int64_t deadline_ms_ = INT64_MAX;
  bool timed_out_ = false;
  Worker::Sessions::iterator place_;
};

}  // namespace quarry::http
