// One data file in memory: its rows as columns, and what is derived from them once.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "mvs/hot/geo_index.h"
#include "mvs/hot/member_index.h"
#include "mvs/hot/path_column.h"
#include "mvs/hot/sparse_index.h"
#include "mvs/hot/value_index.h"
#include "mvs/hot/word_index.h"
#include "mvs/text/segment_text.h"
#include "mvs/warm/deletion_vector.h"
#include "mvs/warm/row_block.h"

namespace quarry::mvs {

// Whether a condition is answered through an index.
enum class IndexUse {
  kWhenWorth,  // once the column has been asked a few times, which is when making one has paid
  kAlways,     // and made at once
  kNever,
};

// Immutable and thread-safe; what is derived lazily is derived once. Rows are physical: deleted ones are known to the snapshot, not here.
class Segment {
 public:
  Segment(uint32_t uid, std::shared_ptr<const RowBlock> block);

  uint32_t uid() const { return uid_; }  // unique in the table and ascending, never used again
  const RowBlock& block() const { return *block_; }
  const std::shared_ptr<const RowBlock>& shared_block() const { return block_; }
  size_t rows() const { return block_->rows(); }

  // norm() of each ordinal (of multi-vectors: each token) of the dense or multi-vector column at `column`, which exists.
  const float* norms(int column) const { return norms_[size_t(column)].data(); }
  // Of the sparse column at `column`, which exists. Made at the first call, which takes as long as a sort of its entries.
  const SparseIndex& sparse_index(int column) const;
  // hash64 of each row's document_id.
  const std::vector<uint64_t>& id_hashes() const { return id_hashes_; }

  // Rows whose JSON column may hold the payload field of `column`: there, not in the column, is what was written.
  const Bitmap& overridden(int column) const;
  // The column at `column`, of any kind but vectors.
  ValueColumn column(int column) const;
  // Of the column at `column`, of any kind but vectors. nullptr: there is none, or none yet: one call makes it, which takes as long as a
  // sort of the rows, while others go without.
  const ValueIndex* value_index(int column, IndexUse use) const;
  // RowGroups::by_row() of the column's index; nullptr as there.
  const std::vector<uint32_t>* value_groups(int column, IndexUse use) const;
  // As value_index(), of a column of texts.
  const WordIndex* word_index(int column, IndexUse use) const;
  // Of the points at a path that no column holds. The second question makes it, which takes as long as reading every row's JSON; others
  // wait meanwhile. nullptr: there is none yet, or as many paths as there may be were asked for already.
  const GeoIndex* geo_index(std::string_view path, IndexUse use) const;
  // The same of whatever lies at such a path. nullptr also where MemberIndex::make() makes none.
  const MemberIndex* member_index(std::string_view path, IndexUse use) const;
  // The same; nullptr also where PathColumn::make() makes none.
  const PathColumn* path_column(std::string_view path, PathReading reading, IndexUse use) const;
  // hash64 of each row's source_id; 0 where it has none.
  const std::vector<uint64_t>& source_hashes() const;
  // Rows in ascending order of document_id.
  const std::vector<uint32_t>& id_order() const;

  // Inverted indexes of its text fields; thread-safe.
  SegmentText& text() const { return text_; }

  uint64_t memory_bytes() const { return memory_bytes_.load(std::memory_order_relaxed) + text_.memory_bytes(); }

 private:
  struct LazyBitmap {
    std::once_flag once;
    Bitmap bits;
  };
  struct LazySparseIndex {
    std::once_flag once;
    std::unique_ptr<const SparseIndex> index;
  };

  struct LazyGroups {
    std::once_flag once;
    std::vector<uint32_t> by_row;
  };

  template <class Index>
  struct LazyIndex {
    std::once_flag once;
    std::atomic<uint64_t> asked{0};
    std::unique_ptr<const Index> index;
    std::atomic<const Index*> ready{nullptr};
  };

  // By path; no value: asked for once.
  template <class Index>
  struct PathIndexes {
    std::mutex mutex;
    std::map<std::string, std::optional<std::unique_ptr<const Index>>, std::less<>> by_path;
  };

  template <class Index, class Make>
  const Index* path_index(PathIndexes<Index>& indexes, std::string_view path, IndexUse use, const Make& make) const;
  template <class Index, class Make>
  const Index* column_index(LazyIndex<Index>& lazy, int column, IndexUse use, const Make& make) const;
  std::unique_ptr<const GeoIndex> make_geo_index(std::string_view path) const;

  const uint32_t uid_;
  const std::shared_ptr<const RowBlock> block_;
  std::vector<std::vector<float>> norms_;  // by column
  std::vector<uint64_t> id_hashes_;
  std::unique_ptr<LazyBitmap[]> overridden_;
  std::unique_ptr<LazySparseIndex[]> sparse_;
  std::unique_ptr<LazyIndex<ValueIndex>[]> values_;
  std::unique_ptr<LazyGroups[]> groups_;
  std::unique_ptr<LazyIndex<WordIndex>[]> words_;
  mutable PathIndexes<GeoIndex> geo_;
  mutable PathIndexes<MemberIndex> members_;
  mutable PathIndexes<PathColumn> path_values_, path_times_;
  mutable std::once_flag source_once_, order_once_;
  mutable std::vector<uint64_t> source_hashes_;
  mutable std::vector<uint32_t> id_order_;
  mutable SegmentText text_;
  mutable std::atomic<uint64_t> memory_bytes_{0};
};

}  // namespace quarry::mvs
