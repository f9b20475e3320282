// A private PostgreSQL server for tests: a fresh cluster in a temporary folder, reached over a unix socket only.
#pragma once

#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace quarry::catalog {

// The environment variable QUARRY_TEST_POSTGRES (a libpq connection string of keywords) wins; else the installed binaries are started once
// a process.
class PostgresCluster {
 public:
  // Empty if there is no server to be had; why_not() then says so.
  static const std::string& connection() { return instance().connection_; }
  static const std::string& why_not() { return instance().why_not_; }

 private:
  static PostgresCluster& instance() {
    static PostgresCluster cluster;
    return cluster;
  }

  PostgresCluster() {
    if (const char* given = std::getenv("QUARRY_TEST_POSTGRES"); given != nullptr && *given != '\0') {
      connection_ = given;
      return;
    }
    if (!std::filesystem::exists(binary("postgres"))) {
      why_not_ = "QUARRY_TEST_POSTGRES is not set and " + binary("postgres") + " is not installed";
      return;
    }
    start();
  }

  ~PostgresCluster() {
    if (server_ > 0) {
      kill(server_, SIGINT);  // fast shutdown
      int status;
      waitpid(server_, &status, 0);
    }
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  static std::string binary(const std::string& name) { return "/usr/lib/postgresql/15/bin/" + name; }

  void start() {
    std::string pattern = (std::filesystem::temp_directory_path() / "quarry-pg-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return fail("cannot make a folder");
    folder_ = pattern;
    if (!own_by_user()) return fail("PostgreSQL refuses to run as root, and there is no user to run it as");
    pid_t init = spawn(
        {binary("initdb"), "-D", folder_ + "/data", "-U", "quarry", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"});
    int status = 1;
    waitpid(init, &status, 0);
    if (status != 0) return fail("initdb failed");
    server_ =
        spawn({binary("postgres"), "-D", folder_ + "/data", "-k", folder_, "-c", "listen_addresses=", "-c", "fsync=off", "-c",
               "full_page_writes=off", "-c", "max_connections=60", "-c", "log_min_messages=fatal", "-c", "log_min_error_statement=fatal"});
    connection_ = "host=" + folder_ + " user=quarry dbname=postgres";
    wait_until_ready();
  }

  void fail(const std::string& why) {
    why_not_ = why;
    connection_.clear();
  }

  bool own_by_user() {
    if (geteuid() != 0) return true;
    for (const char* name : {"postgres", "nobody"}) {
      const passwd* user = getpwnam(name);
      if (user == nullptr || chown(folder_.c_str(), user->pw_uid, user->pw_gid) != 0) continue;
      uid_ = user->pw_uid;
      gid_ = user->pw_gid;
      return true;
    }
    return false;
  }

  pid_t spawn(const std::vector<std::string>& command) {
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_t child = fork();
    if (child != 0) return child;
    if (uid_ != 0 && (setgid(gid_) != 0 || setuid(uid_) != 0)) _exit(126);
    if (freopen("/dev/null", "w", stdout) == nullptr || freopen((folder_ + "/log").c_str(), "a", stderr) == nullptr || chdir("/") != 0)
      _exit(126);
    execv(argv[0], argv.data());
    _exit(127);
  }

  // Up when a client can connect; at most 30 s.
  void wait_until_ready() {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < deadline) {
      pid_t probe = spawn({binary("pg_isready"), "-q", "-h", folder_});
      int status = 1;
      waitpid(probe, &status, 0);
      if (status == 0) return;
      int server_status;
      if (waitpid(server_, &server_status, WNOHANG) == server_) {
        server_ = -1;
        return fail("the PostgreSQL server stopped at start; see its log");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    fail("the PostgreSQL server did not become ready");
  }

  std::string folder_, connection_, why_not_;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  pid_t server_ = -1;
};

}  // namespace quarry::catalog
