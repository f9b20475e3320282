#include "mvs/hot/member_index.h"

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "mvs/hot/document_reader.h"

namespace quarry::mvs {

std::unique_ptr<const MemberIndex> MemberIndex::make(const RowBlock& block, std::string_view path) {
  const DocumentReader documents(block, path);
  if (!documents.reads_members()) return nullptr;
  const size_t most = std::max<size_t>(64, block.rows() / 16);
  std::unique_ptr<MemberIndex> out(new MemberIndex());
  std::unordered_map<std::string, uint32_t> group_of;  // by text of the document
  std::vector<uint32_t> groups(block.rows());
  for (size_t row = 0; row < block.rows(); ++row) {
    auto document = documents.is_empty(row) ? Result<json::object>(json::object()) : documents.read(row);
    if (!document.ok()) return nullptr;
    std::string text = json::serialize(*document);
    out->memory_bytes_ += group_of.contains(text) ? 0 : sizeof(json::object) + 4 * text.size();  // as a tree it takes some four times as much
    const auto [known, is_new] = group_of.try_emplace(std::move(text), uint32_t(out->documents_.size()));
    if (is_new) out->documents_.push_back(std::move(*document));
    if (out->documents_.size() > most) return nullptr;
    groups[row] = known->second;
  }
  std::vector<uint32_t> starts(out->documents_.size() + 1, 0);
  for (const uint32_t group : groups) ++starts[group + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  std::vector<uint32_t> order(block.rows()), next(starts.begin(), starts.end() - 1);
  for (size_t row = 0; row < block.rows(); ++row) order[next[groups[row]]++] = uint32_t(row);
  out->rows_ = RowGroups(std::move(order), std::move(starts), block.rows());
  out->memory_bytes_ += out->rows_.memory_bytes();
  return out;
}

void MemberIndex::add_rows(const Filter& condition, Bitmap& out) const {
  for (size_t group = 0; group < documents_.size(); ++group)
    if (matches(condition, documents_[group])) rows_.add(group, group + 1, out);
}

}  // namespace quarry::mvs
