// A proximity graph over codes: finds the nodes whose keys are smallest for a query.
//
// One flat graph of bounded degree in the manner of Vamana (Subramanya et al., NeurIPS 2019), built in batches of which each meets the
// graph as it was before the batch (ParlayANN, Manohar et al., PPoPP 2024) and its own nodes by a look at each: the same nodes in the same
// order give the same graph on any number of threads. A walk looks at the sketches of a node's neighbours together, which were fetched a
// step ahead, and reads the bytes of those that may enter the beam.
#pragma once

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "mvs/index/node_array.h"
#include "mvs/index/quantizer.h"
#include "mvs/warm/deletion_vector.h"

namespace quarry::mvs {

struct GraphOptions {
  uint32_t degree = 40;       // links a node is cut to
  uint32_t capacity = 56;     // links it may gather before it is cut
  uint32_t build_effort = 96;
  uint32_t max_nodes = 1 << 24;  // address space is set aside for as many
  float spread = 1.2f;        // a link is left out if a kept one is this much nearer to its end (squared distances)
};

struct Candidate {
  float key = 0;
  uint32_t node = 0;
};

// Which nodes may be results, and how a walk goes about the others.
struct NodeFilter {
  const Bitmap& wanted;  // a bit per node; nodes beyond it are none
  // Neighbours that are not wanted are passed over to theirs (ACORN, Patel et al., SIGMOD 2024), else visited as wanted ones are: the first
  // is for few wanted nodes.
  bool two_hops = true;
  size_t max_hops = SIZE_MAX;
  size_t wanted_count = wanted.count();

  bool accepts(uint32_t node) const { return node < wanted.size() && wanted.test(node); }
};

// Memory of one walk, used again by the next. Not thread-safe.
class WalkScratch;
class VisitedSet;
// Where walks begin.
class Pivots;

// One writer appends and links; any number of readers search meanwhile. Nodes are never removed: who owns the graph says which are live.
class Graph {
 public:
  explicit Graph(std::shared_ptr<const Quantizer> quantizer, GraphOptions options = {});
  ~Graph();

  const Quantizer& quantizer() const { return *quantizer_; }
  uint32_t size() const { return size_.load(std::memory_order_acquire); }      // nodes with codes
  uint32_t linked() const { return linked_.load(std::memory_order_acquire); }  // of them, in the graph

  // ---- the writer ----
  // Encodes vectors as the next nodes. False: no memory.
  bool append(std::span<const float* const> vectors, Executor* executor);
  // Links nodes up to `until` into the graph.
  void link(uint32_t until, Executor* executor);

  // ---- saving: the nodes' arrays as bytes, for the writer alone ----
  using Sections = std::array<std::string_view, 4>;  // records, bytes, links, norms
  Sections sections(uint32_t nodes) const;
  std::array<size_t, 4> section_bytes(uint32_t nodes) const;
  // Fills an empty graph with nodes that are all linked. False: links lead nowhere, or no memory.
  bool restore(uint32_t nodes, const Sections& sections);

  // ---- readers ----
  // The candidates with the smallest keys among linked nodes, ascending; about `effort` of them, more effort finds better ones. False: `out`
  // is no answer: the filter's max_hops did not suffice, or the wanted nodes lie so far from the query that a walk misses some.
  bool search(const QueryCodes& query, size_t effort, const NodeFilter* filter, std::vector<Candidate>& out) const;
  // The `count` smallest keys among nodes [first, last) by looking at each, ascending; of those in `wanted`, if it is not null.
  void scan(const QueryCodes& query, uint32_t first, uint32_t last, size_t count, const Bitmap* wanted, std::vector<Candidate>& out) const;

  uint64_t memory_bytes() const;
  const GraphOptions& options() const { return options_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  using Link = std::atomic<uint32_t>;
  struct Edge {
    uint32_t target, source;
  };
  struct Batch {
    uint32_t first, last;  // nodes [first, last)
  };

  Link* links(uint32_t node) const { return reinterpret_cast<Link*>(links_.at(node)); }
  template <class F>
  void for_each_link(uint32_t node, F&& f) const {
    const Link* row = links(node);
    for (uint32_t l = 0; l < options_.capacity; ++l) {
      const uint32_t id = row[l].load(std::memory_order_acquire);
      if (id == kNone) return;
      f(id);
    }
  }
  Quantizer::Norms& norms(uint32_t node) const { return *reinterpret_cast<Quantizer::Norms*>(norms_.at(node)); }
  // False: more hops than the filter allows.
  bool walk(const QueryCodes& query, size_t effort, const NodeFilter* filter, const Quantizer::Norms* stored, WalkScratch& scratch) const;
  void seed(const QueryCodes& query, const NodeFilter* filter, const Quantizer::Norms* stored, WalkScratch& scratch) const;
  size_t gather(uint32_t node, WalkScratch& scratch) const;
  bool lie_far(const QueryCodes& query, const NodeFilter& filter, std::span<const Candidate> found) const;
  size_t gather_wanted(uint32_t node, const NodeFilter& filter, WalkScratch& scratch) const;
  void fetch_ahead(bool two_hops, const WalkScratch& scratch) const;
  void prefetch_links(uint32_t node) const;
  void visit(size_t n, const QueryCodes& query, const NodeFilter* filter, const Quantizer::Norms* stored, WalkScratch& scratch) const;
  float key_by_bytes(uint32_t node, const QueryCodes& query, int32_t sum, const Quantizer::Norms* stored) const;
  template <class Next>
  void scan_nodes(const QueryCodes& query, size_t count, Next&& next, std::vector<Candidate>& out) const;
  void read_bytes(const QueryCodes& query, size_t count, const Quantizer::Norms* stored, WalkScratch& scratch) const;

  void query_of(uint32_t node, QueryCodes& out) const;
  // Distances from `node` to each of `others`.
  void distances(uint32_t node, std::span<const uint32_t> others, WalkScratch& scratch, float* out) const;
  // Chooses at most `degree` of the candidates, which are ascending by distance to the node.
  void prune(std::vector<Candidate>& candidates, WalkScratch& scratch) const;
  void link_batch(const Batch& batch, Executor* executor);
  void find_links(uint32_t node, const Batch& batch, WalkScratch& scratch) const;
  void write_links(uint32_t node, std::span<const Candidate> chosen);
  void add_back_links(std::span<const Edge> edges, WalkScratch& scratch);
  void choose_pivots();
  std::vector<std::vector<uint32_t>> group_pivots(const std::vector<uint32_t>& nodes) const;
  // Gives every node that no walk can reach a link from a neighbour that can be.
  void connect();
  void offer_way_to(uint32_t node, const VisitedSet& reached);

  const std::shared_ptr<const Quantizer> quantizer_;
  const GraphOptions options_;
  NodeArray records_, bytes_, links_, norms_;
  std::atomic<uint32_t> size_{0}, linked_{0};
  std::shared_ptr<const Pivots> pivots_;  // read and replaced atomically
  uint32_t pivots_of_ = 0;                // nodes that were linked when they were chosen
};

}  // namespace quarry::mvs
