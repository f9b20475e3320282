#pragma once

#include "service/service.h"

namespace quarry::service {

void bind_retriever_execution(class OperationTable& table, const Dependencies& deps);
void bind_typeahead(class OperationTable& table, const Dependencies& deps);
void bind_execution_records(class OperationTable& table, const Dependencies& deps);

}  // namespace quarry::service
