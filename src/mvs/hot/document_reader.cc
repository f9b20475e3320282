#include "mvs/hot/document_reader.h"

#include "mvs/warm/json_text.h"

namespace quarry::mvs {

namespace {

// A field that got its column after the block was written lies in the JSON column there.
bool holds(const RowBlock& block, std::string_view member) {
  const int at = block.schema().find(member);
  return at >= 0 && (block.schema().columns()[size_t(at)].system || block.array(at) != nullptr);
}

}  // namespace

DocumentReader::DocumentReader(const RowBlock& block, std::string_view path)
    : block_(block), members_{path, path.substr(0, path.find('.'))}, rest_only_(!holds(block, members_[0]) && !holds(block, members_[1])) {}

Result<json::object> DocumentReader::read(size_t row) const {
  return rest_only_ ? parse_members(block_.rest(row), members_) : block_.filter_document(row);
}

}  // namespace quarry::mvs
