#include "mvs/index/graph.h"

#include <cmath>

#include "mvs/index/code_kernels.h"
#include "mvs/index/walk_scratch.h"

namespace quarry::mvs {
namespace {

// Standard deviations by which a sketch may err before a node is passed over.
constexpr float kWalkSlack = 0.7f, kScanSlack = 1.4f;

}  // namespace

Graph::Graph(std::shared_ptr<const Quantizer> quantizer, GraphOptions options)
    : quantizer_(std::move(quantizer)),
      options_(options),
      records_(quantizer_->record_bytes(), options.max_nodes),
      bytes_(quantizer_->width(), options.max_nodes),
      links_(options.capacity * sizeof(Link), options.max_nodes),
      norms_(sizeof(Quantizer::Norms), options.max_nodes) {}

Graph::~Graph() = default;

bool Graph::append(std::span<const float* const> vectors, Executor* executor) {
  const uint32_t first = size_.load(std::memory_order_relaxed);
  const size_t after = first + vectors.size();
  if (!records_.grow(after) || !bytes_.grow(after) || !links_.grow(after) || !norms_.grow(after)) return false;
  constexpr size_t kPerTask = 256;
  parallel_for(executor, (vectors.size() + kPerTask - 1) / kPerTask, [&](size_t task) {
    const size_t end = std::min(vectors.size(), (task + 1) * kPerTask);
    for (size_t i = task * kPerTask; i < end; ++i) {
      const auto node = uint32_t(first + i);
      norms(node) = quantizer_->encode(vectors[i], records_.at(node), bytes_.at(node));
      for (uint32_t l = 0; l < options_.capacity; ++l) links(node)[l].store(kNone, std::memory_order_relaxed);
    }
  });
  size_.store(uint32_t(after), std::memory_order_release);
  return true;
}

uint64_t Graph::memory_bytes() const {
  const uint64_t a_node = records_.record_bytes() + bytes_.record_bytes() + links_.record_bytes() + norms_.record_bytes();
  return a_node * size();
}

// ---- readers --------------------------------------------------------------------------------------------------------

void Graph::search(const QueryCodes& query, size_t effort, const NodeFilter* filter, std::vector<Candidate>& out) const {
  WalkScratch& scratch = WalkScratch::of_thread();
  scratch.keep_seen = false;
  walk(query, effort, filter, nullptr, scratch);
  out.clear();
  for (const auto& e : scratch.beam.entries())
    if (e.accepted) out.push_back({e.key, e.node});
}

// The key of a node from its bytes; where the query is a stored vector, the half of their squared distance but for a term of the query.
float Graph::key_by_bytes(uint32_t node, const QueryCodes& query, int32_t sum, const Quantizer::Norms* stored) const {
  const SketchTail& tail = quantizer_->tail(records_.at(node));
  const float key = tail.bias - byte_dot(query, tail, sum);
  return stored == nullptr || stored->lift == 0 ? key : key - stored->lift * norms(node).lift;
}

// The keys of scratch.ids[0, count) from their bytes, into scratch.keys.
void Graph::read_bytes(const QueryCodes& query, size_t count, const Quantizer::Norms* stored, WalkScratch& scratch) const {
  const size_t width = quantizer_->width();
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* code = bytes_.at(scratch.ids[i]);
    scratch.codes[i] = code;
    for (size_t b = 0; b < width; b += 64) __builtin_prefetch(code + b);
  }
  code_kernels().byte_dots(query.bytes.data(), width, scratch.codes, count, scratch.block_dots);
  for (size_t i = 0; i < count; ++i) scratch.keys[i] = key_by_bytes(scratch.ids[i], query, scratch.block_dots[i], stored);
}

void Graph::walk(const QueryCodes& query, size_t effort, const NodeFilter* filter, const Quantizer::Norms* stored,
                 WalkScratch& scratch) const {
  scratch.beam.reset(effort);
  scratch.node_limit = size();  // before anything else of the graph is read
  scratch.visited.reset(scratch.node_limit);
  scratch.seen.clear();
  if (linked() == 0) return;
  seed(query, filter, stored, scratch);
  while (const Beam::Entry* entry = scratch.beam.next()) {
    const size_t n = gather(entry->node, scratch);
    prefetch_links(scratch);
    visit(n, query, filter, stored, scratch);
  }
}

size_t Graph::Pivots::nearest(const Quantizer& quantizer, const QueryCodes& query, uint32_t* out) const {
  constexpr size_t kBlock = 64;
  const auto* base = reinterpret_cast<const uint8_t*>(records.data());
  const uint8_t* pointers[kBlock];
  uint32_t sums[kBlock];
  Candidate best[kNearest + 1];
  size_t found = 0;
  for (size_t at = 0; at < nodes.size(); at += kBlock) {
    const size_t n = std::min(kBlock, nodes.size() - at);
    for (size_t i = 0; i < n; ++i) pointers[i] = base + (at + i) * quantizer.record_bytes();
    code_kernels().sketch_sums(query.planes.data(), quantizer.words(), pointers, n, sums);
    for (size_t i = 0; i < n; ++i) {
      const SketchTail& tail = quantizer.tail(pointers[i]);
      const float key = tail.bias - sketch_dot(query, tail, sums[i]);
      size_t place = found;
      for (; place > 0 && best[place - 1].key > key; --place) best[place] = best[place - 1];
      best[place] = {key, nodes[at + i]};
      found = std::min(found + 1, kNearest);
    }
  }
  for (size_t i = 0; i < found; ++i) out[i] = best[i].node;
  return found;
}

