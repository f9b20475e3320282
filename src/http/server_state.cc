#include "http/server_state.h"

namespace quarry::http {

bool Budget::Lease::grow(Budget& budget, uint64_t by) {
  uint64_t before = budget.used_.fetch_add(by);
  if (before + by > budget.limit_) {
    budget.used_.fetch_sub(by);
    return false;
  }
  budget_ = &budget;
  held_ += by;
  return true;
}

void Budget::Lease::release() {
  if (budget_ != nullptr) budget_->used_.fetch_sub(held_);
  budget_ = nullptr;
  held_ = 0;
}

void ServerState::session_ended() {
  if (sessions_.fetch_sub(1) != 1) return;
  std::lock_guard lock(mutex_);
  none_left_.notify_all();
}

bool ServerState::wait_for_sessions(int64_t timeout_ms) {
  std::unique_lock lock(mutex_);
  return none_left_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return sessions_.load() == 0; });
}

}  // namespace quarry::http
