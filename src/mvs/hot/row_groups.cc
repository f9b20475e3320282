#include "mvs/hot/row_groups.h"

namespace quarry::mvs {

RowGroups::RowGroups(std::vector<uint32_t> order, std::vector<uint32_t> starts, size_t rows)
    : order_(std::move(order), rows), starts_(std::move(starts)), rows_(rows) {
  starts_.shrink_to_fit();
}

std::vector<uint32_t> RowGroups::by_row() const {
  std::vector<uint32_t> out(rows_, kNone);
  for (size_t group = 0; group < size(); ++group)
    for (const uint32_t row : rows_of(group)) out[row] = uint32_t(group);
  return out;
}

}  // namespace quarry::mvs
