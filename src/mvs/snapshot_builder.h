// From the log's state to a snapshot: loads the files that are not in memory yet.
#pragma once

#include <atomic>

#include "base/executor.h"
#include "mvs/hot/local_segments.h"
#include "mvs/hot/snapshot.h"
#include "mvs/warm/delta_log.h"

namespace quarry::mvs {

struct TableFiles {
  objects::ObjectStore& store;
  std::string prefix;  // the table's folder, without a trailing '/'
  LocalSegments local;

  std::string key(std::string_view path) const { return prefix + "/" + std::string(path); }
};

// The snapshot of `log`. Segments and deletion vectors that `previous` has are taken from it; the rest is read in parallel. `next_uid`
// numbers new segments. Errors name the file.
Result<std::shared_ptr<const Snapshot>> build_snapshot(const TableFiles& files, const LogState& log, const Snapshot* previous,
                                                       std::atomic<uint32_t>& next_uid, Executor* executor);

}  // namespace quarry::mvs
