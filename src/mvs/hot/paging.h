// Rows that have to come from somewhere slow: asked for before they are looked at, they come at the same time instead of one after another.
// Mapped rows that do not fit into memory are read from the disk, a page at a time; others come into the processor's caches line by line.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quarry::mvs {

// How often the calling thread has waited for the disk to bring in a mapped page. A system call, a third of a microsecond.
uint64_t major_faults();

// Whether rows here and there should be asked for before they are looked at: for 64 calls after one that found that the calling thread had waited
// since the call before. Where all is in memory that is never, and asking, a system call a row, would cost more than it could bring.
bool pages_lately();

// Has the pages of a mapping that hold these bytes read, all at the same time. Does not wait for them.
void read_ahead(const void* begin, size_t bytes);

// Has the processor bring these bytes into its caches. Does not wait for them.
inline void prefetch(const void* begin, size_t bytes) {
  for (size_t b = 0; b < bytes; b += 64) __builtin_prefetch(static_cast<const char*>(begin) + b);
}

}  // namespace quarry::mvs
