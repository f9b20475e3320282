// One client connection: reads requests one after the other, has them handled, writes replies in order.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/executor.h"
#include "http/dispatcher.h"
#include "http/http_metrics.h"
#include "http/request_parser.h"
#include "http/worker.h"

namespace quarry::http {

// Counts against a limit; what is counted is let go by the destructor. Thread-safe.
class Budget {
 public:
  explicit Budget(uint64_t limit) : limit_(limit) {}
  // Whether a lease could grow by this now.
  bool has_room(uint64_t bytes) const { return bytes <= limit_ && used_.load() <= limit_ - bytes; }
  class Lease {
   public:
    ~Lease() { release(); }
    // False, and unchanged, when the budget has less than that left.
    bool grow(Budget& budget, uint64_t by);
    void release();
    uint64_t held() const { return held_; }

   private:
    Budget* budget_ = nullptr;
    uint64_t held_ = 0;
  };

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
};

// What all sessions of a server share. Outlives them.
struct ServerState {
  ServerState(const Options& o, const Dispatcher& d, HttpMetrics& m, Executor& e)
      : options(o), dispatcher(d), metrics(m), handlers(e), bodies(o.max_bodies_in_flight_bytes) {}

  const Options& options;
  const Dispatcher& dispatcher;
  HttpMetrics& metrics;
  Executor& handlers;
  Budget bodies;
  std::atomic<bool> stopping{false};

  void session_began() { sessions_.fetch_add(1); }
  void session_ended();
  size_t sessions() const { return sessions_.load(); }
  // Waits until no session is left; false after `timeout_ms`.
  bool wait_for_sessions(int64_t timeout_ms);

 private:
  std::atomic<size_t> sessions_{0};
  std::mutex mutex_;
  std::condition_variable none_left_;
};

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

  boost::asio::awaitable<Read> read_head();
  boost::asio::awaitable<Read> read_body();
  boost::asio::awaitable<bool> read_more(size_t bytes);
  boost::asio::awaitable<void> serve();
  boost::asio::awaitable<void> dispatch(void (Dispatcher::*step)(Exchange&) const);
  // False: the handlers' queue is full, and `work` was not run.
  boost::asio::awaitable<bool> on_handler_thread(std::function<void()> work);
  boost::asio::awaitable<bool> write_reply();
  boost::asio::awaitable<bool> write(std::string_view bytes);
  boost::asio::awaitable<bool> write_source(const service::BodySource& source);
  boost::asio::awaitable<Status> read_piece(const service::BodySource& source, uint64_t offset, std::string& piece);
  boost::asio::awaitable<void> linger();

  bool parse_head(boost::beast::error_code& ec);
  // Before any byte of a body is read: may it come?
  bool accept_body();
  // Counts what has arrived of the body, so that a promise of bytes takes nothing from others.
  bool charge_body();
  void fail(const Error& error);
  void fail_parse(const boost::beast::error_code& ec);
  void format_head();
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
