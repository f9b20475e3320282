#include "service/task_wait.h"

#include <algorithm>
#include <thread>

#include "base/executor.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr int64_t kFirstLookUs = 1'000, kMaxLookUs = 50'000;

}  // namespace

Result<Task> wait_for_task(const RequestContext& context, const Dependencies& deps, const std::string& task_id,
                           std::string_view unfinished) {
  for (int64_t look_us = kFirstLookUs;; look_us = std::min(look_us * 2, kMaxLookUs)) {
    Task task;
    QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(task, session.get_task(namespace_scope(context), task_id));
      return Ok{};
    }));
    if (is_terminal(task.status)) return task;
    if (context.expired()) return Error(ErrorKind::kTimeout, std::string(unfinished), {{"task_id", task_id}});
    const Waiting for_the_task;
    std::this_thread::sleep_for(std::chrono::microseconds(look_us));
  }
}

}  // namespace quarry::service
