// Every resource that a query finds, page by page, in ascending order of the id; the query's own order, page and limit are the walk's.
#pragma once

#include <functional>

#include "catalog/catalog.h"

namespace quarry::pipeline {

using VisitResource = std::function<Status(const catalog::Resource&)>;

// In a transaction that the caller holds: all pages are of one moment. Ends with the first error.
Status for_each_in(catalog::Session& session, catalog::ListQuery query, const VisitResource& visit);

// Whether any resource is what `is_wanted` looks for; ends with the first that is.
Result<bool> any_in(catalog::Session& session, catalog::ListQuery query, const std::function<bool(const catalog::Resource&)>& is_wanted);

// Each page in a transaction of its own, so that `visit` may use the catalog and nobody waits for the whole walk. What changes meanwhile is
// visited once or not at all. Ends with the first error.
Status for_each_resource(catalog::Catalog& catalog, catalog::ListQuery query, const VisitResource& visit);

}  // namespace quarry::pipeline
