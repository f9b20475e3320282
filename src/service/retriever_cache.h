// Parsed retrievers by id and revision: a changed retriever is parsed again, an unchanged one is not.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "service/service.h"

namespace quarry::service {

// What an execution needs of a retriever.
struct OpenRetriever {
  catalog::Resource resource;  // empty for an ad hoc execution
  std::shared_ptr<const retrieval::ParsedRetriever> parsed;

  const std::string& id() const { return resource.id; }
};

// Thread-safe, bounded.
class RetrieverCache {
 public:
  Result<std::shared_ptr<const retrieval::ParsedRetriever>> get(const catalog::Resource& retriever) {
    {
      std::lock_guard lock(mutex_);
      auto it = entries_.find(retriever.id);
      if (it != entries_.end() && it->second.revision == retriever.revision) return it->second.parsed;
    }
    json::object body = retriever.body;
    if (const json::value* ids = body.if_contains("collection_ids")) body["collection_identifiers"] = *ids;  // names may have changed since
    QUARRY_ASSIGN_OR_RETURN(auto parsed, retrieval::parse_retriever(body));
    auto shared = std::make_shared<const retrieval::ParsedRetriever>(std::move(parsed));
    std::lock_guard lock(mutex_);
    if (entries_.size() >= kMaxEntries) entries_.clear();
    entries_.insert_or_assign(retriever.id, Entry{retriever.revision, shared});
    return shared;
  }

 private:
  static constexpr size_t kMaxEntries = 1'000;
  struct Entry {
    int64_t revision = 0;
    std::shared_ptr<const retrieval::ParsedRetriever> parsed;
  };
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace quarry::service
