// Replies that come when a task has ended.
#pragma once

#include "service/service.h"

namespace quarry::service {

// Looks at a task of the request's namespace until it has ended; the thread makes room for others meanwhile. Once the request's time is
// over: kTimeout with `unfinished` as its message. The task goes on.
Result<Task> wait_for_task(const RequestContext& context, const Dependencies& deps, const std::string& task_id,
                           std::string_view unfinished);

}  // namespace quarry::service
