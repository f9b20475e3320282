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

// A cursor's words: the order's number, the value that the list was sorted by, the id.
std::string cursor_text(catalog::SortKey sort, const catalog::Position& position) {
  return json::serialize(json::array{static_cast<int64_t>(sort), json::string(position.sort_value), json::string(position.id)});
}

Result<catalog::Position> read_cursor(catalog::SortKey sort, const std::string& text) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  const json::array* parts = ec ? nullptr : parsed.if_array();
  bool ours = parts && parts->size() == 3 && integer_value((*parts)[0]) == static_cast<int64_t>(sort) && (*parts)[1].is_string() &&
              (*parts)[2].is_string();
  if (!ours) return validation_error("cursor", {"body", "cursor"}, "the cursor belongs to a list with another order");
  return catalog::Position{std::string((*parts)[1].get_string()), std::string((*parts)[2].get_string())};
}

}  // namespace

Status set_page(const PageRequest& page, catalog::ListQuery& query) {
  query.offset = page.offset;
  query.limit = page.limit;
  if (page.after.empty()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(query.after, read_cursor(query.sort, page.after));
  return Ok{};
}

json::object pagination_of(const catalog::ListQuery& query, const PageRequest& page, const catalog::ResourcePage& found) {
  return pagination(page, found.items.size(), found.has_more, found.total, cursor_text(query.sort, found.last));
}

Result<catalog::ListQuery> make_list_query(std::string_view kind, catalog::Scope scope, const Request& request, const PageRequest& page) {
  const json::object& body = request.object();
  catalog::ListQuery query;
  query.kind = kind;
  query.scope = std::move(scope);
  query.with_total = true;
  query.name_contains = string_member(body, "search", string_member(request.query, "search"));
  if (const json::object* filters = object_member(body, "filters")) {
    QUARRY_ASSIGN_OR_RETURN(query.filter, parse_filter(*filters));
  }
  if (const json::object* sort = sort_of(body)) QUARRY_RETURN_IF_ERROR(read_sort(*sort, query));
  QUARRY_RETURN_IF_ERROR(set_page(page, query));
  return query;
}

}  // namespace quarry::service
