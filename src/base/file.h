// Files on the local disk: whole reads, and writes that survive a power cut.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace quarry {

Result<std::string> read_file(const std::filesystem::path& path);
Result<std::string> read_file_range(const std::filesystem::path& path, uint64_t offset, uint64_t length);
// The same of an open descriptor; `path` is for messages.
Result<std::string> read_file_range(int fd, const std::filesystem::path& path, uint64_t offset, uint64_t length);

// All of `bytes` to a descriptor, however many calls that takes; `path` is for messages.
Status write_all(int fd, std::string_view bytes, const std::filesystem::path& path);
// Temporary file, write, fsync, rename over `path`, fsync of the folder: afterwards the old or the new content is there, never a mix.
// The temporary file lies in `temporary_dir` (same file system), by default beside `path`; a crash may leave it behind as ".tmp-*".
Status write_file_atomic(const std::filesystem::path& path, std::string_view bytes, unsigned mode = 0644,
                         const std::filesystem::path& temporary_dir = {});
// The same of several pieces, one after another.
Status write_file_atomic(const std::filesystem::path& path, std::span<const std::string_view> pieces, unsigned mode = 0644,
                         const std::filesystem::path& temporary_dir = {});
// As write_file_atomic, but kAlreadyExists if `path` exists: exactly one of several racing writers succeeds (link(2)).
Status write_file_if_absent(const std::filesystem::path& path, std::string_view bytes, const std::filesystem::path& temporary_dir = {});
// An empty path means the working directory.
Status sync_directory(const std::filesystem::path& dir);
// Makes `dir` and its missing parents so that they survive a power cut.
Status make_directories(const std::filesystem::path& dir);

// Owns a file descriptor.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Takes an exclusive advisory lock on `path` (made if absent) for the life of the returned descriptor; kConflict if another process holds
// it.
Result<FileDescriptor> lock_file(const std::filesystem::path& path);

// ENOENT and ENOTDIR as kNotFound; "No space left on device" and friends as a kStorage error that names the file and says what to do.
Error errno_error(std::string_view what, const std::filesystem::path& path, int error_number);

}  // namespace quarry
