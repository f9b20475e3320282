// What of a row's document a condition on one path looks at, row by row.
#pragma once

#include <array>
#include <string_view>

#include "mvs/warm/row_block.h"

namespace quarry::mvs {

// Cheap to make; `block` and `path` outlive it.
class DocumentReader {
 public:
  DocumentReader(const RowBlock& block, std::string_view path);

  // Whether read() gives no more than the members at which the path may begin: no column holds any of them.
  bool reads_members() const { return rest_only_; }
  // Whether nothing lies at the path, known without parsing.
  bool is_empty(size_t row) const { return rest_only_ && block_.rest(row).empty(); }
  // RowBlock::filter_document(), or as much of it as matters to the path. kCorruption if the payload does not parse.
  Result<json::object> read(size_t row) const;

 private:
  const RowBlock& block_;
  const std::array<std::string_view, 2> members_;  // of the document, at which the path may begin
  const bool rest_only_;                           // none of them is a column
};

}  // namespace quarry::mvs
