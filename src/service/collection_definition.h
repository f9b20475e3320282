// From a request to the body that a collection is stored with: sources resolved, extractor bound, schemas computed.
#pragma once

#include "service/service.h"

namespace quarry::service {

// `request` is the contract's CreateCollectionRequest. Errors: 404 for sources that are not there, 400 for sources of another namespace and
// cycles, 422 and 400 for the extractor, 501 for parts of a definition that nothing would run yet.
Result<json::object> define_collection(const RequestContext& context, const Dependencies& deps, std::string_view collection_id,
                                       const json::object& request);

// The stored form of a definition whose vectors come from the client.
json::object direct_collection_body(std::string_view collection_id, std::string_view name, const std::vector<CollectionVector>& vectors);

// 501 for members of a collection's definition that nothing would run yet.
Status refuse_unbuilt_applications(const json::object& request);

}  // namespace quarry::service
