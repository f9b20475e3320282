#include "pipeline/resource_walk.h"

namespace quarry::pipeline {

constexpr size_t kPage = 500;

Status for_each_resource(catalog::Catalog& catalog, catalog::ListQuery query,
                         const std::function<Status(const catalog::Resource&)>& visit) {
  query.sort = catalog::SortKey::kId;
  query.limit = kPage;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(catalog::ResourcePage page, catalog.list(query));
    for (const catalog::Resource& resource : page.items) QUARRY_RETURN_IF_ERROR(visit(resource));
    if (!page.has_more || page.items.empty()) return Ok{};
    query.after = page.last;
  }
}

}  // namespace quarry::pipeline
