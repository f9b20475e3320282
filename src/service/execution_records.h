// What is kept of an execution: counts, timings and the question, never the documents.
#pragma once

#include <optional>

#include "service/service.h"

namespace quarry::service {

struct ExecutionOutcome {
  std::string execution_id;
  std::string status;  // COMPLETED, COMPLETED_WITH_ERRORS, FAILED
  std::string error;
  double duration_ms = 0;
  size_t returned = 0;
  json::object reply;  // as sent; its statistics are kept
};

struct ExecutionSubject {
  std::string parent;  // the retriever's id, or that of the namespace's ad hoc executions
  std::vector<std::string> collection_ids;
  size_t total_stages = 0;
};

// What is kept of an execution's inputs.
struct InputsNote {
  uint64_t hash = 0;
  std::string summary;
  std::optional<json::object> inputs;  // unless they are long
};
InputsNote note_of(const json::object& inputs);

// The parent of a namespace's executions without a retriever.
std::string adhoc_parent(const RequestContext& context);

void record_execution(const RequestContext& context, const Dependencies& deps, ExecutionSubject subject, InputsNote inputs,
                      ExecutionOutcome outcome);

// stage_statistics.stages as the list, whichever form it has.
json::array stage_list(const json::object& statistics);
// {name: statistics}; a second stage of a name becomes "name_2".
json::object stage_map(const json::array& stages);

}  // namespace quarry::service
