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

// A data file's rows, from the local disk where they are kept there; all of them are live.
Result<SegmentView> load_view(const TableFiles& files, std::shared_ptr<const AddFile> file, const std::shared_ptr<const TableSchema>& schema,
                              uint32_t uid);
// The rows that `file`'s deletion vector, which it has, marks among its `rows`.
Result<std::shared_ptr<const Bitmap>> load_deleted(const TableFiles& files, const AddFile& file, size_t rows);
// How the table's texts are cut into words. A language that this program does not know, or none that is named, is read as English.
Analyzer analyzer_of(const Metadata& metadata);

// The snapshot of `log`. Segments and deletion vectors that `previous` has are taken from it; the rest is read in parallel. `next_uid`
// numbers new segments; a file of which rows are live again is one. Errors name the file.
Result<std::shared_ptr<const Snapshot>> build_snapshot(const TableFiles& files, const LogState& log, const Snapshot* previous,
                                                       std::atomic<uint32_t>& next_uid, Executor* executor);

}  // namespace quarry::mvs
