// From requests to the body that a retriever is stored with, and back to what replies show.
#pragma once

#include "service/service.h"

namespace quarry::service {

// `request` is the contract's CreateRetrieverRequest. Errors: 422 for stages and schema, 404 for collections that are not there, 501 for
// stages and members that are not built.
Result<json::object> define_retriever(const RequestContext& context, const Dependencies& deps, std::string_view retriever_id,
                                      const json::object& request);

// Applies a PATCH to a stored body.
Status change_retriever(const RequestContext& context, const Dependencies& deps, const json::object& changes, json::object& body);

// The contract's RetrieverConfig and RetrieverModelOutput.
json::object show_retriever(const catalog::Resource& retriever);

// In a search, the bare name of a client's own vector ("title") stands for its URI (mixpeek://passthrough_extractor@v1/title).
void expand_vector_names(json::array& stages);

struct CacheConfig {
  bool enabled = false;
  int64_t ttl_seconds = 300;
};
CacheConfig cache_config_of(const json::object& body);

}  // namespace quarry::service
