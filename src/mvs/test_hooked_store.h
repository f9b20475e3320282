// A store that lets a test act at a chosen request, or answer it with an error. For tests only.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "objects/counting_store.h"

namespace quarry::mvs::test {

// Thread-safe. `operation` is the method's name; a list's key is its prefix. The hook runs on the caller's thread before the request; an
// error of it is the answer. It may use the inner store, and this one too.
class HookedStore final : public objects::CountingStore {
 public:
  using Hook = std::function<Status(std::string_view operation, std::string_view key)>;
  using CountingStore::CountingStore;

  // Of requests that begin from now on; null: none.
  void set_hook(Hook hook) {
    std::lock_guard lock(mutex_);
    hook_ = hook != nullptr ? std::make_shared<const Hook>(std::move(hook)) : nullptr;
  }

  Status put(std::string_view key, std::string_view bytes) override {
    QUARRY_RETURN_IF_ERROR(before("put", key));
    return CountingStore::put(key, bytes);
  }
  Status put_if_absent(std::string_view key, std::string_view bytes) override {
    QUARRY_RETURN_IF_ERROR(before("put_if_absent", key));
    return CountingStore::put_if_absent(key, bytes);
  }
  Result<std::string> get(std::string_view key) override {
    QUARRY_RETURN_IF_ERROR(before("get", key));
    return CountingStore::get(key);
  }
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    QUARRY_RETURN_IF_ERROR(before("get_range", key));
    return CountingStore::get_range(key, offset, length);
  }
  Result<objects::ObjectInfo> head(std::string_view key) override {
    QUARRY_RETURN_IF_ERROR(before("head", key));
    return CountingStore::head(key);
  }
  Result<std::vector<objects::ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override {
    QUARRY_RETURN_IF_ERROR(before("list", prefix));
    return CountingStore::list(prefix, after, limit);
  }
  Status remove(std::string_view key) override {
    QUARRY_RETURN_IF_ERROR(before("remove", key));
    return CountingStore::remove(key);
  }

 private:
  Status before(std::string_view operation, std::string_view key) {
    std::shared_ptr<const Hook> hook;
    {
      std::lock_guard lock(mutex_);
      hook = hook_;
    }
    return hook != nullptr ? (*hook)(operation, key) : Status(Ok{});
  }

  std::mutex mutex_;
  std::shared_ptr<const Hook> hook_;
};

}  // namespace quarry::mvs::test
