// The index of one vector column: a graph, and which row each of its nodes stands for.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mvs/hot/snapshot.h"
#include "mvs/index/graph.h"

namespace quarry::mvs {

// Node -> row. A value: copies share chunks; a change copies the chunks it touches.
class NodeMap {
 public:
  using Entry = std::pair<uint32_t, RowRef>;
  static constexpr RowRef kGone{0, 0};  // segment uids begin at 1

  size_t size() const { return size_; }
  // kGone: the node stands for no row any more, or is not known yet.
  RowRef at(uint32_t node) const { return node < size_ ? chunks_[node / kChunk]->rows[node % kChunk] : kGone; }
  // `size` nodes, those named in `entries` standing for other rows than before.
  NodeMap with(size_t size, std::vector<Entry> entries) const;
  uint64_t memory_bytes() const { return chunks_.size() * sizeof(Chunk); }

 private:
  static constexpr size_t kChunk = 1 << 12;
  struct Chunk {
    RowRef rows[kChunk] = {};
  };
  std::vector<std::shared_ptr<const Chunk>> chunks_;
  size_t size_ = 0;
};

inline constexpr uint32_t kNoNode = UINT32_MAX;

// Row of a segment -> node. Immutable. Rows mostly became nodes in their order, so that sets of rows turn into sets of nodes by words.
class NodeOfRow {
 public:
  // kNoNode: the row has no vector, or was dead when it was met.
  explicit NodeOfRow(std::vector<uint32_t> nodes);

  size_t size() const { return nodes_.size(); }
  uint32_t operator[](size_t row) const { return nodes_[row]; }
  const std::vector<uint32_t>& nodes() const { return nodes_; }
  // Adds the nodes of `rows`, those below out.size(), to `out`.
  void add_nodes(const Bitmap& rows, Bitmap& out) const;
  uint64_t memory_bytes() const { return (nodes_.size() + first_of_word_.size()) * sizeof(uint32_t); }

 private:
  std::vector<uint32_t> nodes_;
  std::vector<uint32_t> first_of_word_;  // of 64 rows whose nodes follow one another; else kNoNode
};

// Immutable, but for the graph, which grows: nodes that the map does not know are later ones.
struct ColumnIndex {
  struct Covered {
    uint32_t segment = 0;
    std::shared_ptr<const NodeOfRow> nodes;
  };

  std::string vector_name;
  std::shared_ptr<Graph> graph;
  NodeMap nodes;
  std::vector<Covered> covered;  // ascending by segment
  size_t mapped = 0;             // nodes that stand for a row, live or deleted

  const NodeOfRow* of_segment(uint32_t segment) const;
  uint64_t memory_bytes() const;

  // Covers `views` as well: their live rows become nodes. nullptr: no memory for them.
  std::shared_ptr<const ColumnIndex> with(const std::vector<SegmentView>& views, Executor* executor) const;
  // `output` holds the rows `taken` of `inputs`, one after another: nodes move along, rows without one get theirs.
  std::shared_ptr<const ColumnIndex> moved(const std::vector<SegmentView>& inputs, const std::vector<std::vector<uint32_t>>& taken,
                                           const Segment& output, Executor* executor) const;
  // Forgets segments that are not in `snapshot`, whose nodes then stand for nothing. nullptr: there are none.
  std::shared_ptr<const ColumnIndex> without_gone(const Snapshot& snapshot) const;
};

// By vector name. Immutable.
using IndexSet = std::map<std::string, std::shared_ptr<const ColumnIndex>, std::less<>>;

// An empty index for the dense vectors `spec` names, trained on a sample of the snapshot's rows. nullptr: no row has one.
std::shared_ptr<const ColumnIndex> make_column_index(const Snapshot& snapshot, const VectorSpec& spec, GraphOptions options);

}  // namespace quarry::mvs
