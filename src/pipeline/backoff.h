// Trying again what a full disk or a busy store refused: a bounded number of times, each wait twice the last, at most 5 s.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/result.h"
#include "pipeline/task_control.h"

namespace quarry::pipeline {

inline bool worth_retrying(const Error& error) {
  return error.kind == ErrorKind::kStorage || error.kind == ErrorKind::kTooManyRequests || error.kind == ErrorKind::kUnavailable ||
         error.kind == ErrorKind::kTimeout;
}

struct RetryPolicy {
  int attempts = 1;
  int64_t first_delay_us = 250'000;
};

// Sleeps at most 5 s between tries; a halted task gives up at once with the error at hand.
template <typename Body>
auto with_retries(const RetryPolicy& policy, const TaskControl& control, Body&& body) -> decltype(body()) {
  constexpr int64_t kMaxDelayUs = 5'000'000, kSliceUs = 20'000;
  int64_t delay_us = policy.first_delay_us;
  for (int attempt = 1;; ++attempt) {
    auto result = body();
    if (result.ok() || attempt >= policy.attempts || !worth_retrying(result.error())) return result;
    for (int64_t waited = 0; waited < delay_us && !control.halted(); waited += kSliceUs)
      std::this_thread::sleep_for(std::chrono::microseconds(std::min(kSliceUs, delay_us - waited)));
    if (control.halted()) return result;
    delay_us = std::min(delay_us * 2, kMaxDelayUs);
  }
}

}  // namespace quarry::pipeline
