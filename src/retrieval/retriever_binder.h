// Inputs and parameters of one execution. Private to this folder.
#pragma once

#include "retrieval/stage.h"

namespace quarry::retrieval {

// The inputs by the retriever's schema: types, enums and required ones checked, defaults filled; null means absent. Inputs that the schema
// does not name are kept: a template may read them, and an ad hoc retriever often has no schema.
Result<json::object> bind_inputs(const ParsedRetriever& retriever, json::object inputs);

// Each stage's parameters with templates bound, checked against its schema, defaults filled. Errors name the stage.
Result<std::vector<BoundStage>> bind_stages(const ParsedRetriever& retriever, const json::object& inputs, const json::object& context);

// What {{CONTEXT.x}} reads: namespace_id, organization_id, retriever_id, retriever_name, execution_id, request_id, user_email, now.
json::object context_members(const RequestContext& request, const ParsedRetriever& retriever, std::string_view execution_id);

}  // namespace quarry::retrieval
