// Memory of one walk over a graph. Private to the index.
#pragma once

#include <algorithm>
#include <array>
#include <cfloat>
#include <cstring>
#include <vector>

#include "mvs/index/graph.h"

namespace quarry::mvs {

// The best nodes so far, ascending by key, and how far they have been expanded. Holds `effort` nodes that may be results and, among them,
// those that may not.
class Beam {
 public:
  struct Entry {
    float key;
    uint32_t node;
    bool accepted, expanded;
  };

  void reset(size_t effort) {
    effort_ = effort;
    limit_ = std::max<size_t>(effort * kMaxDilution, 1024);
    entries_.clear();
    accepted_ = cursor_ = 0;
  }
  // Keys from here on change nothing.
  float bound() const { return accepted_ >= effort_ || entries_.size() >= limit_ ? entries_.back().key : FLT_MAX; }

  void insert(float key, uint32_t node, bool accepted) {
    if (key >= bound()) return;
    const auto at = std::upper_bound(entries_.begin(), entries_.end(), key, [](float k, const Entry& e) { return k < e.key; });
    const auto position = size_t(at - entries_.begin());
    entries_.insert(at, {key, node, accepted, false});
    cursor_ = std::min(cursor_, position);
    accepted_ += accepted;
    if (accepted_ > effort_) trim();
    if (entries_.size() > limit_) pop();
  }
  // The nearest entry that has not been expanded, marked as expanded; nullptr: none.
  Entry* next() {
    while (cursor_ < entries_.size() && entries_[cursor_].expanded) ++cursor_;
    if (cursor_ == entries_.size()) return nullptr;
    entries_[cursor_].expanded = true;
    return &entries_[cursor_];
  }
  // The one that next() would give now, and the one after that; nullptr: none.
  std::array<const Entry*, 2> upcoming() const {
    std::array<const Entry*, 2> out{};
    size_t found = 0;
    for (size_t i = cursor_; i < entries_.size() && found < out.size(); ++i)
      if (!entries_[i].expanded) out[found++] = &entries_[i];
    return out;
  }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  static constexpr size_t kMaxDilution = 32;

  void pop() {
    accepted_ -= entries_.back().accepted;
    entries_.pop_back();
  }
  void trim() {
    while (accepted_ > effort_) pop();
    while (!entries_.empty() && !entries_.back().accepted) pop();
  }

  std::vector<Entry> entries_;
  size_t effort_ = 0, limit_ = 0, accepted_ = 0, cursor_ = 0;
};

// A set of nodes that costs as much to empty as it holds.
class VisitedSet {
 public:
  void reset(size_t nodes) {
    if (count_ > words_.size() / 8)
      std::fill(words_.begin(), words_.end(), 0);
    else
      for (size_t i = 0; i < count_; ++i) words_[touched_[i]] = 0;
    count_ = 0;
    if (words_.size() < nodes / 64 + 1) words_.resize(nodes / 64 + 1, 0);
  }
  // False if it was in.
  bool insert(uint32_t node) {
    uint64_t& word = words_[node / 64];
    const uint64_t bit = uint64_t{1} << (node % 64), before = word;
    if (count_ == touched_.size()) touched_.resize(2 * count_ + 64);
    touched_[count_] = node / 64;
    count_ += before == 0;
    word = before | bit;
    return (before & bit) == 0;
  }
  bool contains(uint32_t node) const { return (words_[node / 64] >> (node % 64)) & 1; }

 private:
  std::vector<uint64_t> words_;
  std::vector<uint32_t> touched_;  // the first count_: words that are not zero
  size_t count_ = 0;
};

class WalkScratch {
 public:
  static constexpr size_t kBlock = 64;

  Beam beam;
  VisitedSet visited;
  std::vector<Candidate> seen;  // every node whose bytes were read, where the walk is asked to keep them
  bool keep_seen = false;
  size_t deserts = 0;  // hops of the walk that met hardly any wanted node
  uint32_t node_limit = 0;  // nodes from here on came after the walk began
  QueryCodes query, other;
  std::vector<float> distances;
  std::vector<uint32_t> nodes;
  std::vector<const uint8_t*> pointers;
  std::vector<int32_t> dots;
  std::vector<Candidate> chosen;

  uint32_t ids[kBlock];
  uint32_t passed[kBlock];
  const uint8_t* codes[kBlock];
  int32_t block_dots[kBlock];
  float keys[kBlock];

  // One a thread.
  static WalkScratch& of_thread() {
    static thread_local WalkScratch scratch;
    return scratch;
  }
};

}  // namespace quarry::mvs
