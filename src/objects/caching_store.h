// Keeps blocks of immutable objects on the local disk.
#pragma once

#include <condition_variable>
#include <map>

#include "objects/object_store.h"

namespace quarry::objects {

struct CacheOptions {
  std::filesystem::path folder;  // the cache's own; made if absent; one process at a time
  uint64_t max_bytes = 4ull << 30;
  uint64_t block_bytes = 1ull << 20;
  // Which keys never change once they are put; only those are kept. Called on any thread. A commit log and pointer files must not be.
  std::function<bool(std::string_view key)> is_immutable;
  std::string identity;  // of the store behind: blocks of another one that used the folder before are not taken for its own
};

struct CacheCounts {
  uint64_t hits = 0, misses = 0;              // blocks
  uint64_t hit_bytes = 0, fetched_bytes = 0;  // fetched: from the store behind, whole blocks
  uint64_t evictions = 0;
  uint64_t damaged = 0;         // blocks dropped because their checksum or their place was wrong
  uint64_t write_failures = 0;  // blocks that could not be kept; reads go on without
  uint64_t held_bytes = 0;
};

class DiskCache;

// Reads of immutable keys are served in blocks; what is missing is fetched, neighbours in one request, and kept. Callers that want a block
// which is being fetched wait for it: one request, and one error, for all of them. Everything else passes through. What another process
// removes may still be read here. docs/formats/object_cache.md describes the files.
class CachingStore : public ObjectStore {
 public:
  static Result<std::unique_ptr<CachingStore>> open(ObjectStore& inner, CacheOptions options);  // `inner` must outlive it
  ~CachingStore() override;

  Status put(std::string_view key, std::string_view bytes) override;
  Status put_if_absent(std::string_view key, std::string_view bytes) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override;
  Result<ObjectInfo> head(std::string_view key) override { return inner_.head(key); }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override {
    return inner_.list(prefix, after, limit);
  }
  Status walk(std::string_view prefix, const Visit& visit) override { return inner_.walk(prefix, visit); }
  Status remove(std::string_view key) override;
  Status remove_many(std::span<const std::string> keys) override;
  std::optional<std::filesystem::path> local_path(std::string_view key) const override { return inner_.local_path(key); }
  std::optional<std::string> presign_get(std::string_view key, int64_t ttl_s) const override { return inner_.presign_get(key, ttl_s); }
  std::optional<std::string> presign_put(std::string_view key, int64_t ttl_s) const override { return inner_.presign_put(key, ttl_s); }
  std::string describe() const override { return inner_.describe(); }

  CacheCounts counts() const;

 private:
  using Block = std::shared_ptr<const std::string>;
  struct Load;  // a block on its way in
  using LoadKey = std::pair<std::string, uint64_t>;
  struct Claim {
    std::vector<std::shared_ptr<Load>> loads;  // of the wanted blocks, in order
    std::vector<bool> is_ours;                 // to be filled by this caller
  };

  CachingStore(ObjectStore& inner, CacheOptions options, std::unique_ptr<DiskCache> disk);
  Result<std::string> read_blocks(std::string_view key, uint64_t offset, uint64_t length);
  Result<std::vector<Block>> load(const std::string& key, uint64_t first, size_t count);
  Claim claim(const std::string& key, uint64_t first, size_t count);
  void fill(const std::string& key, uint64_t first, const Claim& claim);
  void fetch(const std::string& key, uint64_t first, std::span<const std::shared_ptr<Load>> loads);
  void finish(const std::string& key, uint64_t block, const std::shared_ptr<Load>& load, Result<Block> outcome);
  void keep(const std::string& key, uint64_t block, const Load& load, const std::string& payload);
  bool is_stale(const Load& load);
  void forget(std::string_view key);

  ObjectStore& inner_;
  const CacheOptions options_;
  const std::unique_ptr<DiskCache> disk_;
  std::mutex mutex_;
  std::condition_variable loaded_;
  std::map<LoadKey, std::shared_ptr<Load>> loads_;
};

}  // namespace quarry::objects
