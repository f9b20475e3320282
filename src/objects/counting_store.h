// Counts what passes through to another store.
#pragma once

#include <atomic>

#include "objects/object_store.h"

namespace quarry::objects {

// `inner` must outlive it. Calls are counted whether they succeed or not, bytes only when they do.
class CountingStore : public ObjectStore {
 public:
  explicit CountingStore(ObjectStore& inner) : inner_(inner) {}

  Status put(std::string_view key, std::string_view bytes) override;
  Status put_if_absent(std::string_view key, std::string_view bytes) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override;
  Result<ObjectInfo> head(std::string_view key) override;
  Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override;
  Status remove(std::string_view key) override;
  Status remove_many(std::span<const std::string> keys) override;
  std::optional<std::filesystem::path> local_path(std::string_view key) const override { return inner_.local_path(key); }
  std::optional<std::string> presign_get(std::string_view key, int64_t ttl_s) const override { return inner_.presign_get(key, ttl_s); }
  std::optional<std::string> presign_put(std::string_view key, int64_t ttl_s) const override { return inner_.presign_put(key, ttl_s); }
  std::string describe() const override { return inner_.describe(); }

  StoreCounts counts() const;
  void reset();

 private:
  ObjectStore& inner_;
  std::atomic<uint64_t> puts_{0}, gets_{0}, range_gets_{0}, heads_{0}, lists_{0}, removes_{0}, bytes_read_{0}, bytes_written_{0};
};

}  // namespace quarry::objects
