// Turns functions over (context, request, dependencies) into handlers.
#pragma once

#include "service/operations.h"

namespace quarry::service {

using Operation = Result<Reply> (*)(const RequestContext&, const Request&, const Dependencies&);

inline void bind_operation(OperationTable& table, const Dependencies& deps, std::string operation_id, Operation operation) {
  table.bind(std::move(operation_id),
             [&deps, operation](const RequestContext& context, const Request& request) { return operation(context, request, deps); });
}

}  // namespace quarry::service
