#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/executor.h"

namespace quarry {
namespace {

namespace fs = std::filesystem;

fs::path temporary_name(const fs::path& path, const fs::path& dir) {
  static std::atomic<uint64_t> counter{0};
  return (dir.empty() ? path.parent_path() : dir) /
         fmt::format(".tmp-{}-{}-{}", path.filename().string().substr(0, 100), getpid(), counter++);
}

// A complete, synced temporary file that will become `path`; the caller publishes or removes it.
Result<fs::path> write_temporary(const fs::path& path, std::span<const std::string_view> pieces, unsigned mode, const fs::path& dir) {
  fs::path tmp = temporary_name(path, dir);
  FileDescriptor fd(::open(tmp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return errno_error("create", tmp, errno);
  Status written = Ok{};
  for (size_t i = 0; written.ok() && i < pieces.size(); ++i) written = write_all(fd.get(), pieces[i], path);
  const Waiting for_the_disk;
  if (written.ok() && ::fsync(fd.get()) != 0) written = errno_error("fsync", path, errno);
  if (!written.ok()) {
    ::unlink(tmp.c_str());
    return std::move(written).error();
  }
  return tmp;
}

}  // namespace

Status write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return errno_error("write", path, errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return Ok{};
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Error errno_error(std::string_view what, const fs::path& path, int error_number) {
  if (error_number == ENOENT || error_number == ENOTDIR) return not_found(fmt::format("{} {}: no such file", what, path.string()));
  std::string hint = error_number == ENOSPC ? " (the disk is full: free space and retry; reads go on)" : "";
  json::object details;
  if (error_number == ENOSPC || error_number == EDQUOT) details["reason"] = "disk_full";
  return {ErrorKind::kStorage, fmt::format("{} {}: {}{}", what, path.string(), std::strerror(error_number), hint), details};
}

Result<std::string> read_file_range(const fs::path& path, uint64_t offset, uint64_t length) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error("open", path, errno);
  return read_file_range(fd.get(), path, offset, length);
}

Result<std::string> read_file_range(int fd, const fs::path& path, uint64_t offset, uint64_t length) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return errno_error("stat", path, errno);
  if (!S_ISREG(info.st_mode)) return bad_request(fmt::format("{} is not a regular file", path.string()));
  auto size = static_cast<uint64_t>(info.st_size);
  if (offset >= size) return std::string();
  std::string out(std::min(length, size - offset), '\0');
  size_t done = 0;
  while (done < out.size()) {
    ssize_t n = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("read", path, errno);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  out.resize(done);
  return out;
}

Result<std::string> read_file(const fs::path& path) { return read_file_range(path, 0, UINT64_MAX); }

Status sync_directory(const fs::path& dir) {
  FileDescriptor fd(::open(dir.empty() ? "." : dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno_error("open", dir, errno);
  const Waiting for_the_disk;
  if (::fsync(fd.get()) != 0) return errno_error("fsync", dir, errno);
  return Ok{};
}

Status make_directories(const fs::path& dir) {
  if (dir.empty() || ::mkdir(dir.c_str(), 0755) == 0) return dir.empty() ? Status(Ok{}) : sync_directory(dir.parent_path());
  if (errno == EEXIST) {
    struct stat info {};
    if (::stat(dir.c_str(), &info) != 0) return errno_error("create folder", dir, errno);  // it was removed meanwhile
    if (S_ISDIR(info.st_mode)) return Ok{};
    return bad_request(fmt::format("{} exists and is not a folder", dir.string()));
  }
  if (errno != ENOENT) return errno_error("create folder", dir, errno);
  QUARRY_RETURN_IF_ERROR(make_directories(dir.parent_path()));
  if (::mkdir(dir.c_str(), 0755) != 0 && errno != EEXIST) return errno_error("create folder", dir, errno);
  return sync_directory(dir.parent_path());
}

Status write_file_atomic(const fs::path& path, std::string_view bytes, unsigned mode, const fs::path& temporary_dir) {
  return write_file_atomic(path, {&bytes, 1}, mode, temporary_dir);
}

Status write_file_atomic(const fs::path& path, std::span<const std::string_view> pieces, unsigned mode, const fs::path& temporary_dir) {
  QUARRY_ASSIGN_OR_RETURN(fs::path tmp, write_temporary(path, pieces, mode, temporary_dir));
  if (::rename(tmp.c_str(), path.c_str()) != 0) {
    int error_number = errno;
    ::unlink(tmp.c_str());
    return errno_error("rename to", path, error_number);
  }
  return sync_directory(path.parent_path());
}

Status write_file_if_absent(const fs::path& path, std::string_view bytes, const fs::path& temporary_dir) {
  QUARRY_ASSIGN_OR_RETURN(fs::path tmp, write_temporary(path, {&bytes, 1}, 0644, temporary_dir));
  int rc = ::link(tmp.c_str(), path.c_str());
  int error_number = errno;
  ::unlink(tmp.c_str());
  if (rc != 0 && error_number == EEXIST) return already_exists(path.string() + " exists already");
  if (rc != 0) return errno_error("link", path, error_number);
  return sync_directory(path.parent_path());
}

Result<FileDescriptor> lock_file(const fs::path& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return errno_error("open", path, errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return errno_error("lock", path, errno);
    return Error{ErrorKind::kConflict, fmt::format("{} is locked by another process", path.string())};
  }
  return fd;
}

}  // namespace quarry
