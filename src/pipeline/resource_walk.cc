#include "pipeline/resource_walk.h"

namespace quarry::pipeline {
namespace {

constexpr size_t kPage = 500;

template <class Source>
Status walk(Source& source, catalog::ListQuery query, const VisitResource& visit) {
  query.sort = catalog::SortKey::kId;
  query.descending = false;
  query.limit = kPage;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(catalog::ResourcePage page, source.list(query));
    for (const catalog::Resource& resource : page.items) QUARRY_RETURN_IF_ERROR(visit(resource));
    if (!page.has_more || page.items.empty()) return Ok{};
    query.after = page.last;
  }
}

}  // namespace

Status for_each_in(catalog::Session& session, catalog::ListQuery query, const VisitResource& visit) {
  return walk(session, std::move(query), visit);
}

Status for_each_resource(catalog::Catalog& catalog, catalog::ListQuery query, const VisitResource& visit) {
  return walk(catalog, std::move(query), visit);
}

}  // namespace quarry::pipeline
