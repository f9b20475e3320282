#include "extract/media/decode_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/executor.h"
#include "extract/media/decode_protocol.h"

namespace quarry::extract {
namespace {

Error extraction(std::string message) { return {ErrorKind::kExtraction, std::move(message)}; }

// Frees what posix_spawn is told.
struct SpawnPlan {
  SpawnPlan() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  // The socket becomes standard input and output; standard error goes nowhere; signals are as a fresh process has them.
  void prepare(int socket) {
    posix_spawn_file_actions_adddup2(&files, socket, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, socket, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
};

std::string signal_text(int signal) {
  if (signal == SIGXCPU) return "it used more processor time than is allowed";
  if (signal == SIGKILL) return "it was killed, probably for its memory";
  return fmt::format("it crashed ({})", strsignal(signal));
}

}  // namespace

Result<std::unique_ptr<DecodeProcess>> DecodeProcess::start(const std::filesystem::path& program, uint64_t memory_bytes) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return internal_error(fmt::format("cannot start {}: {}", program.string(), std::strerror(errno)));
  FileDescriptor ours(ends[0]), theirs(ends[1]);
  SpawnPlan plan;
  plan.prepare(theirs.get());
  std::string name = program.string(), memory = std::to_string(memory_bytes), locale = "LC_ALL=C.UTF-8";
  char* arguments[] = {name.data(), memory.data(), nullptr};
  char* environment[] = {locale.data(), nullptr};
  pid_t pid = -1;
  if (int failed = posix_spawn(&pid, name.c_str(), &plan.files, &plan.attributes, arguments, environment); failed != 0)
    return internal_error(fmt::format("cannot start the decoder {}: {}", name, std::strerror(failed)));
  return std::unique_ptr<DecodeProcess>(new DecodeProcess(pid, std::move(ours)));
}

DecodeProcess::~DecodeProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool DecodeProcess::is_idle() const {
  pollfd fd{socket_.get(), POLLIN | POLLRDHUP, 0};
  return pid_ > 0 && ::poll(&fd, 1, 0) == 0;
}

Error DecodeProcess::obituary() {
  int status = 0;
  ::kill(pid_, SIGKILL);  // changes nothing if it has ended; a child that closed its socket alone ends now
  pid_t ended;
  while ((ended = ::waitpid(pid_, &status, 0)) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (ended > 0 && WIFSIGNALED(status))
    return extraction("the file could not be decoded: the decoder ended, " + signal_text(WTERMSIG(status)));
  return extraction(fmt::format("the file could not be decoded: the decoder ended with status {}", ended > 0 ? WEXITSTATUS(status) : -1));
}

Status DecodeProcess::wait_for(short events, int64_t deadline_us) {
  const Waiting for_the_process;
  for (;;) {
    const int64_t left_us = deadline_us - system_clock().steady_us();
    if (left_us <= 0) return extraction("the file could not be decoded within the time limit");
    pollfd fd{socket_.get(), events, 0};
    int ready = ::poll(&fd, 1, static_cast<int>(std::min<int64_t>(left_us / 1000 + 1, 1'000'000)));
    if (ready > 0) return Ok{};
    if (ready < 0 && errno != EINTR) return internal_error(fmt::format("poll: {}", std::strerror(errno)));
  }
}

Status DecodeProcess::send(std::string_view bytes, int64_t deadline_us) {
  while (!bytes.empty()) {
    ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      QUARRY_RETURN_IF_ERROR(wait_for(POLLOUT, deadline_us));
    } else if (errno != EINTR) {
      return obituary();
    }
  }
  return Ok{};
}

Status DecodeProcess::send_frame(std::string_view frame, int64_t deadline_us) {
  FrameLength length = encode_length(static_cast<uint32_t>(frame.size()));
  QUARRY_RETURN_IF_ERROR(send({length.data(), length.size()}, deadline_us));
  return send(frame, deadline_us);
}

Status DecodeProcess::receive(char* out, size_t size, int64_t deadline_us) {
  while (size > 0) {
    ssize_t n = ::recv(socket_.get(), out, size, MSG_DONTWAIT);
    if (n > 0) {
      out += n, size -= static_cast<size_t>(n);
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      QUARRY_RETURN_IF_ERROR(wait_for(POLLIN, deadline_us));
    } else if (n == 0 || errno != EINTR) {
      return obituary();
    }
  }
  return Ok{};
}

Result<std::string> DecodeProcess::receive_frame(uint32_t limit, int64_t deadline_us) {
  FrameLength bytes;
  QUARRY_RETURN_IF_ERROR(receive(bytes.data(), bytes.size(), deadline_us));
  const uint32_t length = decode_length(bytes);
  if (length > limit) return extraction(fmt::format("the decoder's reply of {} bytes is over the limit of {}", length, limit));
  std::string frame(length, '\0');
  QUARRY_RETURN_IF_ERROR(receive(frame.data(), length, deadline_us));
  return frame;
}

Result<DecodeProcess::Message> DecodeProcess::exchange(std::string_view header, std::string_view body, int64_t timeout_ms) {
  QUARRY_CHECK(pid_ > 0 && header.size() <= kMaxHeaderBytes && body.size() <= kMaxRequestBytes);
  const int64_t deadline_us = system_clock().steady_us() + timeout_ms * 1000;
  QUARRY_RETURN_IF_ERROR(send_frame(header, deadline_us));
  QUARRY_RETURN_IF_ERROR(send_frame(body, deadline_us));
  Message reply;
  QUARRY_ASSIGN_OR_RETURN(reply.header, receive_frame(kMaxHeaderBytes, deadline_us));
  QUARRY_ASSIGN_OR_RETURN(reply.body, receive_frame(kMaxReplyBytes, deadline_us));
  return reply;
}

}  // namespace quarry::extract
