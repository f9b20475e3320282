// Search, filters and sort, as the list requests of every resource have them.
#pragma once

#include "service/paging.h"
#include "service/service.h"

namespace quarry::service {

// `search` (part of the name), `filters` (over the body), `sort` {field, direction} or the first of `sorts`, from the body or the query.
// 422 for a field that resources are not sorted by.
Result<catalog::ListQuery> make_list_query(std::string_view kind, catalog::Scope scope, const Request& request, const PageRequest& page);

// Offset, limit and cursor, once the query's order is set. 422 for a cursor of another order.
Status set_page(const PageRequest& page, catalog::ListQuery& query);

// PaginationResponse of what `query` found.
json::object pagination_of(const catalog::ListQuery& query, const PageRequest& page, const catalog::ResourcePage& found);

// {results, pagination}: each item through `show`.
template <typename Show>
Result<json::object> list_resources(const Dependencies& deps, const catalog::ListQuery& query, const PageRequest& page, Show show) {
  QUARRY_ASSIGN_OR_RETURN(auto found, deps.catalog->list(query));
  json::array results;
  results.reserve(found.items.size());
  for (const auto& item : found.items) {
    QUARRY_ASSIGN_OR_RETURN(json::object shown, show(item));
    results.push_back(std::move(shown));
  }
  json::object reply;
  reply["pagination"] = pagination_of(query, page, found);
  if (found.total) reply["total_count"] = *found.total;
  reply["results"] = std::move(results);
  return reply;
}

}  // namespace quarry::service
