// Reading a document listing's request.
#include <fmt/format.h>

#include "service/document_listing.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

constexpr size_t kDefaultLimit = 10;

Result<json::value> parse_query_json(std::string_view text, std::string_view name) {
  boost::system::error_code failed;
  json::value value = json::parse(text, failed, {}, json::parse_options{.max_depth = 32});
  if (failed)
    return validation_error("json_invalid", {"query", name}, fmt::format("'{}' in the query must be JSON: {}", name, failed.message()));
  return value;
}

// "field", "-field", "field:desc", or {"field": ..., "direction": ...} as JSON.
Result<mvs::SortSpec> read_sort_text(std::string_view text) {
  mvs::SortSpec sort;
  if (text.starts_with('-')) sort.descending = true, text.remove_prefix(1);
  size_t colon = text.rfind(':');
  std::string_view direction = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  if (direction == "asc" || direction == "desc") sort.descending = direction == "desc", text = text.substr(0, colon);
  if (text.empty())
    return validation_error("value_error", {"query", "sort"}, "sort names a field: 'created_at', '-created_at' or 'created_at:desc'");
  sort.field = text;
  return sort;
}

Result<mvs::SortSpec> read_sort(const json::object& o) {
  mvs::SortSpec sort;
  sort.field = string_member(o, "field");
  sort.descending = string_member(o, "direction") == "desc";
  if (sort.field.empty()) return validation_error("missing", {"body", "sort", "field"}, "sort needs the name of a field");
  return sort;
}

Status read_sort(const json::object& body, const json::object& query, DocumentQuery& out) {
  if (const json::object* sort = object_member(body, "sort")) {
    QUARRY_ASSIGN_OR_RETURN(out.sort, read_sort(*sort));
  } else if (auto text = string_member(query, "sort"); text.starts_with('{')) {
    QUARRY_ASSIGN_OR_RETURN(json::value parsed, parse_query_json(text, "sort"));
    QUARRY_ASSIGN_OR_RETURN(out.sort, read_sort(parsed.get_object()));
  } else if (!text.empty()) {
    QUARRY_ASSIGN_OR_RETURN(out.sort, read_sort_text(text));
  }
  return Ok{};
}

Status read_filter(const json::object& body, const json::object& query, DocumentQuery& out) {
  if (const json::value* filters = body.if_contains("filters")) {
    QUARRY_ASSIGN_OR_RETURN(out.filter, parse_filter(*filters));
  } else if (auto text = string_member(query, "filters"); !text.empty()) {
    QUARRY_ASSIGN_OR_RETURN(json::value parsed, parse_query_json(text, "filters"));
    QUARRY_ASSIGN_OR_RETURN(out.filter, parse_filter(parsed));
  }
  return Ok{};
}

Status read_partition(const json::object& body, DocumentQuery& out) {
  const json::object* partition = object_member(body, "partition");
  if (!partition) return Ok{};
  out.partition_index = integer_member(*partition, "index").value_or(0);
  out.partition_count = integer_member(*partition, "count").value_or(1);
  if (out.partition_count >= 1 && out.partition_index >= 0 && out.partition_index < out.partition_count) return Ok{};
  return validation_error("value_error", {"body", "partition", "index"}, "partition.index must be below partition.count");
}

}  // namespace

Result<DocumentQuery> read_document_query(const Request& request) {
  const json::object& body = request.object();
  DocumentQuery out;
  QUARRY_RETURN_IF_ERROR(read_filter(body, request.query, out));
  QUARRY_RETURN_IF_ERROR(read_sort(body, request.query, out));
  QUARRY_RETURN_IF_ERROR(read_partition(body, out));
  out.search = string_member(body, "search", string_member(request.query, "search"));
  out.group_by = string_member(body, "group_by", string_member(request.query, "group_by"));
  QUARRY_ASSIGN_OR_RETURN(out.view, read_view_options(body, request.query));
  QUARRY_ASSIGN_OR_RETURN(out.page, parse_page(request, kDefaultLimit));
  return out;
}

}  // namespace quarry::service
