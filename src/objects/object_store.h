// Blobs under keys: raw objects, warm tables, artifacts. The one interface over local disk, memory and S3.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace quarry::objects {

struct ObjectInfo {
  std::string key;
  uint64_t size = 0;
  TimestampUs modified_at = 0;
};

// Keys are '/'-separated relative paths: 1..1,024 bytes of UTF-8, segments of 1..255 bytes, none of them "." or "..", no backslash or
// control character; anything else is kBadRequest. A key that is a folder of another key ("a" beside "a/b") may be refused with
// kBadRequest. All methods are thread-safe and blocking. A put or remove_many that returned ok survives a power cut; a put that failed with
// kStorage took place whole or not at all. Errors: kNotFound, kAlreadyExists (put_if_absent), kStorage (retryable), kBadRequest.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  virtual Status put(std::string_view key, std::string_view bytes) = 0;
  // Exactly one of several racing callers succeeds; the others see kAlreadyExists.
  virtual Status put_if_absent(std::string_view key, std::string_view bytes) = 0;
  virtual Result<std::string> get(std::string_view key) = 0;
  // Fewer bytes than asked only at the end of the object.
  virtual Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) = 0;
  virtual Result<ObjectInfo> head(std::string_view key) = 0;
  // Keys that start with `prefix` (any string), ascending by bytes, strictly after `after`, at most `limit`.
  virtual Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) = 0;
  // Calls `visit` with every key that starts with `prefix`, ascending by bytes, in one pass over what is stored; `visit` may remove keys,
  // and returns false to end the walk. A key that comes or goes meanwhile may be seen or not.
  using Visit = std::function<Result<bool>(const ObjectInfo&)>;
  virtual Status walk(std::string_view prefix, const Visit& visit);
  // Removing what is absent is ok.
  virtual Status remove(std::string_view key) = 0;
  // In as few requests as the store can. After an error some may be gone.
  virtual Status remove_many(std::span<const std::string> keys);

  // Where the bytes lie on the local disk, for readers that map files. nullopt: not a local store. `key` must be valid.
  virtual std::optional<std::filesystem::path> local_path(std::string_view key) const {
    (void)key;
    return std::nullopt;
  }
  // URLs of the store's own with which anybody may read or replace the object for `ttl_s` seconds, without this server. nullopt: the store
  // has none. No request is made, so the object need not exist. `key` must be valid.
  virtual std::optional<std::string> presign_get(std::string_view key, int64_t ttl_s) const {
    (void)key, (void)ttl_s;
    return std::nullopt;
  }
  virtual std::optional<std::string> presign_put(std::string_view key, int64_t ttl_s) const {
    (void)key, (void)ttl_s;
    return std::nullopt;
  }
  // "file:///data/objects", "memory://", "s3://bucket/prefix": for messages.
  virtual std::string describe() const = 0;
};

Status validate_key(std::string_view key);

// `root` is made if absent. The folder `.quarry-tmp` in it is the store's own. Several processes may use one root.
Result<std::unique_ptr<ObjectStore>> open_local_store(const std::filesystem::path& root);
std::unique_ptr<ObjectStore> make_memory_store(const Clock& clock = system_clock());  // `clock` tells modified_at

// Wrappers; each forwards to `inner`, which must outlive it.
struct StoreCounts {
  uint64_t puts = 0, gets = 0, range_gets = 0, heads = 0, lists = 0, removes = 0, bytes_read = 0, bytes_written = 0;
};
class CountingStore;  // objects/counting_store.h
struct FaultPlan {
  uint64_t seed = 0;
  double fail_before = 0;     // probability that a call fails and does nothing
  double fail_after = 0;      // probability that a write is done, then reported as failed
  double tear = 0;            // probability that a put leaves a beginning of its bytes and fails, as a good store never does
  std::string prefix;         // of the keys that are struck, and waited for; empty: all
  int64_t latency_us = 0;     // how long every call takes before anything else, callers beside each other: 60'000 is a store far away
  int64_t read_delay_us = 0;  // how much longer a read of bytes takes
  std::function<void(int64_t us)> wait;  // how those pass; empty: the calling thread sleeps
};
std::unique_ptr<ObjectStore> make_faulty_store(ObjectStore& inner, FaultPlan plan);
// Retries kStorage errors with exponential back-off and jitter from `first_delay_us` to 2 s, `attempts` in all; a full disk is not retried.
// put_if_absent after an unclear failure reads back to tell who won: bytes that racing callers put must differ (a commit carries its own
// id).
std::unique_ptr<ObjectStore> make_retrying_store(ObjectStore& inner, int attempts, int64_t first_delay_us = 20'000);

// Whether `store` may hold tables: puts objects below `prefix` ("" or "folder/"), lets several writers race for one key a few times, checks
// that an existing key is refused and that a list shows what was put, and removes it all. kUnavailable says what is amiss and what to do;
// the store's own errors pass through. About 50 requests.
Status probe_store(ObjectStore& store, std::string_view prefix);

// Removes every key that starts with `prefix`, which must not be empty: end it with '/' to mean a folder.
Status remove_prefix(ObjectStore& store, std::string_view prefix);

}  // namespace quarry::objects
