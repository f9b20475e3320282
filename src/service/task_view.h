// A task as the API shows it: the contract's TaskResponse.
#pragma once

#include "service/service.h"

namespace quarry::service {

// Without what is internal to the server.
json::object show_task(const Task& task);

}  // namespace quarry::service
