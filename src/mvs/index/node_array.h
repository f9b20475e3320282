// Records of one size that grow at the end and never move.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace quarry::mvs {

// One writer grows; readers may read any record that was published to them by other means (an acquire load of a count). Address space for
// `capacity` records is reserved at once; memory is taken as records come, in pages of 4 KiB, or of 2 MiB where the array is large.
class NodeArray {
 public:
  NodeArray(size_t record_bytes, size_t capacity)
      : record_bytes_(record_bytes), capacity_(capacity), reserved_(round_up(record_bytes * capacity + kHugePage, kHugePage)) {
    void* at = mmap(nullptr, reserved_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return;
    mapping_ = static_cast<uint8_t*>(at);
    base_ = reinterpret_cast<uint8_t*>(round_up(reinterpret_cast<uintptr_t>(mapping_), kHugePage));
  }
  ~NodeArray() {
    if (mapping_ != nullptr) munmap(mapping_, reserved_);
  }
  NodeArray(const NodeArray&) = delete;
  NodeArray& operator=(const NodeArray&) = delete;

  uint8_t* at(uint32_t node) const { return base_ + size_t(node) * record_bytes_; }
  uint8_t* base() const { return base_; }
  size_t record_bytes() const { return record_bytes_; }
  size_t capacity() const { return capacity_; }

  // Makes records [0, count) writable; new ones are zero. False: past the capacity, or no memory.
  bool grow(size_t count) {
    if (base_ == nullptr || count > capacity_) return false;
    const size_t wanted = count * record_bytes_;
    if (wanted <= usable_) return true;
    const size_t step = std::max(wanted, usable_ + usable_ / 8);
    const size_t usable = std::min(round_up(step, kHugePage), reserved_ - size_t(base_ - mapping_));
    if (mprotect(base_ + usable_, usable - usable_, PROT_READ | PROT_WRITE) != 0) return false;
    if (wanted >= 4 * kHugePage) madvise(base_ + usable_, usable - usable_, MADV_HUGEPAGE);
    usable_ = usable;
    return true;
  }

 private:
  static constexpr size_t kHugePage = 2 << 20;
  static constexpr size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

  const size_t record_bytes_, capacity_, reserved_;
  uint8_t* mapping_ = nullptr;
  uint8_t* base_ = nullptr;
  size_t usable_ = 0;
};

}  // namespace quarry::mvs
