#include "mvs/hot/document_reader.h"

#include "mvs/warm/json_text.h"

namespace quarry::mvs {

DocumentReader::DocumentReader(const RowBlock& block, std::string_view path)
    : block_(block),
      members_{path, path.substr(0, path.find('.'))},
      rest_only_(block.schema().find(members_[0]) < 0 && block.schema().find(members_[1]) < 0) {}

Result<json::object> DocumentReader::read(size_t row) const {
  return rest_only_ ? parse_members(block_.rest(row), members_) : block_.filter_document(row);
}

}  // namespace quarry::mvs
