#include "objects/cache/block_index.h"

#include <algorithm>

namespace quarry::objects {

std::vector<BlockId> BlockIndex::insert(const BlockId& id, uint64_t bytes) {
  bytes = std::max(bytes, kLeastCharge);
  erase(id);
  std::vector<BlockId> evicted;
  if (bytes > max_bytes_) return evicted;
  while (bytes_ + bytes > max_bytes_) {
    evicted.push_back(order_.front());
    erase(entries_.find(evicted.back()));
  }
  bytes_ += bytes;
  entries_[id] = {bytes, order_.insert(order_.end(), id)};
  return evicted;
}

bool BlockIndex::touch(const BlockId& id) {
  auto it = entries_.find(id);
  if (it == entries_.end()) return false;
  order_.splice(order_.end(), order_, it->second.place);
  return true;
}

void BlockIndex::erase(const BlockId& id) {
  if (auto it = entries_.find(id); it != entries_.end()) erase(it);
}

std::vector<BlockId> BlockIndex::erase_object(const std::string& object) {
  std::vector<BlockId> erased;
  for (auto it = entries_.lower_bound({object, 0}); it != entries_.end() && it->first.object == object;) {
    erased.push_back(it->first);
    erase(it++);
  }
  return erased;
}

void BlockIndex::erase(std::map<BlockId, Entry>::iterator it) {
  bytes_ -= it->second.bytes;
  order_.erase(it->second.place);
  entries_.erase(it);
}

}  // namespace quarry::objects
