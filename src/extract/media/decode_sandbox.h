// What quarry-decode denies itself before it reads a byte from outside.
#pragma once

#include <cstdint>

namespace quarry::extract {

// Address space at most `memory_bytes`; no files but the three open ones, no core file, nothing written, no new privileges; of system calls
// only those for memory, threads, time and the open descriptors (where the kernel has seccomp). Ends the process, with everything it was
// doing, when the other end of standard input closes: the server died. (PR_SET_PDEATHSIG would tell when the server's thread ends instead.)
// Call once, early, from the only thread.
void enter_sandbox(uint64_t memory_bytes);

// At most `seconds` more of processor time, then SIGXCPU.
void limit_cpu(uint64_t seconds);

}  // namespace quarry::extract
