// One quarry-decode child and the socket to it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace quarry::extract {

// Not thread-safe. The destructor kills the child and waits for it.
class DecodeProcess {
 public:
  struct Message {
    std::string header, body;
  };

  // kInternal when the program cannot be started.
  static Result<std::unique_ptr<DecodeProcess>> start(const std::filesystem::path& program, uint64_t memory_bytes);
  ~DecodeProcess();
  DecodeProcess(const DecodeProcess&) = delete;
  DecodeProcess& operator=(const DecodeProcess&) = delete;

  // Sends one request and waits for its reply. After an error the process is of no use any more. kExtraction: the child crashed, was killed
  // by a limit, broke the protocol or took longer than `timeout_ms`.
  Result<Message> exchange(std::string_view header, std::string_view body, int64_t timeout_ms);
  // False once the child has ended (or answered unasked).
  bool is_idle() const;

 private:
  DecodeProcess(pid_t pid, FileDescriptor socket) : pid_(pid), socket_(std::move(socket)) {}
  Status wait_for(short events, int64_t deadline_us);
  Status send(std::string_view bytes, int64_t deadline_us);
  Status send_frame(std::string_view frame, int64_t deadline_us);
  Status receive(char* out, size_t size, int64_t deadline_us);
  Result<std::string> receive_frame(uint32_t limit, int64_t deadline_us);
  // Why the child is gone.
  Error obituary();

  pid_t pid_;
  FileDescriptor socket_;
};

}  // namespace quarry::extract
