// What the lifecycle keeps in the catalog beside `lifecycle_state`; the layout is in pipeline.h.
#pragma once

#include <string>

#include "catalog/catalog.h"
#include "pipeline/pipeline.h"

namespace quarry::pipeline {

// `_internal.storage` of a collection's body, made if missing.
json::object& storage_of(json::object& collection_body);
// The same to read; null if there is none.
const json::object* find_storage(const json::object& collection_body);

// Adds documents, bytes and memory_bytes, where they are known.
void add_held(json::object& trace, const std::optional<HeldData>& held);
// A row of kind "lifecycle_event" under the collection: `body` and its event_id, collection_id and time. The newest kMaxLifecycleEvents
// stay.
Status add_lifecycle_event(catalog::Session& session, const catalog::Resource& collection, json::object body, TimestampUs now);

}  // namespace quarry::pipeline
