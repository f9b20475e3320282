// Every resource of a kind, page by page.
#pragma once

#include <functional>
#include <string_view>

#include "catalog/catalog.h"

namespace quarry::pipeline {

using VisitResource = std::function<Status(const catalog::Resource&)>;

// In a transaction that the caller holds: all pages are of one moment. Ascending by id.
inline Status for_each_in(catalog::Session& session, catalog::ListQuery query, const VisitResource& visit) {
  constexpr size_t kPage = 500;
  query.sort = catalog::SortKey::kId;
  query.descending = false;
  query.limit = kPage;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(catalog::ResourcePage page, session.list(query));
    for (const catalog::Resource& resource : page.items) QUARRY_RETURN_IF_ERROR(visit(resource));
    if (!page.has_more || page.items.empty()) return Ok{};
    query.after = page.last;
  }
}

// Each page in a transaction of its own, so that `visit` may use the catalog.
inline Status for_each(catalog::Catalog& catalog, std::string_view kind, const catalog::Scope& scope, const VisitResource& visit) {
  catalog::ListQuery query;
  query.kind = kind;
  query.scope = scope;
  query.sort = catalog::SortKey::kId;
  query.limit = 500;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(catalog::ResourcePage page, catalog.list(query));
    for (const catalog::Resource& resource : page.items) QUARRY_RETURN_IF_ERROR(visit(resource));
    if (!page.has_more || page.items.empty()) return Ok{};
    query.after = page.last;
  }
}

}  // namespace quarry::pipeline
