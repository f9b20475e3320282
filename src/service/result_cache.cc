#include "service/result_cache.h"

namespace quarry::service {

std::shared_ptr<const ResultCache::Cached> ResultCache::get(const std::string& key, TimestampUs now) {
  std::lock_guard lock(mutex_);
  auto it = by_key_.find(key);
  if (it == by_key_.end()) return nullptr;
  if (it->second->expires_at <= now) {
    drop(it->second);
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, it->second);
  return it->second->cached;
}

void ResultCache::put(const std::string& key, json::object reply, int64_t ttl_us, TimestampUs now) {
  size_t bytes = json::serialize(reply).size() * 2 + key.size();  // parsed JSON takes about twice its text
  if (bytes > kMaxEntryBytes) return;
  auto cached = std::make_shared<const Cached>(Cached{std::move(reply), now});
  std::lock_guard lock(mutex_);
  if (auto it = by_key_.find(key); it != by_key_.end()) drop(it->second);
  while (!entries_.empty() && bytes_ + bytes > kMaxBytes) drop(std::prev(entries_.end()));
  entries_.push_front({key, std::move(cached), now + ttl_us, bytes});
  by_key_[key] = entries_.begin();
  bytes_ += bytes;
}

void ResultCache::drop(std::list<Entry>::iterator entry) {
  bytes_ -= entry->bytes;
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

}  // namespace quarry::service
