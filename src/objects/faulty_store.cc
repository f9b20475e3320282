// Fails and dawdles on a seed: the store that tests run the layers above against.
#include <fmt/format.h>

#include <chrono>
#include <mutex>
#include <thread>

#include "base/rng.h"
#include "objects/object_store.h"

namespace quarry::objects {
namespace {

class FaultyStore : public ObjectStore {
 public:
  FaultyStore(ObjectStore& inner, FaultPlan plan) : inner_(inner), plan_(std::move(plan)), rng_(plan_.seed) {}

  Status put(std::string_view key, std::string_view bytes) override {
    return write("put", key, [&]() -> Status {
      if (!strikes(plan_.tear, key)) return inner_.put(key, bytes);
      QUARRY_RETURN_IF_ERROR(inner_.put(key, bytes.substr(0, below(bytes.size()))));
      return fault("put", key);
    });
  }
  Status put_if_absent(std::string_view key, std::string_view bytes) override {
    return write("put_if_absent", key, [&] { return inner_.put_if_absent(key, bytes); });
  }
  Status remove(std::string_view key) override {
    return write("remove", key, [&] { return inner_.remove(key); });
  }
  Status remove_many(std::span<const std::string> keys) override {  // one request, as far as faults go
    return write("remove_many", keys.empty() ? std::string_view() : keys.front(), [&] { return inner_.remove_many(keys); });
  }
  Result<std::string> get(std::string_view key) override {
    delay(key, plan_.read_delay_us);
    return read("get", key, [&] { return inner_.get(key); });
  }
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    delay(key, plan_.read_delay_us);
    return read("get_range", key, [&] { return inner_.get_range(key, offset, length); });
  }
  Result<ObjectInfo> head(std::string_view key) override {
    return read("head", key, [&] { return inner_.head(key); });
  }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override {
    return read("list", prefix, [&] { return inner_.list(prefix, after, limit); });
  }
  // Reading a mapped file is no request, and would escape the delay.
  std::optional<std::filesystem::path> local_path(std::string_view key) const override {
    return plan_.latency_us > 0 || plan_.read_delay_us > 0 ? std::nullopt : inner_.local_path(key);
  }
  std::optional<std::string> presign_get(std::string_view key, int64_t ttl_s) const override { return inner_.presign_get(key, ttl_s); }
  std::optional<std::string> presign_put(std::string_view key, int64_t ttl_s) const override { return inner_.presign_put(key, ttl_s); }
  std::string describe() const override { return "faulty+" + inner_.describe(); }

 private:
  template <typename Call>
  auto read(std::string_view what, std::string_view key, const Call& call) -> decltype(call()) {
    delay(key, plan_.latency_us);
    if (strikes(plan_.fail_before, key)) return fault(what, key);
    return call();
  }
  template <typename Call>
  Status write(std::string_view what, std::string_view key, const Call& call) {
    delay(key, plan_.latency_us);
    if (strikes(plan_.fail_before, key)) return fault(what, key);
    Status status = call();
    return status.ok() && strikes(plan_.fail_after, key) ? fault(what, key) : status;
  }

  // Without the mutex: callers wait beside each other, as they do for a store far away.
  void delay(std::string_view key, int64_t us) const {
    if (us <= 0 || !key.starts_with(plan_.prefix)) return;
    if (plan_.wait) return plan_.wait(us);
    std::this_thread::sleep_for(std::chrono::microseconds(us));
  }

  bool strikes(double probability, std::string_view key) {
    if (probability <= 0 || !key.starts_with(plan_.prefix)) return false;
    std::lock_guard lock(mutex_);
    return rng_.uniform() < probability;
  }
  size_t below(size_t bound) {
    std::lock_guard lock(mutex_);
    return bound == 0 ? 0 : rng_.below(bound);
  }

  Error fault(std::string_view what, std::string_view key) const {
    return storage_error(fmt::format("{} '{}': injected fault", what, key));
  }

  ObjectStore& inner_;
  const FaultPlan plan_;
  std::mutex mutex_;
  Rng rng_;
};

}  // namespace

std::unique_ptr<ObjectStore> make_faulty_store(ObjectStore& inner, FaultPlan plan) {
  return std::make_unique<FaultyStore>(inner, std::move(plan));
}

}  // namespace quarry::objects
