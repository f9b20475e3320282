#include "service/object_view.h"

#include <fmt/format.h>

#include "service/internals.h"
#include "service/json_access.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr int64_t kUrlLifetimeSeconds = 3'600;
constexpr size_t kPage = 500;

json::object show_blob(const json::object& blob, const Dependencies& deps, bool presigned) {
  json::object out;
  copy_members(out, blob, {"blob_id", "property", "key_prefix", "type", "properties", "details"});
  if (const json::value* value = blob.if_contains("value")) out["data"] = *value;
  const json::object* storage = object_member(blob, "storage");
  if (!storage) return out;
  copy_members(out, *storage, {"url"});
  std::string_view key = string_member(*storage, "key");
  if (presigned && !key.empty()) out["presigned_url"] = presign(deps, "GET", key, kUrlLifetimeSeconds);
  return out;
}

}  // namespace

Result<catalog::Resource> find_object(const RequestContext& context, const Dependencies& deps, const OpenBucket* bucket,
                                      std::string_view object_id) {
  auto found = deps.catalog->get(catalog::kind::kObject, namespace_scope(context), object_id);
  bool absent = found.ok() ? bucket && found->parent_id != bucket->id() : found.error().kind == ErrorKind::kNotFound;
  if (!absent) return found;
  std::string where = bucket ? fmt::format(" in bucket '{}'", bucket->resource.name) : "";
  return not_found(fmt::format("Object '{}' not found{}", object_id.substr(0, 300), where));
}

json::object show_object(const catalog::Resource& object, const Dependencies& deps, bool presigned) {
  json::object out = show(object);
  out.erase(pipeline::kInternalMember);
  json::array blobs;
  const json::array* stored = array_member(object.body, "blobs");
  for (size_t i = 0; stored && i < stored->size(); ++i)
    if (const json::object* blob = (*stored)[i].if_object()) blobs.push_back(show_blob(*blob, deps, presigned));
  out["blobs"] = std::move(blobs);
  out["source_details"] = json::array{json::object{{"type", "bucket"}, {"source_id", object.parent_id}}};
  return out;
}

Result<uint64_t> count_object_documents(const RequestContext& context, const Dependencies& deps, std::string_view object_id) {
  catalog::ListQuery query;
  query.kind = catalog::kind::kCollection;
  query.scope = namespace_scope(context);
  query.limit = kPage;
  const Filter of_object = equals("root_object_id", json::value(object_id));
  uint64_t total = 0;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, deps.catalog->list(query));
    for (const auto& resource : page.items) {
      QUARRY_ASSIGN_OR_RETURN(Collection collection, parse_collection(resource.body, context.organization_id, context.namespace_id));
      if (collection.lifecycle == LifecycleState::kArchived) continue;
      auto attached = deps.internals->tables.ensure(deps, collection, context.internal_id);
      if (!attached.ok() && attached.error().kind == ErrorKind::kNotFound) continue;  // nothing was written to it yet
      QUARRY_RETURN_IF_ERROR(attached);
      QUARRY_ASSIGN_OR_RETURN(uint64_t count, deps.vectors->count(collection.table_id(), of_object));
      total += count;
    }
    if (!page.has_more || page.items.empty()) return total;
    query.after = page.last;
  }
}

}  // namespace quarry::service
