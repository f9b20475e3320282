// An index on the local disk: the graph and its codes in one file, which rows its nodes stand for in a smaller one beside it that is written
// more often. docs/formats/local_files.md gives the layouts.
#pragma once

#include <filesystem>

#include "mvs/index/column_index.h"

namespace quarry::mvs {

// Writes <name>.graph in `folder`: nodes that are linked. Not while the graph is being changed. Returns the file's identity, which the file
// of rows refers to.
Result<uint64_t> save_graph(const std::filesystem::path& folder, const ColumnIndex& index);
// Writes <name>.rows: what the nodes of the graph file `identity` stand for in `snapshot`.
Status save_rows(const std::filesystem::path& folder, const ColumnIndex& index, const Snapshot& snapshot, uint64_t identity);

struct LoadedIndex {
  std::shared_ptr<const ColumnIndex> index;
  uint64_t identity = 0;
};
// The index as it was saved, for the segments that `snapshot` still has. kNotFound: none, or of another column. kCorruption names file and
// offset.
Result<LoadedIndex> load_index(const std::filesystem::path& folder, const VectorSpec& spec, const Snapshot& snapshot);

}  // namespace quarry::mvs
