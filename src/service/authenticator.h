// Who is calling: keys and namespaces, looked up in the catalog and kept for a few seconds.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "service/service.h"

namespace quarry::service {

// What a key stands for. Immutable once made.
struct Caller {
  std::string organization_id, internal_id, key_id, user_email;
  uint8_t permissions = 0;
  std::vector<NamespaceGrant> grants;  // one per namespace
  int64_t requests_per_minute = 0;     // 0: no limit
  TimestampUs expires_at = INT64_MAX;
};

// Thread-safe. forget() makes changes of keys, users and namespaces felt at once in this process; others feel them when their entries age
// out.
class Authenticator {
 public:
  explicit Authenticator(const Dependencies& deps) : deps_(deps) {}

  // kUnauthorized without a usable key: one message whether it is unknown, revoked, expired or its user suspended. kTooManyRequests past
  // the key's own limit, which each process counts for itself.
  Result<std::shared_ptr<const Caller>> authenticate(std::string_view authorization);
  // The namespace's id by id or name; an empty identifier means the caller's only one.
  Result<std::string> resolve_namespace(const Caller& caller, std::string_view identifier);
  void forget();

 private:
  static constexpr int64_t kKeepUs = 3'000'000;
  static constexpr int64_t kLastUsedEveryUs = 60'000'000;
  static constexpr size_t kMaxEntries = 10'000;

  template <typename T>
  struct Entry {
    T value;
    int64_t good_until_us = 0;
  };
  template <typename T>
  using Entries = std::unordered_map<std::string, Entry<T>>;

  template <typename T>
  std::optional<T> lookup(const Entries<T>& entries, const std::string& key) const;
  // Keeps `value` unless something was forgotten since `generation`.
  template <typename T>
  void keep(Entries<T>& entries, const std::string& key, const T& value, uint64_t generation);

  struct Bucket {
    int64_t units = 0;
    int64_t at_us = 0;
  };
  Status take_token(const Caller& caller);
  Result<std::shared_ptr<const Caller>> load_caller(const std::string& hash);
  Result<std::string> load_namespace(const Caller& caller, std::string_view identifier);
  Result<std::string> only_namespace(const Caller& caller);
  void note_use(const catalog::Resource& key);

  const Dependencies& deps_;
  mutable std::mutex mutex_;
  uint64_t generation_ = 0;
  Entries<std::shared_ptr<const Caller>> callers_;   // by hash of the key
  Entries<std::string> namespaces_;                  // by organization and identifier
  std::unordered_map<std::string, Bucket> buckets_;  // by id of the key
};

}  // namespace quarry::service
