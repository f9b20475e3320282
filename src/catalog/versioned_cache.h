// What was made from rows of the catalog, kept until a row of their kinds changes.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "catalog/catalog.h"

namespace quarry::catalog {

// Thread-safe. Holds at most kMaxEntries; with a catalog that cannot tell of changes it holds nothing.
template <typename T>
class VersionedCache {
 public:
  // `kinds`: of all rows that a value depends on.
  explicit VersionedCache(std::vector<std::string_view> kinds) : kinds_(std::move(kinds)) {}

  // The value of `key`: one made by `make` since the rows last changed, else a new one. Errors are not kept. `make` may run more than once
  // at a time, on the threads that ask.
  template <typename Make>
  Result<std::shared_ptr<const T>> get(const Catalog& catalog, const std::string& key, Make&& make) {
    const std::optional<Versions> now = versions(catalog);
    if (now)
      if (auto known = find(key, *now)) return known;
    Result<std::shared_ptr<const T>> made = make();
    if (now && made.ok()) keep(key, *now, *made);
    return made;
  }

 private:
  static constexpr size_t kMaxEntries = 1'000;
  using Versions = std::vector<uint64_t>;
  struct Entry {
    Versions versions;
    std::shared_ptr<const T> value;
  };

  std::optional<Versions> versions(const Catalog& catalog) const {
    Versions out;
    for (std::string_view kind : kinds_) {
      const std::optional<uint64_t> version = catalog.version(kind);
      if (!version) return std::nullopt;
      out.push_back(*version);
    }
    return out;
  }

  std::shared_ptr<const T> find(const std::string& key, const Versions& now) {
    std::lock_guard lock(mutex_);
    const auto it = entries_.find(key);
    return it != entries_.end() && it->second.versions == now ? it->second.value : nullptr;
  }

  void keep(const std::string& key, const Versions& versions, const std::shared_ptr<const T>& value) {
    std::lock_guard lock(mutex_);
    if (entries_.size() >= kMaxEntries) entries_.clear();
    entries_.insert_or_assign(key, Entry{versions, value});
  }

  const std::vector<std::string_view> kinds_;
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace quarry::catalog
