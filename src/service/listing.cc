#include "service/listing.h"

#include <fmt/format.h>

#include "service/json_access.h"

namespace quarry::service {
namespace {

Result<catalog::SortKey> sort_key(std::string_view field) {
  if (field == "created_at") return catalog::SortKey::kCreatedAt;
  if (field == "updated_at") return catalog::SortKey::kUpdatedAt;
  if (field == "name" || field.ends_with("_name")) return catalog::SortKey::kName;
  if (field == "id" || field.ends_with("_id")) return catalog::SortKey::kId;
  return validation_error(
      "sort_field", {"body", "sort", "field"},
      fmt::format("this list is sorted by created_at, updated_at, its name or its id, not by '{}'", field.substr(0, 100)));
}

const json::object* sort_of(const json::object& body) {
  if (const json::object* sort = object_member(body, "sort")) return sort;
  const json::array* sorts = array_member(body, "sorts");
  return sorts && !sorts->empty() ? sorts->front().if_object() : nullptr;
}

Status read_sort(const json::object& sort, catalog::ListQuery& query) {
  std::string_view field = string_member(sort, "field");
  if (field.empty() && !sort.empty()) field = sort.begin()->key();  // {"created_at": -1}
  if (field.empty()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(query.sort, sort_key(field));
  std::string_view direction = string_member(sort, "direction", string_member(sort, field));
  query.descending = direction == "desc" || integer_member(sort, field).value_or(1) < 0;
  return Ok{};
}

}  // namespace

Result<catalog::ListQuery> make_list_query(std::string_view kind, catalog::Scope scope, const Request& request, const PageRequest& page) {
  const json::object& body = request.object();
  catalog::ListQuery query;
  query.kind = kind;
  query.scope = std::move(scope);
  query.offset = page.offset;
  query.limit = page.limit;
  query.after_id = page.after_id;
  query.with_total = true;
  query.name_contains = string_member(body, "search", string_member(request.query, "search"));
  if (const json::object* filters = object_member(body, "filters")) {
    QUARRY_ASSIGN_OR_RETURN(query.filter, parse_filter(*filters));
  }
  if (const json::object* sort = sort_of(body)) QUARRY_RETURN_IF_ERROR(read_sort(*sort, query));
  return query;
}

}  // namespace quarry::service
