#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "base/executor.h"
#include "base/rng.h"
#include "objects/object_store.h"

namespace quarry::objects {
namespace {

constexpr int64_t kMaxDelayUs = 2'000'000;

bool may_pass(const Error& error) { return error.kind == ErrorKind::kStorage && !error.details.contains("reason"); }

class RetryingStore : public ObjectStore {
 public:
  RetryingStore(ObjectStore& inner, int attempts, int64_t first_delay_us)
      : inner_(inner), attempts_(std::max(attempts, 1)), first_delay_us_(std::max<int64_t>(first_delay_us, 0)) {}

  Status put(std::string_view key, std::string_view bytes) override {
    return retried([&] { return inner_.put(key, bytes); });
  }

  Status put_if_absent(std::string_view key, std::string_view bytes) override {
    bool unclear = false;  // an earlier attempt may have written
    Status status = retried([&]() -> Status {
      Status attempt = inner_.put_if_absent(key, bytes);
      if (unclear && !attempt.ok() && attempt.error().kind == ErrorKind::kAlreadyExists)
        return ours(key, bytes, std::move(attempt).error());
      unclear = unclear || (!attempt.ok() && may_pass(attempt.error()));
      return attempt;
    });
    if (status.ok() || !may_pass(status.error())) return status;
    Error error = std::move(status).error();
    error.details["outcome"] = "unknown";
    return error;
  }

  Result<std::string> get(std::string_view key) override {
    return retried([&] { return inner_.get(key); });
  }
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    return retried([&] { return inner_.get_range(key, offset, length); });
  }
  Result<ObjectInfo> head(std::string_view key) override {
    return retried([&] { return inner_.head(key); });
  }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override {
    return retried([&] { return inner_.list(prefix, after, limit); });
  }
  Status remove(std::string_view key) override {
    return retried([&] { return inner_.remove(key); });
  }
  Status remove_many(std::span<const std::string> keys) override {
    return retried([&] { return inner_.remove_many(keys); });
  }
  std::optional<std::string> presign_get(std::string_view key, int64_t ttl_s) const override { return inner_.presign_get(key, ttl_s); }
  std::optional<std::string> presign_put(std::string_view key, int64_t ttl_s) const override { return inner_.presign_put(key, ttl_s); }
  std::optional<std::filesystem::path> local_path(std::string_view key) const override { return inner_.local_path(key); }
  std::string describe() const override { return inner_.describe(); }

 private:
  template <typename Call>
  auto retried(const Call& call) -> decltype(call()) {
    auto result = call();
    for (int i = 1; i < attempts_ && !result.ok() && may_pass(result.error()); ++i) {
      wait_before(i);
      result = call();
    }
    return result;
  }

  // Success if what lies at `key` is what we tried to put; else `taken`.
  Status ours(std::string_view key, std::string_view bytes, Error taken) {
    QUARRY_ASSIGN_OR_RETURN(std::string stored, inner_.get(key));
    if (stored == bytes) return Ok{};
    return taken;
  }

  // Full jitter: uniform in [0, delay], so that racing callers spread out.
  void wait_before(int attempt) {
    int64_t ceiling = std::min(kMaxDelayUs, first_delay_us_ << std::min(attempt - 1, 20));
    Rng rng(static_cast<uint64_t>(system_clock().steady_us()) ^ (calls_.fetch_add(1) << 32));
    const Waiting for_its_time;
    std::this_thread::sleep_for(std::chrono::microseconds(rng.below(static_cast<uint64_t>(ceiling) + 1)));
  }

  ObjectStore& inner_;
  const int attempts_;
  const int64_t first_delay_us_;
  std::atomic<uint64_t> calls_{0};
};

}  // namespace

std::unique_ptr<ObjectStore> make_retrying_store(ObjectStore& inner, int attempts, int64_t first_delay_us) {
  return std::make_unique<RetryingStore>(inner, attempts, first_delay_us);
}

}  // namespace quarry::objects
