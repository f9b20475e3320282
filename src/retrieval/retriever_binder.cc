#include "retrieval/retriever_binder.h"

#include <fmt/format.h>

#include "model/json_schema.h"

namespace quarry::retrieval {

Result<json::object> bind_inputs(const ParsedRetriever& retriever, json::object inputs) {
  json::object bound(inputs.storage());
  for (auto& input : inputs)
    if (!input.value().is_null()) bound[input.key()] = std::move(input.value());
  QUARRY_RETURN_IF_ERROR(validate(retriever.input_schema, bound, "inputs"));
  return bound;
}

Result<std::vector<BoundStage>> bind_stages(const ParsedRetriever& retriever, const json::object& inputs, const json::object& context) {
  TemplateScope scope{&inputs, nullptr, &context};
  std::vector<BoundStage> out;
  for (const ParsedStage& parsed : retriever.stages) {
    json::array at{"stages", out.size(), "config", "parameters"};
    BoundStage bound{nullptr, &parsed, parsed.parameters};
    QUARRY_ASSIGN_OR_RETURN(bound.stage, find_stage(parsed.stage_id, at));
    auto prepare = [&]() -> Status {
      QUARRY_RETURN_IF_ERROR(bound.stage->bind(bound.parameters, scope, at));
      QUARRY_RETURN_IF_ERROR(bound.stage->normalize(bound.parameters, at));
      QUARRY_RETURN_IF_ERROR(check_json(bound.stage->definition().parameter_schema, bound.parameters, at));
      return bound.stage->check(bound.parameters, at, Form::kBound);
    };
    Status status = prepare();
    if (!status.ok()) return std::move(status).error().with_context(fmt::format("stage '{}'", parsed.stage_name));
    out.push_back(std::move(bound));
  }
  return out;
}

json::object context_members(const RequestContext& request, const ParsedRetriever& retriever, std::string_view execution_id) {
  return {{"namespace_id", request.namespace_id},   {"organization_id", request.organization_id},
          {"retriever_id", retriever.retriever_id}, {"retriever_name", retriever.retriever_name},
          {"execution_id", execution_id},           {"request_id", request.request_id},
          {"user_email", request.user_email},       {"now", format_timestamp(request.clock->now_us())}};
}

}  // namespace quarry::retrieval
