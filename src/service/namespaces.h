// Namespaces, as other handlers need them.
#pragma once

#include "service/service.h"

namespace quarry::service {

struct OpenNamespace {
  catalog::Resource resource;
  RequestContext context;  // the caller's, inside this namespace
};

// For operations that name the namespace in their path. kNotFound also for one that the caller's key does not reach; kForbidden without
// `permission` in it.
Result<OpenNamespace> open_namespace(const RequestContext& context, const Dependencies& deps, std::string_view identifier,
                                     Permission permission);

struct NamespaceCounts {
  uint64_t documents = 0, buckets = 0, collections = 0, objects = 0;
  bool documents_complete = true;  // false: a collection could not be read
};
Result<NamespaceCounts> count_namespace(const OpenNamespace& ns, const Dependencies& deps);

struct NewNamespace {
  std::string namespace_id;  // empty: a new one
  std::string name;
  json::object body;
};
// kAlreadyExists naming what is taken.
Result<OpenNamespace> insert_namespace(const RequestContext& context, const Dependencies& deps, NewNamespace request);

// 422 unless there are at most kMaxVectors and each has a usable name, used once; returns them as {name, dimension, metric}.
Result<json::array> check_vector_configs(const json::array& configs);

}  // namespace quarry::service
