// What a query gives a row: one scorer for each kind of vector column. The arithmetic is defined in mvs.h; nothing else makes a score.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "mvs/hot/top_rows.h"
#include "mvs/mvs.h"

namespace quarry::mvs {

// A range of ordinals of one segment's vector column.
struct ScoreTask {
  const SegmentView* view = nullptr;
  int column = -1;
  const RowOrdinals* ordinals = nullptr;
  const Bitmap* rows = nullptr;  // those to score; null: every row
  size_t begin = 0, end = 0;

  bool wants(size_t ordinal) const { return rows == nullptr || rows->test(ordinals->row(ordinal)); }
};

using RowSink = std::function<void(std::span<const ScoredRow>)>;

// Thread-safe; keeps what it needs of the query.
class RowScorer {
 public:
  virtual ~RowScorer() = default;

  // How many ordinals of the column make a task: about the work of 8,192 dense rows.
  virtual size_t ordinals_per_task(const RowBlock& block, int column) const = 0;
  // Hands over the task's rows that reach `min_score`, in several calls. Returns how many rows were scored.
  virtual size_t score(const ScoreTask& task, float min_score, const RowSink& sink) const = 0;
};

// For request.vector_name and the vector query in `request`. kBadRequest: no such vector, a query of another kind than the column, a wrong
// dimension, a value that is not finite, indices that do not ascend, too many tokens or entries.
Result<std::unique_ptr<RowScorer>> make_row_scorer(const TableSchema& schema, const SearchRequest& request);

}  // namespace quarry::mvs
