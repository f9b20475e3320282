#include "extract/media/decode_sandbox.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <thread>
#include <vector>

namespace quarry::extract {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // sanitizers reserve terabytes of address space and make system calls of their own
#else
constexpr bool kSanitized = false;
#endif

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArchitecture = 0;
#endif

constexpr int kAllowedCalls[] = {
    __NR_read,
    __NR_write,
    __NR_readv,
    __NR_writev,
    __NR_close,
    __NR_lseek,
    __NR_fstat,
    __NR_ppoll,
    __NR_mmap,
    __NR_munmap,
    __NR_mprotect,
    __NR_mremap,
    __NR_madvise,
    __NR_brk,
    __NR_futex,
    __NR_exit,
    __NR_exit_group,
    __NR_rt_sigaction,
    __NR_rt_sigprocmask,
    __NR_rt_sigreturn,
    __NR_sigaltstack,
    __NR_clock_gettime,
    __NR_clock_nanosleep,
    __NR_gettimeofday,
    __NR_nanosleep,
    __NR_getpid,
    __NR_gettid,
    __NR_tgkill,
    __NR_getrusage,
    __NR_prlimit64,
    __NR_getrandom,
    __NR_restart_syscall,
    __NR_sched_yield,
    __NR_sched_getaffinity,
    __NR_sysinfo,
    __NR_set_robust_list,
#ifdef __NR_poll
    __NR_poll,
#endif
#ifdef __NR_rseq
    __NR_rseq,
#endif
#ifdef __NR_time
    __NR_time,
#endif
};

void set_limit(__rlimit_resource resource, rlim_t soft, rlim_t hard) {
  rlimit limit{soft, hard};
  setrlimit(resource, &limit);
}

// Calls that are not allowed fail with EPERM: a library that tries to open a configuration file goes on without it.
void filter_system_calls() {
  if (kArchitecture == 0) return;
  std::vector<sock_filter> program{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  for (int call : kAllowedCalls) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
  sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
}

void end_with_the_server() {
  std::thread([] {
    for (;;) {
      pollfd lifeline{STDIN_FILENO, POLLRDHUP, 0};
      if (poll(&lifeline, 1, -1) > 0 && (lifeline.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL))) _exit(0);
    }
  }).detach();
}

}  // namespace

void enter_sandbox(uint64_t memory_bytes) {
  syscall(__NR_close_range, 3u, ~0u, 0u);
  end_with_the_server();
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  set_limit(RLIMIT_CORE, 0, 0);
  set_limit(RLIMIT_FSIZE, 0, 0);
  set_limit(RLIMIT_NOFILE, 3, 3);  // standard input, output and error are open already
  if (kSanitized) return;
  set_limit(RLIMIT_AS, memory_bytes, memory_bytes);
  filter_system_calls();
}

void limit_cpu(uint64_t seconds) {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto spent = static_cast<uint64_t>(used.ru_utime.tv_sec) + static_cast<uint64_t>(used.ru_stime.tv_sec) + 1;
  set_limit(RLIMIT_CPU, spent + seconds, RLIM_INFINITY);
}

}  // namespace quarry::extract
