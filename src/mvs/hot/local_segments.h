// Segments kept on the local disk, so that their columns are mapped instead of held: a cache of the table's data files in the form in which
// they are searched. Losing a file costs a read of the data file it came from. docs/formats/local_files.md gives the layout.
#pragma once

#include <filesystem>
#include <set>

#include "mvs/warm/delta_actions.h"
#include "mvs/warm/row_block.h"

namespace quarry::mvs {

// Thread-safe; one process a folder.
class LocalSegments {
 public:
  // `folder` is the table's own; made when first written to. Empty: nothing is kept.
  explicit LocalSegments(std::filesystem::path folder) : folder_(std::move(folder)) {}

  bool enabled() const { return !folder_.empty(); }
  const std::filesystem::path& folder() const { return folder_; }
  // The rows of a data file, mapped. kNotFound: not kept, or not of this file and schema. kCorruption names file and offset; the file is
  // gone then.
  Result<std::shared_ptr<const RowBlock>> open(const AddFile& file, const std::shared_ptr<const TableSchema>& schema) const;
  // Keeps the rows of `file` and opens them.
  Result<std::shared_ptr<const RowBlock>> keep(const AddFile& file, const RowBlock& block) const;
  // Removes what belongs to none of these data files. Rows that are mapped stay readable.
  void retain(const std::set<std::string>& paths) const;

 private:
  std::filesystem::path path_of(std::string_view data_file) const;

  std::filesystem::path folder_;
};

}  // namespace quarry::mvs
