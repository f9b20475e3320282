#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "main/server_app.h"
#include "main/verbs/verbs.h"

namespace quarry::verbs {
namespace {

constexpr int64_t kForcedStopMs = 20'000;  // past stop.grace_ms, for what was told to end

LogLevel parse_level(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

void configure_logs(const Config& config) {
  LogOptions options;
  options.level = parse_level(config.text("log.level"));
  std::string format = config.text("log.format");
  options.as_json = format == "json" || (format == "auto" && isatty(STDERR_FILENO) != 1);
  configure_logging(options);
}

// Before any thread starts, so that every thread inherits the mask and only sigwait below takes them.
sigset_t block_stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

void print_new_key(const std::string& key) {
  std::fprintf(stderr,
               "\nA first admin key was made. It is shown only now and stored hashed:\n\n    %s\n\n"
               "Send it as 'Authorization: Bearer KEY'. Lost it? 'quarry keys reset --data DIR' makes another.\n\n",
               key.c_str());
}

// Ends the process where a stop takes too long: what is stored survives a death at any moment, so nothing is worth a hang.
class StopLimit {
 public:
  explicit StopLimit(int64_t limit_ms) : thread_([this, limit_ms] { wait(limit_ms); }) {}
  ~StopLimit() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  void wait(int64_t limit_ms) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, std::chrono::milliseconds(limit_ms), [&] { return stopped_; })) return;
    log_error("work still runs though it was told to end; the process ends without it", {{"waited_ms", limit_ms}});
    _exit(1);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace

int serve(const Config& config) {
  configure_logs(config);
  sigset_t stop_signals = block_stop_signals();
  auto app = ServerApp::open(config);
  if (!app.ok()) return fail(app.error());
  Status started = (*app)->start();
  if (!started.ok()) return fail(started.error());
  if (!(*app)->new_key().empty()) print_new_key((*app)->new_key());
  std::printf("quarry ready %s\n", (*app)->url().c_str());
  std::fflush(stdout);
  int signal_number = 0;
  sigwait(&stop_signals, &signal_number);
  log_info("stopping", {{"signal", signal_number}});
  {
    StopLimit limit(config.integer("stop.grace_ms") + kForcedStopMs);
    (*app)->stop();
  }
  log_info("stopped");
  return 0;
}

int fail(const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.message.c_str());
  if (const auto* errors = error.details.if_contains("validation_errors"); errors != nullptr && errors->is_array())
    for (const auto& e : errors->as_array()) std::fprintf(stderr, "  %s\n", json::serialize(e).c_str());
  return 1;
}

}  // namespace quarry::verbs
