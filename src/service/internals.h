// What the handlers of one Api share beside its dependencies. Thread-safe.
#pragma once

#include "catalog/versioned_cache.h"
#include "service/authenticator.h"
#include "service/execution_log.h"
#include "service/result_cache.h"
#include "service/retriever_cache.h"
#include "service/table_set.h"

namespace quarry::service {

struct Internals {
  explicit Internals(const Dependencies& deps) : authenticator(deps), executions(deps) {}

  Authenticator authenticator;
  TableSet tables;
  RetrieverCache retrievers;
  // By namespace and identifier: retrievers with the collections they read, and lists of collections.
  catalog::VersionedCache<OpenRetriever> opened{{catalog::kind::kRetriever, catalog::kind::kCollection}};
  catalog::VersionedCache<std::vector<Collection>> collections{{catalog::kind::kCollection}};
  ResultCache results;
  ExecutionLog executions;
};

}  // namespace quarry::service
