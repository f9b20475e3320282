// Counting, distinct values and aggregation over a collection's documents.
#include <fmt/format.h>

#include "service/binding.h"
#include "service/documents.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

constexpr size_t kMaxDistinct = 100'000;
constexpr size_t kDefaultDistinct = 100;

Result<OpenCollection> readable(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, open_collection(context, deps, request.param("collection_identifier")));
  QUARRY_RETURN_IF_ERROR(check_readable(opened.collection));
  return opened;
}

Result<Filter> read_filter(const json::object& body, const Collection& collection) {
  const json::value* source = body.if_contains("filters");
  QUARRY_ASSIGN_OR_RETURN(Filter filter, parse_filter(source ? *source : json::value()));
  return settle_collection_id(std::move(filter), collection);
}

Result<Reply> count_documents(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, readable(context, request, deps));
  QUARRY_ASSIGN_OR_RETURN(uint64_t count, deps.vectors->count(opened.resource.id, Filter{}));
  return Reply(json::object{{"collection_id", opened.resource.id}, {"count", count}});
}

Result<Reply> distinct_values(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  QUARRY_ASSIGN_OR_RETURN(auto opened, readable(context, request, deps));
  QUARRY_ASSIGN_OR_RETURN(Filter filter, read_filter(body, opened.collection));
  std::string field(string_member(body, "field"));
  QUARRY_ASSIGN_OR_RETURN(auto values, deps.vectors->facet(opened.resource.id, filter, field, kMaxDistinct));
  auto limit = static_cast<size_t>(integer_member(body, "limit").value_or(kDefaultDistinct));
  json::array shown;
  for (size_t i = 0; i < std::min(limit, values.size()); ++i) shown.push_back(json::object{{"value", values[i].value}, {"count", values[i].count}});
  json::object info{{"limit", limit}, {"truncated", shown.size() < values.size()}, {"total_is_lower_bound", values.size() >= kMaxDistinct}};
  return Reply(json::object{{"field", field}, {"values", std::move(shown)}, {"total_distinct", values.size()}, {"query_info", std::move(info)}});
}

}  // namespace

void bind_document_analytics(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "count_documents", count_documents);
  bind_operation(table, deps, "distinct_document_values", distinct_values);
}

}  // namespace quarry::service
