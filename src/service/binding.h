// Turns functions over (context, request, dependencies) into handlers.
#pragma once

#include "service/operations.h"

namespace quarry::service {

// `Asked`: const Request&, or Request& where the operation takes parts of it.
template <typename Asked>
using Operation = Result<Reply> (*)(const RequestContext&, Asked, const Dependencies&);

template <typename Asked>
void bind_operation(OperationTable& table, const Dependencies& deps, std::string operation_id, Operation<Asked> operation) {
  table.bind(std::move(operation_id),
             [&deps, operation](const RequestContext& context, Request& request) { return operation(context, request, deps); });
}

}  // namespace quarry::service
