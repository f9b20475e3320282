// Counting, distinct values and aggregation over a collection's documents.
#include <fmt/format.h>

#include "retrieval/aggregate.h"
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
  note_query(deps, opened.collection);
  return opened;
}

Result<Filter> read_filter(const json::object& body, const Collection& collection) {
  const json::value* source = body.if_contains("filters");
  QUARRY_ASSIGN_OR_RETURN(Filter filter, parse_filter(source ? *source : json::value()));
  return settle_collection_id(std::move(filter), collection);
}

Result<Reply> count_documents(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, readable(context, request, deps));
  QUARRY_ASSIGN_OR_RETURN(uint64_t count, deps.vectors->count(opened.collection.table_id(), Filter{}));
  return Reply(json::object{{"collection_id", opened.resource.id}, {"count", count}});
}

Result<Reply> distinct_values(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  QUARRY_ASSIGN_OR_RETURN(auto opened, readable(context, request, deps));
  QUARRY_ASSIGN_OR_RETURN(Filter filter, read_filter(body, opened.collection));
  std::string field(string_member(body, "field"));
  QUARRY_ASSIGN_OR_RETURN(auto values, deps.vectors->facet(opened.collection.table_id(), filter, field, kMaxDistinct));
  auto limit = static_cast<size_t>(integer_member(body, "limit").value_or(kDefaultDistinct));
  json::array shown;
  for (size_t i = 0; i < std::min(limit, values.size()); ++i)
    shown.push_back(json::object{{"value", values[i].value}, {"count", values[i].count}});
  json::object info{{"limit", limit}, {"truncated", shown.size() < values.size()}, {"total_is_lower_bound", values.size() >= kMaxDistinct}};
  return Reply(
      json::object{{"field", field}, {"values", std::move(shown)}, {"total_distinct", values.size()}, {"query_info", std::move(info)}});
}

// What aggregations see of a document: its payload and what it has of itself.
json::object aggregation_row(const Document& document, const Collection& collection) {
  json::object row = document.payload;
  row["document_id"] = document.document_id;
  row["collection_id"] = collection.collection_id;
  row["created_at"] = format_timestamp(document.created_at);
  row["updated_at"] = format_timestamp(document.updated_at);
  const Lineage& lineage = document.lineage;
  if (!lineage.root_object_id.empty()) row["root_object_id"] = lineage.root_object_id;
  if (!lineage.root_bucket_id.empty()) row["root_bucket_id"] = lineage.root_bucket_id;
  if (!lineage.source_document_id.empty()) row["source_document_id"] = lineage.source_document_id;
  row["processing_tier"] = lineage.processing_tier;
  return row;
}

bool needs_order(const json::object& body) {
  const json::array* operations = array_member(body, "aggregations");
  return operations && std::any_of(operations->begin(), operations->end(), [](const json::value& operation) {
           std::string_view function = operation.is_object() ? string_member(operation.get_object(), "function") : std::string_view();
           return function == "first" || function == "last" || function == "push";
         });
}

// In document_id order, page by page.
Status feed_in_order(const Dependencies& deps, const OpenCollection& opened, const Filter& filter, retrieval::Aggregation& aggregation) {
  mvs::ScanRequest scan;
  scan.table_id = opened.collection.table_id();
  scan.filter = filter;
  scan.limit = 1'000;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, deps.vectors->scan(scan));
    for (const auto& document : page.documents) QUARRY_RETURN_IF_ERROR(aggregation.add(aggregation_row(document, opened.collection)));
    if (!page.has_more || page.documents.empty()) return Ok{};
    scan.after_document_id = page.documents.back().document_id;
  }
}

Status feed(const Dependencies& deps, const OpenCollection& opened, const Filter& filter, retrieval::Aggregation& aggregation) {
  Status added = Ok{};
  QUARRY_RETURN_IF_ERROR(deps.vectors->for_each(opened.collection.table_id(), filter, {}, [&](const Document& document) {
    added = aggregation.add(aggregation_row(document, opened.collection));
    return added.ok();
  }));
  return added;
}

Result<Reply> aggregate_documents(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, readable(context, request, deps));
  QUARRY_ASSIGN_OR_RETURN(Filter filter, read_filter(request.object(), opened.collection));
  QUARRY_ASSIGN_OR_RETURN(auto aggregation, retrieval::Aggregation::parse(request.object()));
  QUARRY_RETURN_IF_ERROR(needs_order(request.object()) ? feed_in_order(deps, opened, filter, *aggregation)
                                                       : feed(deps, opened, filter, *aggregation));
  return Reply(aggregation->finish());
}

}  // namespace

void bind_document_analytics(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "count_documents", count_documents);
  bind_operation(table, deps, "distinct_document_values", distinct_values);
  bind_operation(table, deps, "aggregate_documents", aggregate_documents);
}

}  // namespace quarry::service
