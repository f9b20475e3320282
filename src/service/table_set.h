// Which tables this process has made known to the vector store.
#pragma once

#include <shared_mutex>
#include <string>
#include <unordered_set>

#include "service/service.h"

namespace quarry::service {

// Thread-safe. A collection made by another process on the same catalog is attached when it is first touched here.
class TableSet {
 public:
  Status ensure(const Dependencies& deps, const Collection& collection, std::string_view internal_id) {
    {
      std::shared_lock lock(mutex_);
      if (known_.contains(collection.collection_id)) return Ok{};
    }
    QUARRY_RETURN_IF_ERROR(deps.vectors->attach_table(pipeline::table_spec(collection, internal_id)));
    add(collection.collection_id);
    return Ok{};
  }
  bool contains(const std::string& collection_id) const {
    std::shared_lock lock(mutex_);
    return known_.contains(collection_id);
  }
  void add(const std::string& collection_id) {
    std::unique_lock lock(mutex_);
    known_.insert(collection_id);
  }
  void remove(const std::string& collection_id) {
    std::unique_lock lock(mutex_);
    known_.erase(collection_id);
  }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_set<std::string> known_;  // one small string per collection in use
};

}  // namespace quarry::service
