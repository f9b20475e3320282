// Fails on a seed: the store that tests run the layers above against.
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
  FaultyStore(ObjectStore& inner, FaultPlan plan) : inner_(inner), plan_(plan), rng_(plan.seed) {}

  Status put(std::string_view key, std::string_view bytes) override {
    return write("put", key, [&] { return inner_.put(key, bytes); });
  }
  Status put_if_absent(std::string_view key, std::string_view bytes) override {
    return write("put_if_absent", key, [&] { return inner_.put_if_absent(key, bytes); });
  }
  Status remove(std::string_view key) override {
    return write("remove", key, [&] { return inner_.remove(key); });
  }
  Result<std::string> get(std::string_view key) override {
    delay(key);
    if (strikes(plan_.fail_before, key)) return fault("get", key);
    return inner_.get(key);
  }
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    delay(key);
    if (strikes(plan_.fail_before, key)) return fault("get_range", key);
    return inner_.get_range(key, offset, length);
  }
  Result<ObjectInfo> head(std::string_view key) override {
    if (strikes(plan_.fail_before, key)) return fault("head", key);
    return inner_.head(key);
  }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override {
    if (strikes(plan_.fail_before, prefix)) return fault("list", prefix);
    return inner_.list(prefix, after, limit);
  }
  std::optional<std::filesystem::path> local_path(std::string_view key) const override { return inner_.local_path(key); }
  std::string describe() const override { return "faulty+" + inner_.describe(); }

 private:
  template <typename Call>
  Status write(std::string_view what, std::string_view key, const Call& call) {
    if (strikes(plan_.fail_before, key)) return fault(what, key);
    Status status = call();
    return status.ok() && strikes(plan_.fail_after, key) ? fault(what, key) : status;
  }

  void delay(std::string_view key) const {
    if (plan_.read_delay_us > 0 && key.starts_with(plan_.prefix)) std::this_thread::sleep_for(std::chrono::microseconds(plan_.read_delay_us));
  }

  bool strikes(double probability, std::string_view key) {
    if (!key.starts_with(plan_.prefix)) return false;
    std::lock_guard lock(mutex_);
    return rng_.uniform() < probability;
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

std::unique_ptr<ObjectStore> make_faulty_store(ObjectStore& inner, FaultPlan plan) { return std::make_unique<FaultyStore>(inner, plan); }

}  // namespace quarry::objects
