// An object as the API shows it.
#pragma once

#include "service/buckets.h"

namespace quarry::service {

// `bucket` null: wherever in the namespace it is.
Result<catalog::Resource> find_object(const RequestContext& context, const Dependencies& deps, const OpenBucket* bucket,
                                      std::string_view object_id);

// `presigned`: with a URL for each blob that has bytes here.
json::object show_object(const catalog::Resource& object, const Dependencies& deps, bool presigned);

// Documents made from the object, over all collections of the namespace.
Result<uint64_t> count_object_documents(const RequestContext& context, const Dependencies& deps, std::string_view object_id);

}  // namespace quarry::service
