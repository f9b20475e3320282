// Files on the local disk: whole reads, and writes that survive a power cut.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quarry {

Result<std::string> read_file(const std::filesystem::path& path);
Result<std::string> read_file_range(const std::filesystem::path& path, uint64_t offset, uint64_t length);

// Temporary file, write, fsync, rename over `path`, fsync of the folder: afterwards the old or the new content is there, never a mix.
Status write_file_atomic(const std::filesystem::path& path, std::string_view bytes, unsigned mode = 0644);
// As write_file_atomic, but kAlreadyExists if `path` exists: exactly one of several racing writers succeeds (link(2)).
Status write_file_if_absent(const std::filesystem::path& path, std::string_view bytes);
Status sync_directory(const std::filesystem::path& dir);

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

// Takes an exclusive advisory lock on `path` (made if absent) for the life of the returned descriptor; kConflict if another process holds it.
Result<FileDescriptor> lock_file(const std::filesystem::path& path);

// "No space left on device" and friends as a kStorage error that names the file and says what to do.
Error errno_error(std::string_view what, const std::filesystem::path& path, int error_number);

}  // namespace quarry
