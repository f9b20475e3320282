// Walking over many resources in pages, each a transaction of its own, so that nobody waits for the whole walk.
#pragma once

#include <functional>

#include "catalog/catalog.h"

namespace quarry::pipeline {

// Calls `visit` with everything that `query` finds (its order, page and limit are the walk's own). What changes meanwhile is visited once
// or not at all. Ends with the first error.
Status for_each_resource(catalog::Catalog& catalog, catalog::ListQuery query, const std::function<Status(const catalog::Resource&)>& visit);

}  // namespace quarry::pipeline
