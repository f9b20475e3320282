#include "service/payload_indexes.h"

#include <fmt/format.h>

#include <set>

#include "service/documents.h"
#include "service/json_access.h"
#include "service/resources.h"

namespace quarry::service {

Status check_payload_indexes(const json::object& namespace_body) {
  const json::array* list = array_member(namespace_body, "payload_indexes");
  if (list == nullptr) return Ok{};
  if (list->size() > kMaxPayloadIndexes)
    return bad_request(fmt::format("payload_indexes: {} are too many; a namespace has at most {}", list->size(), kMaxPayloadIndexes));
  std::set<std::string_view> names;
  std::vector<mvs::FieldSpec> columns;
  for (const json::value& entry : *list) {
    if (!entry.is_object()) continue;
    const std::string_view name = string_member(entry.get_object(), "field_name");
    if (!names.insert(name).second) return bad_request(fmt::format("payload_indexes: field '{}' is there twice", name));
    if (is_reserved_member(name))
      return bad_request(fmt::format("payload_indexes: '{}' is kept by the system, which indexes it by itself", name));
    const auto index = read_payload_index(entry);
    if (!index) continue;
    if (name.find('.') != std::string_view::npos)
      return bad_request(fmt::format(
          "payload_indexes: '{}' lies within a field; only whole fields of a document can have a column. Filters find it without an index",
          name));
    columns.push_back({index->field, index->type});
  }
  if (auto checked = mvs::check_fields(columns); !checked.ok()) return std::move(checked).error().with_context("payload_indexes");
  return Ok{};
}

Status take_payload_indexes(const RequestContext& context, const Dependencies& deps, const json::object& namespace_body,
                            OpenCollection& opened) {
  if (pipeline::new_payload_indexes(namespace_body, opened.collection).empty()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(
      auto row, pipeline::take_payload_indexes(*deps.catalog, *deps.vectors, namespace_body, context.internal_id, opened.resource));
  QUARRY_ASSIGN_OR_RETURN(opened, open_stored_collection(context, deps, std::move(row)));
  return Ok{};
}

Result<OpenCollection> open_to_write(const RequestContext& context, const Dependencies& deps, std::string_view identifier) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, open_collection(context, deps, identifier));
  QUARRY_RETURN_IF_ERROR(check_writable(opened.collection));
  QUARRY_ASSIGN_OR_RETURN(const auto ns, deps.catalog->get(catalog::kind::kNamespace, organization_scope(context), context.namespace_id));
  QUARRY_RETURN_IF_ERROR(take_payload_indexes(context, deps, ns.body, opened));
  return opened;
}

}  // namespace quarry::service
