// One thread of sockets: an event loop, the connections that live on it, and a clock that ticks.
// Everything but the constructor, start, stop and post is called on the worker's own thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <list>
#include <string>
#include <thread>

namespace quarry::http {

class Session;

class Worker {
 public:
  Worker();
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start(const std::string& name);
  // Ends the loop and joins. Sessions still there are destroyed with the worker.
  void stop();

  boost::asio::io_context& context() { return context_; }
  // Milliseconds of the steady clock, refreshed at every tick: good enough for deadlines, and free.
  int64_t now_ms() const { return now_ms_; }
  // "Date: ...\r\n", as of this second.
  const std::string& date_line() const { return date_line_; }

  using Sessions = std::list<Session*>;
  Sessions::iterator enter(Session* session);
  void leave(Sessions::iterator place);
  // Ends every session that waits for a request; the others end after their reply.
  void end_idle_sessions();
  void close_all_sessions();

 private:
  static constexpr int64_t kTickMs = 250;
  void tick();
  void refresh_clock();

  Sessions sessions_;  // before the context: its end destroys sessions, and they leave this list
  boost::asio::io_context context_{1};
  boost::asio::steady_timer timer_{context_};
  int64_t now_ms_ = 0;
  int64_t date_second_ = -1;
  std::string date_line_;
  std::thread thread_;
};

}  // namespace quarry::http
