// Payload indexes of a namespace become columns of its collections' tables: when a collection is made, and before a write to it.
#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>

#include "pipeline/pipeline.h"

namespace quarry::pipeline {
namespace {

bool has_index(const std::vector<PayloadIndex>& indexes, std::string_view field) {
  return std::any_of(indexes.begin(), indexes.end(), [&](const PayloadIndex& index) { return index.field == field; });
}

// Columns whose names differ only by case are one to many readers, so such a field gets none.
bool is_case_twin(const Collection& collection, std::string_view field) {
  const auto& declared = collection.output_schema.properties;
  return std::any_of(declared.begin(), declared.end(), [&](const auto& d) { return d.first != field && boost::iequals(d.first, field); });
}

bool takes_documents(const Collection& collection) {
  return collection.lifecycle == LifecycleState::kActive || collection.lifecycle == LifecycleState::kCold;
}

void list_indexes(const json::array& added, json::object& body) {
  json::value& listed = body["payload_indexes"];
  if (!listed.is_array()) listed = json::array{};
  const std::vector<PayloadIndex> known = read_payload_indexes(body);
  for (const json::value& entry : added)
    if (const auto index = read_payload_index(entry); index && !has_index(known, index->field)) listed.get_array().push_back(entry);
}

}  // namespace

json::array new_payload_indexes(const json::object& namespace_body, const Collection& collection) {
  json::array out;
  const json::value* list = namespace_body.if_contains("payload_indexes");
  if (list == nullptr || !list->is_array()) return out;
  for (const json::value& entry : list->get_array()) {
    if (collection.payload_indexes.size() + out.size() >= kMaxPayloadIndexes) break;
    const auto index = read_payload_index(entry);
    if (!index || has_index(collection.payload_indexes, index->field) || is_case_twin(collection, index->field)) continue;
    // What an earlier release stored was not checked.
    if (mvs::check_fields({{index->field, index->type}}).ok()) out.push_back(entry);
  }
  return out;
}

Result<catalog::Resource> take_payload_indexes(catalog::Catalog& catalog, mvs::VectorStore& vectors, const json::object& namespace_body,
                                               std::string_view internal_id, catalog::Resource collection) {
  QUARRY_ASSIGN_OR_RETURN(Collection grown, parse_collection(collection.body, collection.organization_id, collection.namespace_id));
  const json::array added = new_payload_indexes(namespace_body, grown);
  if (added.empty() || !takes_documents(grown)) return collection;
  for (const json::value& entry : added) grown.payload_indexes.push_back(*read_payload_index(entry));
  QUARRY_RETURN_IF_ERROR(vectors.extend_table(table_spec(grown, internal_id)));
  const catalog::Scope scope{collection.organization_id, collection.namespace_id};
  return catalog.update(catalog::kind::kCollection, scope, collection.id, [&](catalog::Resource& row) -> Status {
    QUARRY_ASSIGN_OR_RETURN(const Collection now, parse_collection(row.body, row.organization_id, row.namespace_id));
    if (now.table_id() == grown.table_id()) list_indexes(added, row.body);  // else a restore put another table in its place
    return Ok{};
  });
}

}  // namespace quarry::pipeline
