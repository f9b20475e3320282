#include <fmt/format.h>

#include <map>
#include <mutex>
#include <shared_mutex>

#include "objects/object_store.h"

namespace quarry::objects {
namespace {

class MemoryStore : public ObjectStore {
 public:
  explicit MemoryStore(const Clock& clock) : clock_(clock) {}

  Status put(std::string_view key, std::string_view bytes) override {
    QUARRY_RETURN_IF_ERROR(validate_key(key));
    Entry entry{std::make_shared<const std::string>(bytes), clock_.now_us()};
    std::unique_lock lock(mutex_);
    entries_.insert_or_assign(std::string(key), std::move(entry));
    return Ok{};
  }

  Status put_if_absent(std::string_view key, std::string_view bytes) override {
    QUARRY_RETURN_IF_ERROR(validate_key(key));
    Entry entry{std::make_shared<const std::string>(bytes), clock_.now_us()};
    std::unique_lock lock(mutex_);
    bool is_new = entries_.try_emplace(std::string(key), std::move(entry)).second;
    return is_new ? Status(Ok{}) : already_exists(fmt::format("object '{}' exists already", key));
  }

  Result<std::string> get(std::string_view key) override { return get_range(key, 0, UINT64_MAX); }

  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    QUARRY_ASSIGN_OR_RETURN(Entry entry, find(key));
    if (offset >= entry.bytes->size()) return std::string();
    return entry.bytes->substr(offset, length);
  }

  Result<ObjectInfo> head(std::string_view key) override {
    QUARRY_ASSIGN_OR_RETURN(Entry entry, find(key));
    return ObjectInfo{std::string(key), entry.bytes->size(), entry.modified_at};
  }

  Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override {
    std::vector<ObjectInfo> found;
    std::shared_lock lock(mutex_);
    auto it = after >= prefix ? entries_.upper_bound(after) : entries_.lower_bound(prefix);
    for (; it != entries_.end() && found.size() < limit && it->first.starts_with(prefix); ++it)
      found.push_back({it->first, it->second.bytes->size(), it->second.modified_at});
    return found;
  }

  Status remove(std::string_view key) override {
    QUARRY_RETURN_IF_ERROR(validate_key(key));
    std::unique_lock lock(mutex_);
    if (auto it = entries_.find(key); it != entries_.end()) entries_.erase(it);
    return Ok{};
  }

  std::string describe() const override { return "memory://"; }

 private:
  struct Entry {
    std::shared_ptr<const std::string> bytes;
    TimestampUs modified_at;
  };

  Result<Entry> find(std::string_view key) {
    QUARRY_RETURN_IF_ERROR(validate_key(key));
    std::shared_lock lock(mutex_);
    auto it = entries_.find(key);
    if (it == entries_.end()) return not_found(fmt::format("object '{}' does not exist", key));
    return it->second;
  }

  const Clock& clock_;
  std::shared_mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace

std::unique_ptr<ObjectStore> make_memory_store(const Clock& clock) { return std::make_unique<MemoryStore>(clock); }

}  // namespace quarry::objects
