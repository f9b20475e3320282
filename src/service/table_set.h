// Which tables this process has made known to the vector store.
#pragma once

#include <shared_mutex>
#include <string>
#include <unordered_map>

#include "service/service.h"

namespace quarry::service {

// Thread-safe. A collection made by another process on the same catalog is attached when it is first touched here, and one that another
// process moved between tiers follows.
class TableSet {
 public:
  Status ensure(const Dependencies& deps, const Collection& collection, std::string_view internal_id) {
    const std::string table_id = collection.table_id();
    bool is_known = false;
    {
      std::shared_lock lock(mutex_);
      const auto it = known_.find(table_id);
      is_known = it != known_.end();
      if (is_known && collection.transitioned_at <= it->second) return Ok{};
    }
    const mvs::TableSpec spec = pipeline::table_spec(collection, internal_id);
    QUARRY_RETURN_IF_ERROR(deps.vectors->attach_table(spec));
    if (is_known) QUARRY_RETURN_IF_ERROR(deps.vectors->set_tier(table_id, spec.tier));
    add(table_id, collection.transitioned_at);
    return Ok{};
  }
  void add(const std::string& table_id, const std::string& transitioned_at = {}) {
    std::unique_lock lock(mutex_);
    std::string& known = known_[table_id];
    known = std::max(known, transitioned_at);
  }
  void remove(const std::string& table_id) {
    std::unique_lock lock(mutex_);
    known_.erase(table_id);
  }

 private:
  std::shared_mutex mutex_;
  std::unordered_map<std::string, std::string> known_;  // when the collection last moved, as this process knows
};

}  // namespace quarry::service
