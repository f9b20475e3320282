#include "pipeline/resource_walk.h"

namespace quarry::pipeline {
namespace {

constexpr size_t kPage = 500;

// `visit` returns false to end the walk.
template <class Source, class Visit>
Status walk(Source& source, catalog::ListQuery query, const Visit& visit) {
  query.sort = catalog::SortKey::kId;
  query.descending = false;
  query.limit = kPage;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(catalog::ResourcePage page, source.list(query));
    for (const catalog::Resource& resource : page.items) {
      QUARRY_ASSIGN_OR_RETURN(const bool more, visit(resource));
      if (!more) return Ok{};
    }
    if (!page.has_more || page.items.empty()) return Ok{};
    query.after = page.last;
  }
}

auto to_the_end(const VisitResource& visit) {
  return [&visit](const catalog::Resource& resource) -> Result<bool> {
    QUARRY_RETURN_IF_ERROR(visit(resource));
    return true;
  };
}

}  // namespace

Status for_each_in(catalog::Session& session, catalog::ListQuery query, const VisitResource& visit) {
  return walk(session, std::move(query), to_the_end(visit));
}

Result<bool> any_in(catalog::Session& session, catalog::ListQuery query, const std::function<bool(const catalog::Resource&)>& is_wanted) {
  bool found = false;
  QUARRY_RETURN_IF_ERROR(walk(session, std::move(query), [&](const catalog::Resource& resource) -> Result<bool> {
    found = is_wanted(resource);
    return !found;
  }));
  return found;
}

Status for_each_resource(catalog::Catalog& catalog, catalog::ListQuery query, const VisitResource& visit) {
  return walk(catalog, std::move(query), to_the_end(visit));
}

}  // namespace quarry::pipeline
