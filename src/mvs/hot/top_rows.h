// Rows with scores in the order of results, and what of them a search keeps.
#pragma once

#include <vector>

#include "mvs/hot/snapshot.h"
#include "mvs/mvs.h"

namespace quarry::mvs {

// One place in the order of results.
struct ScoredRow {
  float score = 0;
  const SegmentView* view = nullptr;
  uint32_t row = 0;
};

// Score descending, then document_id ascending: a total order.
bool better(const ScoredRow& a, const ScoredRow& b);

// The k best so far; the worst of them on top. Not thread-safe.
class TopRows {
 public:
  explicit TopRows(size_t k) : k_(k) {}

  bool full() const { return rows_.size() >= k_; }
  const ScoredRow& worst() const { return rows_.front(); }  // of at least one
  void offer(const ScoredRow& row);
  std::vector<ScoredRow>& rows() { return rows_; }

 private:
  const size_t k_;
  std::vector<ScoredRow> rows_;
};

// Takes rows in order until the groups are full. Rows without the field belong to no group. Groups by their best member, members in order.
// The answer does not depend on `use`.
Result<std::vector<ScoredRow>> take_groups(std::vector<ScoredRow> rows, const GroupSpec& spec, IndexUse use = IndexUse::kWhenWorth);

}  // namespace quarry::mvs
