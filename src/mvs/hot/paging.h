// Mapped rows that do not fit into memory: they are read from the disk as they are met, a page at a time and one after another, unless asked for.
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

}  // namespace quarry::mvs
