// The object store of a machine whose power goes in the middle of things. For tests only.
#pragma once

#include <atomic>

#include "objects/power_cut_store.h"

namespace quarry::objects {

inline constexpr std::string_view kPowerIsOff = "the power is off";

// Forwards to `disk` until the power goes: the request that is on its way then fails, done, done in part or not, and so does every later
// one. What a put or remove_many was acknowledged for is safe (ObjectStore's contract), a put_if_absent took place whole or not at all; any
// other put that was on its way, and single removals since the last such request, are kept, lost or torn at random. Thread-safe but for
// restore_power().
class PoweredStore : public ObjectStore {
 public:
  PoweredStore(ObjectStore& disk, uint64_t seed) : cut_(disk), rng_(seed) {}

  void fail_after(uint64_t requests);
  bool is_off() const { return is_off_; }
  bool is_failing() const { return left_ != kForever; }
  Status restore_power();
  // Something else that the machine keeps, written whole or not at all: `write` counts as a request, and is done or not when the power
  // goes.
  Status commit(const std::function<Status()>& write);

  Status put(std::string_view key, std::string_view bytes) override;
  Status put_if_absent(std::string_view key, std::string_view bytes) override;
  Status remove(std::string_view key) override;
  Status remove_many(std::span<const std::string> keys) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override;
  Result<ObjectInfo> head(std::string_view key) override;
  Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override;
  std::string describe() const override { return "powered+" + cut_.describe(); }

 private:
  enum class Power { kOn, kGoing, kOff };
  static constexpr uint64_t kForever = UINT64_MAX;
  Power draw_power();  // of the request that begins
  bool coin();

  PowerCutStore cut_;
  std::mutex mutex_;
  Rng rng_;
  std::atomic<uint64_t> left_{kForever};
  std::atomic<bool> is_off_{false};
};

}  // namespace quarry::objects
