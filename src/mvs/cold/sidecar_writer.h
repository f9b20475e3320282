// Makes what cold reads need beside a data file.
#pragma once

#include "base/executor.h"
#include "mvs/hot/snapshot.h"
#include "mvs/snapshot_builder.h"

namespace quarry::mvs {

// Puts the sidecar objects of `view`'s data file: row pages, code lists of every dense column, an inverted index of every text field, and
// last the index. Reads the data file once. Takes about three times its size in memory. kCorruption if the data file is damaged.
Status write_sidecars(const TableFiles& files, const SegmentView& view, const Analyzer& analyzer, Executor* executor);

}  // namespace quarry::mvs
