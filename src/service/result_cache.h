// Replies of retrievers whose caching is on, by a key that covers all they depend on: the retriever's revision, the request, and the
// version of every table it reads. A change of any of them is another key, so nothing here is ever stale; entries leave by age and by size.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/result.h"

namespace quarry::service {

// Thread-safe. At most kMaxBytes of serialised replies, least recently used first out.
class ResultCache {
 public:
  struct Cached {
    json::object reply;
    TimestampUs made_at = 0;
  };

  std::shared_ptr<const Cached> get(const std::string& key, TimestampUs now);
  void put(const std::string& key, json::object reply, int64_t ttl_us, TimestampUs now);

  static constexpr size_t kMaxBytes = 64ull << 20;
  static constexpr size_t kMaxEntryBytes = 4ull << 20;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const Cached> cached;
    TimestampUs expires_at = 0;
    size_t bytes = 0;
  };
  void drop(std::list<Entry>::iterator entry);

  std::mutex mutex_;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
  size_t bytes_ = 0;
};

}  // namespace quarry::service
