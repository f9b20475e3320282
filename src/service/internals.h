// What the handlers of one Api share beside its dependencies. Thread-safe.
#pragma once

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
  ResultCache results;
  ExecutionLog executions;
};

}  // namespace quarry::service
