#include "http/worker.h"

#include <pthread.h>

#include <chrono>
#include <ctime>

#include "http/session.h"

namespace quarry::http {

Worker::Worker() { refresh_clock(); }

Worker::~Worker() { stop(); }

void Worker::start(const std::string& name) {
  tick();
  thread_ = std::thread([this] { context_.run(); });
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

void Worker::stop() {
  context_.stop();
  if (thread_.joinable()) thread_.join();
}

Worker::Sessions::iterator Worker::enter(Session* session) { return sessions_.insert(sessions_.end(), session); }

void Worker::leave(Sessions::iterator place) { sessions_.erase(place); }

void Worker::end_idle_sessions() {
  for (Session* session : sessions_) session->end_if_idle();
}

void Worker::close_all_sessions() {
  for (Session* session : sessions_) session->close();
}

void Worker::tick() {
  refresh_clock();
  for (Session* session : sessions_) session->check_deadline(now_ms_);
  timer_.expires_after(std::chrono::milliseconds(kTickMs));
  timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) tick();
  });
}

void Worker::refresh_clock() {
  now_ms_ = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  std::time_t second = std::time(nullptr);
  if (second == date_second_) return;
  date_second_ = second;
  std::tm parts{};
  gmtime_r(&second, &parts);
  char text[64];
  date_line_.assign(text, std::strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts));
}

}  // namespace quarry::http
