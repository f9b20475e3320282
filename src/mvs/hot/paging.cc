#include "mvs/hot/paging.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace quarry::mvs {

uint64_t major_faults() {
  struct rusage usage {};
  ::getrusage(RUSAGE_THREAD, &usage);
  return uint64_t(usage.ru_majflt);
}

bool pages_lately() {
  constexpr int kCalls = 64;
  static thread_local uint64_t seen = major_faults();
  static thread_local int left = 0;
  if (const uint64_t now = major_faults(); now != seen) {
    seen = now;
    left = kCalls;
  } else if (left > 0) {
    --left;
  }
  return left > 0;
}

void read_ahead(const void* begin, size_t bytes) {
  static const auto page = uintptr_t(::sysconf(_SC_PAGESIZE));
  const uintptr_t first = uintptr_t(begin) / page * page;
  ::madvise(reinterpret_cast<void*>(first), uintptr_t(begin) + bytes - first, MADV_WILLNEED);
}

}  // namespace quarry::mvs
