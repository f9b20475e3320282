#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "http/dispatcher.h"
#include "http/http.h"
#include "http/session.h"

namespace quarry::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr size_t kQueuePerHandler = 64;
constexpr int64_t kForcedCloseMs = 2'000;
constexpr auto kAcceptPause = std::chrono::milliseconds(100);  // after "too many open files" and the like

asio::awaitable<void> run_session(Worker& worker, ServerState& state, tcp::socket socket) {
  Session session(worker, state, std::move(socket));
  co_await session.run();
}

class ServerImpl final : public Server {
 public:
  ServerImpl(Options options, service::Api& api, std::shared_ptr<const ContractDocument> contract)
      : options_(std::move(options)),
        dispatcher_(options_, api, contract),
        metrics_(contract->operations()),
        handlers_("http-handler", options_.handler_threads, options_.handler_threads * kQueuePerHandler, 0,
                  std::max<size_t>(2, std::thread::hardware_concurrency())),
        state_(options_, dispatcher_, metrics_, handlers_) {
    for (size_t i = 0; i < options_.io_threads; ++i) workers_.push_back(std::make_unique<Worker>());
    acceptor_.emplace(workers_[0]->context());
    accept_pause_.emplace(workers_[0]->context());
  }

  ~ServerImpl() override {
    stop(0);
    accept_pause_.reset();
    acceptor_.reset();
    workers_.clear();  // and with them sessions, which point at what is declared above
  }

  Status start() override;
  uint16_t port() const override { return port_; }
  void stop(int64_t grace_ms) override;

 private:
  Status listen();
  asio::awaitable<void> accept_loop();
  void take(tcp::socket socket, Worker& worker);

  const Options options_;
  Dispatcher dispatcher_;
  HttpMetrics metrics_;
  Executor handlers_;
  ServerState state_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::optional<tcp::acceptor> acceptor_;
  std::optional<asio::steady_timer> accept_pause_;
  uint16_t port_ = 0;
  bool started_ = false, stopped_ = false;
};

Status ServerImpl::listen() {
  std::string where = fmt::format("{}:{}", options_.host, options_.port);
  boost::system::error_code ec;
  asio::ip::address address = asio::ip::make_address(options_.host == "localhost" ? "127.0.0.1" : options_.host, ec);
  if (ec) return bad_request("cannot listen on " + where + ": the host is not an IP address");
  tcp::endpoint endpoint(address, options_.port);
  acceptor_->open(endpoint.protocol(), ec);
  if (!ec) acceptor_->set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor_->bind(endpoint, ec);
  if (!ec) acceptor_->listen(asio::socket_base::max_listen_connections, ec);
  if (ec == asio::error::address_in_use) return Error{ErrorKind::kConflict, where + " is in use by another program"};
  if (ec) return Error{ErrorKind::kUnavailable, "cannot listen on " + where + ": " + ec.message()};
  port_ = acceptor_->local_endpoint().port();
  return Ok{};
}

Status ServerImpl::start() {
  QUARRY_CHECK(!started_);
  QUARRY_RETURN_IF_ERROR(listen());
  started_ = true;
  asio::co_spawn(workers_[0]->context(), accept_loop(), asio::detached);
  for (size_t i = 0; i < workers_.size(); ++i) workers_[i]->start(fmt::format("http-io-{}", i));
  return Ok{};
}

asio::awaitable<void> ServerImpl::accept_loop() {
  for (size_t next = 0; acceptor_->is_open();) {
    Worker& worker = *workers_[next];
    auto [ec, socket] = co_await acceptor_->async_accept(worker.context(), asio::as_tuple(asio::use_awaitable));
    if (!ec) {
      take(std::move(socket), worker);
      next = (next + 1) % workers_.size();
      continue;
    }
    if (ec == asio::error::operation_aborted || !acceptor_->is_open()) co_return;
    log_warn("accept failed", {{"what", ec.message()}});
    accept_pause_->expires_after(kAcceptPause);
    co_await accept_pause_->async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

void ServerImpl::take(tcp::socket socket, Worker& worker) {
  boost::system::error_code ignored;
  if (state_.sessions() >= options_.max_connections) {
    metrics_.refused.Increment();
    socket.non_blocking(true, ignored);
    std::string_view refusal = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    socket.write_some(asio::buffer(refusal), ignored);
    return;
  }
  socket.set_option(tcp::no_delay(true), ignored);
  state_.session_began();
  asio::co_spawn(worker.context(), run_session(worker, state_, std::move(socket)), asio::detached);
}

void ServerImpl::stop(int64_t grace_ms) {
  if (!started_ || stopped_) return;
  stopped_ = true;
  state_.stopping = true;
  asio::post(workers_[0]->context(), [this] {
    boost::system::error_code ignored;
    acceptor_->close(ignored);
  });
  for (auto& worker : workers_) asio::post(worker->context(), [w = worker.get()] { w->end_idle_sessions(); });
  if (!state_.wait_for_sessions(grace_ms)) {
    dispatcher_.abandon_requests();
    for (auto& worker : workers_) asio::post(worker->context(), [w = worker.get()] { w->close_all_sessions(); });
    state_.wait_for_sessions(kForcedCloseMs);
  }
  handlers_.stop();  // what runs, finishes: it may point into a session
  for (auto& worker : workers_) worker->stop();
}

}  // namespace

Result<std::unique_ptr<Server>> Server::make(Options options, service::Api& api, std::shared_ptr<const Contract> contract) {
  auto document = std::dynamic_pointer_cast<const ContractDocument>(contract);
  if (document == nullptr) return internal_error("the HTTP server needs the contract that Contract::load_embedded made");
  options.io_threads = std::max<size_t>(1, options.io_threads);
  options.handler_threads = std::max<size_t>(1, options.handler_threads);
  try {
    return std::unique_ptr<Server>(std::make_unique<ServerImpl>(std::move(options), api, std::move(document)));
  } catch (const std::exception& e) {
    return Error{ErrorKind::kUnavailable, std::string("cannot make the HTTP server: ") + e.what()};
  }
}

}  // namespace quarry::http
