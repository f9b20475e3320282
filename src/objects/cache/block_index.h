// Which blocks the cache holds, in the order of their last use. Plain data: no files, no locks.
#pragma once

#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace quarry::objects {

struct BlockId {
  std::string object;  // 32 hexadecimal digits
  uint64_t block = 0;
  auto operator<=>(const BlockId&) const = default;
};

class BlockIndex {
 public:
  explicit BlockIndex(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // The least recently used blocks that must go to make room are returned, and are no longer held. What is larger than everything is not
  // held itself and makes nothing go.
  std::vector<BlockId> insert(const BlockId& id, uint64_t bytes);
  bool touch(const BlockId& id);  // false if it is not held
  bool contains(const BlockId& id) const { return entries_.contains(id); }
  void erase(const BlockId& id);
  std::vector<BlockId> erase_object(const std::string& object);  // those that were held
  uint64_t bytes() const { return bytes_; }
  size_t size() const { return entries_.size(); }

  static constexpr uint64_t kLeastCharge = 4'096;  // what a file takes on a disk, however small

 private:
  struct Entry {
    uint64_t bytes = 0;
    std::list<BlockId>::iterator place;
  };
  void erase(std::map<BlockId, Entry>::iterator it);

  const uint64_t max_bytes_;
  uint64_t bytes_ = 0;
  std::list<BlockId> order_;  // least recently used first
  std::map<BlockId, Entry> entries_;
};

}  // namespace quarry::objects
