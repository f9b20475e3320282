// What one life of a worker leaves for the next, so that an item which kills its worker is found and costs only itself. Kept in Task.inputs
// under "worker_notes": {settled_attempts, suspect: {item_id, tries}}.
#pragma once

#include <optional>
#include <string>

#include "model/task.h"

namespace quarry::pipeline {

inline constexpr std::string_view kWorkerNotes = "worker_notes";

struct Suspect {
  std::string item_id;
  int tries = 0;  // lives that began this item and did not see its end
};

// Claims since something was finished, this one included: more than one means that workers ended without handing the task back.
int unsettled_attempts(const Task& task);
// Something was finished, or the task is handed back in order: earlier attempts count no more, nobody is suspected.
void settle_attempts(Task& task);
std::optional<Suspect> suspect_of(const Task& task);
void suspect(Task& task, const std::string& item_id);

}  // namespace quarry::pipeline
