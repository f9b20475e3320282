#include "mvs/hot/top_rows.h"

#include <algorithm>
#include <unordered_map>

#include "mvs/hot/field_reader.h"

namespace quarry::mvs {

bool better(const ScoredRow& a, const ScoredRow& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.view->segment->block().document_id(a.row) < b.view->segment->block().document_id(b.row);
}

void TopRows::offer(const ScoredRow& row) {
  if (rows_.size() < k_) {
    rows_.push_back(row);
    std::push_heap(rows_.begin(), rows_.end(), better);
  } else if (k_ > 0 && row.score >= rows_.front().score && better(row, rows_.front())) {
    std::pop_heap(rows_.begin(), rows_.end(), better);
    rows_.back() = row;
    std::push_heap(rows_.begin(), rows_.end(), better);
  }
}

Result<std::vector<ScoredRow>> take_groups(std::vector<ScoredRow> heap, const GroupSpec& spec) {
  const auto worse = [](const ScoredRow& a, const ScoredRow& b) { return better(b, a); };
  std::make_heap(heap.begin(), heap.end(), worse);
  std::vector<std::vector<ScoredRow>> groups;
  std::unordered_map<std::string, size_t> group_of;
  size_t full = spec.max_per_group == 0 ? spec.limit : 0;
  for (; !heap.empty() && full < spec.limit; heap.pop_back()) {
    std::pop_heap(heap.begin(), heap.end(), worse);
    const ScoredRow& row = heap.back();
    QUARRY_ASSIGN_OR_RETURN(const auto key, FieldReader(*row.view->segment, spec.field).value(row.row));
    if (!key || key->is_null()) continue;
    const auto [it, is_new] = group_of.try_emplace(json::serialize(*key), groups.size());
    if (is_new && groups.size() == spec.limit) {
      group_of.erase(it);
      continue;
    }
    if (is_new) groups.emplace_back();
    auto& members = groups[it->second];
    if (members.size() == spec.max_per_group) continue;
    members.push_back(row);
    full += members.size() == spec.max_per_group;
  }
  std::vector<ScoredRow> out;
  for (const auto& members : groups) out.insert(out.end(), members.begin(), members.end());
  return out;
}

}  // namespace quarry::mvs
