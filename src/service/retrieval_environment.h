// What executions of every kind share.
#pragma once

#include "service/service.h"

namespace quarry::service {

retrieval::Environment retrieval_environment(const Dependencies& deps);

// stage_statistics.stages as a map by name instead of the list: asked for by X-Response-Shape: contract, and by clients generated from the
// contract.
bool wants_stage_map(const Request& request);

// A reply whose `results` go out under the contract's name for them, `documents`, too.
Reply with_documents(json::object body);

// A retriever that names no collections reads all of its namespace, less the archived ones.
Status settle_collections(const RequestContext& context, const Dependencies& deps, retrieval::ParsedRetriever& retriever);

}  // namespace quarry::service
