// A real S3 server for tests, versitygw over a temporary folder: one for the whole test program, started when first asked for.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/temporary_folder.h"
#include "objects/s3_store.h"
#include "objects/test_http_server.h"

namespace quarry::objects {

class TestS3Server {
 public:
  static constexpr const char* kAccessKey = "quarry-test";
  static constexpr const char* kSecretKey = "quarry-test-secret/with+odd=characters";

  // Null where the program is not installed; ./run test installs it.
  static TestS3Server* shared() {
    static std::unique_ptr<TestS3Server> server = start();
    return server.get();
  }

  ~TestS3Server() {
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
  }

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::filesystem::path bucket_folder(const std::string& bucket) const { return folder_.path() / bucket; }

  // Options for a bucket of the caller's own, which is made.
  S3Options fresh_bucket() {
    S3Options options;
    options.bucket = "bucket-" + std::to_string(++buckets_);
    std::filesystem::create_directory(bucket_folder(options.bucket));
    options.endpoint = endpoint();
    options.credentials = {kAccessKey, kSecretKey, "", "the test"};
    return options;
  }

 private:
  static std::filesystem::path program() {
    if (const char* named = std::getenv("QUARRY_TEST_S3_SERVER")) return named;
    std::error_code ignored;
    return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / "../../../.deps/s3/versitygw";
  }

  static std::unique_ptr<TestS3Server> start() {
    if (::access(program().c_str(), X_OK) != 0) return nullptr;
    for (int attempt = 0; attempt < 5; ++attempt) {  // another process may take the port first
      auto server = std::unique_ptr<TestS3Server>(new TestS3Server());
      if (server->answers()) return server;
    }
    QUARRY_CHECK(!"versitygw does not start");
    return nullptr;
  }

  static int free_port() {
    TestHttpServer probe([](const std::string&, int) {});
    return probe.port();
  }

  TestS3Server() : port_(free_port()) {
    const std::string path = program(), address = "127.0.0.1:" + std::to_string(port_), root = folder_.path().string();
    const std::string domain = "localhost:" + std::to_string(port_);  // bucket.localhost addresses a bucket as well
    process_ = ::fork();
    QUARRY_CHECK(process_ >= 0);
    if (process_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execl(path.c_str(), path.c_str(), "--quiet", "--access", kAccessKey, "--secret", kSecretKey, "--port", address.c_str(),
            "--virtual-domain", domain.c_str(), "posix", root.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }

  // Until it takes connections; false if it has ended instead.
  bool answers() const {
    for (int i = 0; i < 1'000; ++i) {
      if (::waitpid(process_, nullptr, WNOHANG) != 0) return false;
      FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<uint16_t>(port_));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }

  const int port_;
  const TemporaryFolder folder_{"quarry-s3"};
  pid_t process_ = -1;
  std::atomic<int> buckets_{0};
};

}  // namespace quarry::objects
