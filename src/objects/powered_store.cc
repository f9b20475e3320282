#include "objects/powered_store.h"

namespace quarry::objects {
namespace {

Error power_is_off() { return storage_error(std::string(kPowerIsOff)); }

}  // namespace

void PoweredStore::fail_after(uint64_t requests) {
  std::lock_guard lock(mutex_);
  left_ = requests;
}

Status PoweredStore::restore_power() {
  std::lock_guard lock(mutex_);
  QUARRY_RETURN_IF_ERROR(cut_.power_cut(rng_));
  left_ = kForever;
  is_off_ = false;
  return Ok{};
}

PoweredStore::Power PoweredStore::draw_power() {
  std::lock_guard lock(mutex_);
  if (is_off_) return Power::kOff;
  if (left_ == kForever) return Power::kOn;
  if (left_ > 0) {
    --left_;
    return Power::kOn;
  }
  is_off_ = true;
  return Power::kGoing;
}

bool PoweredStore::coin() {
  std::lock_guard lock(mutex_);
  return rng_.below(2) == 0;
}

Status PoweredStore::put(std::string_view key, std::string_view bytes) {
  const Power power = draw_power();
  if (power == Power::kOff) return power_is_off();
  Status status = cut_.put(key, bytes);
  if (power == Power::kGoing) return power_is_off();
  if (status.ok()) cut_.sync();
  return status;
}

Status PoweredStore::commit(const std::function<Status()>& write) {
  const Power power = draw_power();
  if (power == Power::kOff || (power == Power::kGoing && coin())) return power_is_off();
  Status status = write();
  return power == Power::kGoing ? Status(power_is_off()) : status;
}

Status PoweredStore::put_if_absent(std::string_view key, std::string_view bytes) {
  return commit([&] {
    Status status = cut_.put_if_absent(key, bytes);
    if (status.ok()) cut_.sync();
    return status;
  });
}

Status PoweredStore::remove(std::string_view key) {
  const Power power = draw_power();
  if (power == Power::kOff) return power_is_off();
  Status status = cut_.remove(key);
  return power == Power::kGoing ? Status(power_is_off()) : status;
}

Status PoweredStore::remove_many(std::span<const std::string> keys) {
  for (const std::string& key : keys) QUARRY_RETURN_IF_ERROR(remove(key));
  cut_.sync();
  return Ok{};
}

Result<std::string> PoweredStore::get(std::string_view key) {
  if (draw_power() != Power::kOn) return power_is_off();
  return cut_.get(key);
}

Result<std::string> PoweredStore::get_range(std::string_view key, uint64_t offset, uint64_t length) {
  if (draw_power() != Power::kOn) return power_is_off();
  return cut_.get_range(key, offset, length);
}

Result<ObjectInfo> PoweredStore::head(std::string_view key) {
  if (draw_power() != Power::kOn) return power_is_off();
  return cut_.head(key);
}

Result<std::vector<ObjectInfo>> PoweredStore::list(std::string_view prefix, std::string_view after, size_t limit) {
  if (draw_power() != Power::kOn) return power_is_off();
  return cut_.list(prefix, after, limit);
}

}  // namespace quarry::objects
