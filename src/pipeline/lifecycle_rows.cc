#include "pipeline/lifecycle_rows.h"

#include "model/ids.h"
#include "pipeline/new_row.h"

namespace quarry::pipeline {

namespace kind = catalog::kind;

json::object& storage_of(json::object& collection_body) {
  json::value& internal = collection_body[kInternalMember];
  if (!internal.is_object()) internal = json::object{};
  json::value& storage = internal.get_object()["storage"];
  if (!storage.is_object()) storage = json::object{};
  return storage.get_object();
}

const json::object* find_storage(const json::object& collection_body) {
  const json::value* internal = collection_body.if_contains(kInternalMember);
  const json::value* storage = internal != nullptr && internal->is_object() ? internal->get_object().if_contains("storage") : nullptr;
  return storage != nullptr ? storage->if_object() : nullptr;
}

void add_held(json::object& trace, const std::optional<HeldData>& held) {
  if (!held) return;
  trace["documents"] = held->documents;
  trace["bytes"] = held->bytes;
  trace["memory_bytes"] = held->memory_bytes;
}

Status add_lifecycle_event(catalog::Session& session, const catalog::Resource& collection, json::object body, TimestampUs now) {
  const catalog::Scope scope{collection.organization_id, collection.namespace_id};
  catalog::Resource event = new_row(kind::kLifecycleEvent, new_id("evt"), scope, now);
  event.parent_id = collection.id;
  event.body = std::move(body);
  event.body["event_id"] = event.id;
  event.body["collection_id"] = collection.id;
  event.body["at"] = format_timestamp(now);
  QUARRY_RETURN_IF_ERROR(session.insert(event));
  catalog::ListQuery query;
  query.kind = kind::kLifecycleEvent;
  query.scope = scope;
  query.parent_id = collection.id;
  query.offset = kMaxLifecycleEvents;
  QUARRY_ASSIGN_OR_RETURN(const auto old, session.list(query));
  for (const auto& row : old.items) QUARRY_RETURN_IF_ERROR(session.remove(kind::kLifecycleEvent, query.scope, row.id));
  return Ok{};
}

}  // namespace quarry::pipeline
