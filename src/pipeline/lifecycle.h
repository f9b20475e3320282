// Carries out one change of a collection's lifecycle: what begin_lifecycle_change() enqueued.
#pragma once

#include "pipeline/pipeline.h"
#include "pipeline/task_control.h"

namespace quarry::pipeline {

// Runs to an outcome that is in the catalog when it returns; an error means that not even that could be written (the lease will run out).
Status run_lifecycle_task(const Options& options, TaskControl& control, Task task);

}  // namespace quarry::pipeline
