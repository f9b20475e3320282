// Files of vectors as benches exchange them.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

// Rows of 32-bit values behind a 32-bit count, as .fvecs and .ivecs hold them; mapped, not read.
template <class T>
class Rows {
 public:
  explicit Rows(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY);
    struct stat info{};
    if (fd < 0 || ::fstat(fd, &info) != 0) throw std::runtime_error("cannot open " + path);
    bytes_ = size_t(info.st_size);
    base_ = static_cast<const T*>(::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, fd, 0));
    ::close(fd);
    dimension = size_t(*reinterpret_cast<const int32_t*>(base_));
    count = bytes_ / (4 * (dimension + 1));
  }
  const T* row(size_t i) const { return base_ + i * (dimension + 1) + 1; }
  size_t bytes() const { return bytes_; }
  // From now on a page that is not in memory is read alone, without its neighbours.
  void read_at_random() const { ::madvise(const_cast<T*>(base_), bytes_, MADV_RANDOM); }

  size_t dimension = 0, count = 0;

 private:
  const T* base_;
  size_t bytes_ = 0;
};
