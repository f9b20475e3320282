// Bounds the bytes of the sources that are held in memory at the same time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace quarry::pipeline {

// Thread-safe. One holder is always admitted, so a source larger than the budget is held alone rather than never.
class ByteBudget {
 public:
  explicit ByteBudget(uint64_t limit) : limit_(limit) {}

  // Gives its share back when it goes. Must not outlive the budget.
  class Share {
   public:
    Share(ByteBudget& budget, uint64_t bytes) : budget_(budget), bytes_(bytes) {
      std::unique_lock lock(budget_.mutex_);
      budget_.freed_.wait(lock, [&] { return budget_.held_ == 0 || budget_.held_ + bytes_ <= budget_.limit_; });
      budget_.held_ += bytes_;
    }
    ~Share() {
      std::lock_guard lock(budget_.mutex_);
      budget_.held_ -= bytes_;
      budget_.freed_.notify_all();
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

   private:
    ByteBudget& budget_;
    const uint64_t bytes_;
  };

 private:
  const uint64_t limit_;
  std::mutex mutex_;
  std::condition_variable freed_;
  uint64_t held_ = 0;
};

}  // namespace quarry::pipeline