void Graph::seed(const QueryCodes& query, const NodeFilter* filter, const Quantizer::Norms* stored, WalkScratch& scratch) const {
  const auto pivots = std::atomic_load_explicit(&pivots_, std::memory_order_acquire);
  size_t n = 1;
  scratch.ids[0] = 0;
  if (pivots != nullptr) n = pivots->nearest(*quantizer_, query, scratch.ids);
  n = size_t(std::remove_if(scratch.ids, scratch.ids + n, [&](uint32_t id) { return id >= scratch.node_limit; }) - scratch.ids);
  for (size_t i = 0; i < n; ++i) scratch.visited.insert(scratch.ids[i]);
  read_bytes(query, n, stored, scratch);
  for (size_t i = 0; i < n; ++i) {
    if (scratch.keep_seen) scratch.seen.push_back({scratch.keys[i], scratch.ids[i]});
    scratch.beam.insert(scratch.keys[i], scratch.ids[i], filter == nullptr || filter->accepts(scratch.ids[i]));
  }
}

// Puts the neighbours of `node` that the walk has not met into scratch.ids. Returns how many.
size_t Graph::gather(uint32_t node, WalkScratch& scratch) const {
  const Link* row = links(node);
  size_t n = 0;
  for (uint32_t l = 0; l < options_.capacity; ++l) {
    const uint32_t id = row[l].load(std::memory_order_acquire);
    if (id == kNone) break;
    if (id >= scratch.node_limit || !scratch.visited.insert(id)) continue;
    scratch.ids[n++] = id;
    __builtin_prefetch(records_.at(id));
  }
  return n;
}

void Graph::prefetch_links(const WalkScratch& scratch) const {
  const Beam::Entry* next = scratch.beam.peek();
  if (next == nullptr) return;
  const char* ahead = reinterpret_cast<const char*>(links(next->node));
  for (size_t b = 0; b < options_.capacity * sizeof(Link); b += 64) __builtin_prefetch(ahead + b);
}

// Offers the block's nodes to the beam.
void Graph::visit(size_t n, const QueryCodes& query, const NodeFilter* filter, const Quantizer::Norms* stored, WalkScratch& scratch) const {
  const SketchQuery sketch = quantizer_->sketch_query(query, kWalkSlack);
  // Sketches know nothing of lifts, which only make keys smaller.
  const float lifted = stored == nullptr ? 0 : stored->lift * quantizer_->largest_norm();
  const size_t m = code_kernels().sketch_filter(sketch, records_.base(), scratch.beam.bound() + lifted, scratch.ids, n);
  read_bytes(query, m, stored, scratch);
  for (size_t i = 0; i < m; ++i) {
    const uint32_t node = scratch.ids[i];
    if (scratch.keep_seen) scratch.seen.push_back({scratch.keys[i], node});
    if (scratch.keys[i] < scratch.beam.bound()) scratch.beam.insert(scratch.keys[i], node, filter == nullptr || filter->accepts(node));
  }
}

template <class NodeAt>
void Graph::scan_nodes(const QueryCodes& query, size_t total, size_t count, NodeAt&& node_at, std::vector<Candidate>& out) const {
  WalkScratch& scratch = WalkScratch::of_thread();
  Beam& best = scratch.beam;
  best.reset(count);
  const SketchQuery sketch = quantizer_->sketch_query(query, kScanSlack);
  for (size_t at = 0; at < total;) {
    size_t n = 0;
    for (; n < WalkScratch::kBlock && at < total; ++at) {
      const uint32_t node = node_at(at);
      if (node == kNone) continue;
      scratch.ids[n++] = node;
      __builtin_prefetch(records_.at(node));
    }
    n = code_kernels().sketch_filter(sketch, records_.base(), best.bound(), scratch.ids, n);
    read_bytes(query, n, nullptr, scratch);
    for (size_t i = 0; i < n; ++i) best.insert(scratch.keys[i], scratch.ids[i], true);
  }
  out.clear();
  for (const auto& e : best.entries()) out.push_back({e.key, e.node});
}

void Graph::scan(const QueryCodes& query, uint32_t first, uint32_t last, size_t count, const NodeFilter* filter,
                 std::vector<Candidate>& out) const {
  if (filter == nullptr) return scan_nodes(query, last - first, count, [&](size_t i) { return uint32_t(first + i); }, out);
  scan_nodes(
      query, last - first, count,
      [&](size_t i) {
        const auto node = uint32_t(first + i);
        return filter->accepts(node) ? node : kNone;
      },
      out);
}

void Graph::scan(const QueryCodes& query, std::span<const uint32_t> nodes, size_t count, std::vector<Candidate>& out) const {
  scan_nodes(query, nodes.size(), count, [&](size_t i) { return nodes[i]; }, out);
}

}  // namespace quarry::mvs
