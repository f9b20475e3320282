// Inside service/: where each resource file binds its handlers.
#pragma once

#include <string>
#include <unordered_map>

#include "service/service.h"

namespace quarry::service {

class OperationTable {
 public:
  void bind(std::string operation_id, Handler handler) {
    bool inserted = handlers_.emplace(std::move(operation_id), std::move(handler)).second;
    QUARRY_CHECK(inserted);
  }
  const Handler* find(const std::string& operation_id) const {
    auto it = handlers_.find(operation_id);
    return it == handlers_.end() ? nullptr : &it->second;
  }
  void bind_gate(std::string operation_id, Gate gate) {
    bool inserted = gates_.emplace(std::move(operation_id), std::move(gate)).second;
    QUARRY_CHECK(inserted);
  }
  const Gate* find_gate(const std::string& operation_id) const {
    auto it = gates_.find(operation_id);
    return it == gates_.end() ? nullptr : &it->second;
  }
  const std::unordered_map<std::string, Handler>& all() const { return handlers_; }

 private:
  std::unordered_map<std::string, Handler> handlers_;
  std::unordered_map<std::string, Gate> gates_;
};

// One per resource file; called once by Api::make. `deps` outlives the table.
void bind_health(OperationTable& table, const Dependencies& deps);
void bind_organizations(OperationTable& table, const Dependencies& deps);  // and users, api keys
void bind_namespaces(OperationTable& table, const Dependencies& deps);
void bind_snapshots(OperationTable& table, const Dependencies& deps);
void bind_standalone(OperationTable& table, const Dependencies& deps);
void bind_buckets(OperationTable& table, const Dependencies& deps);
void bind_objects(OperationTable& table, const Dependencies& deps);
void bind_uploads(OperationTable& table, const Dependencies& deps);  // and the presigned GET / PUT
void bind_batches(OperationTable& table, const Dependencies& deps);
void bind_tasks(OperationTable& table, const Dependencies& deps);
void bind_collections(OperationTable& table, const Dependencies& deps);
void bind_documents(OperationTable& table, const Dependencies& deps);
void bind_lineage(OperationTable& table, const Dependencies& deps);
void bind_features(OperationTable& table, const Dependencies& deps);  // features and extractors
void bind_retrievers(OperationTable& table, const Dependencies& deps);
void bind_resource_search(OperationTable& table, const Dependencies& deps);

}  // namespace quarry::service
