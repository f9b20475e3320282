#include "mvs/index/graph.h"

#include <bit>
#include <cmath>
#include <utility>

#include "mvs/hot/paging.h"
#include "mvs/index/code_kernels.h"
#include "mvs/index/pivots.h"
#include "mvs/index/walk_scratch.h"

namespace quarry::mvs {
namespace {

// Standard deviations by which a sketch may err before a node is passed over.
constexpr float kWalkSlack = 0.7f, kScanSlack = 1.4f;

// Of a hop past unwanted nodes: wanted ones found after which it looks no further; those met below which it needs the others for a way, and
// the unwanted ones past which it looked that make that a desert; lists fetched ahead.
constexpr size_t kEnough = 10, kFew = 4, kWide = 8, kAhead = 2;
constexpr size_t kMaxDeserts = 16;
// Pivots that may be nearer than the candidates found, and how many times as many as the share of wanted nodes explains.
constexpr double kNearerPivots = 2, kFarther = 3;

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

bool Graph::search(const QueryCodes& query, size_t effort, const NodeFilter* filter, std::vector<Candidate>& out) const {
  WalkScratch& scratch = WalkScratch::of_thread();
  scratch.keep_seen = false;
  out.clear();
  if (!walk(query, effort, filter, nullptr, scratch)) return false;
  for (const auto& e : scratch.beam.entries())
    if (e.accepted) out.push_back({e.key, e.node});
  return filter == nullptr || !lie_far(query, *filter, out);
}

// Wanted nodes that are as near as any others have few nodes nearer than the nearest of them. Where there are many, as the pivots tell,
// which are a sample of all nodes, the nearest wanted ones surround the query from afar, and links do not lead from one to the next.
bool Graph::lie_far(const QueryCodes& query, const NodeFilter& filter, std::span<const Candidate> found) const {
  const auto pivots = std::atomic_load_explicit(&pivots_, std::memory_order_acquire);
  if (found.empty()) return filter.wanted_count > 0;
  if (pivots == nullptr) return false;
  const double expected = double(pivots->size() * found.size()) / double(std::max(filter.wanted_count, found.size()));
  return double(pivots->count_below(*quantizer_, query, found.back().key)) >= kNearerPivots + kFarther * expected;
}

// The key of a node from its bytes; where the query is a stored vector, the half of their squared distance but for a term of the query.
float Graph::key_by_bytes(uint32_t node, const QueryCodes& query, int32_t sum, const Quantizer::Norms* stored) const {
  const uint8_t* record = records_.at(node);
  const float key = quantizer_->tail(record).bias - byte_dot(query, quantizer_->byte_scale(record), sum);
  return stored == nullptr || stored->lift == 0 ? key : key - stored->lift * norms(node).lift;
}

// The keys of scratch.ids[0, count) from their bytes, into scratch.keys.
void Graph::read_bytes(const QueryCodes& query, size_t count, const Quantizer::Norms* stored, WalkScratch& scratch) const {
  const size_t width = quantizer_->width();
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* code = bytes_.at(scratch.ids[i]);
    scratch.codes[i] = code;
    prefetch(code, width);
  }
  code_kernels().byte_dots(query.bytes.data(), width, scratch.codes, count, scratch.block_dots);
  for (size_t i = 0; i < count; ++i) scratch.keys[i] = key_by_bytes(scratch.ids[i], query, scratch.block_dots[i], stored);
}

bool Graph::walk(const QueryCodes& query, size_t effort, const NodeFilter* filter, const Quantizer::Norms* stored,
                 WalkScratch& scratch) const {
  scratch.beam.reset(effort);
  scratch.node_limit = size();  // before anything else of the graph is read
  scratch.visited.reset(scratch.node_limit);
  scratch.seen.clear();
  scratch.deserts = 0;
  if (linked() == 0) return true;
  seed(query, filter, stored, scratch);
  const bool two_hops = filter != nullptr && filter->two_hops;
  size_t hops_left = filter != nullptr ? filter->max_hops : SIZE_MAX;
  while (const Beam::Entry* entry = scratch.beam.next()) {
    if (hops_left-- == 0 || scratch.deserts > kMaxDeserts) return false;
    const size_t n = two_hops ? gather_wanted(entry->node, *filter, scratch) : gather(entry->node, scratch);
    fetch_ahead(two_hops, scratch);
    visit(n, query, filter, stored, scratch);
  }
  return true;
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
    if (id >= scratch.node_limit) continue;
    scratch.ids[n] = id;
    __builtin_prefetch(records_.at(id));
    n += scratch.visited.insert(id);  // as likely in as not: a branch would be guessed wrong
  }
  return n;
}

// The same for a walk that wants few of the nodes: the neighbours that are wanted and, past those that are not, theirs. Where hardly any is
// wanted so near, the others are a way on.
size_t Graph::gather_wanted(uint32_t node, const NodeFilter& filter, WalkScratch& scratch) const {
  size_t n = 0, passed = 0, met = 0;
  const auto take = [&](uint32_t id) {
    scratch.ids[n++] = id;
    __builtin_prefetch(records_.at(id));
  };
  const auto offer = [&](uint32_t id) {
    ++met;
    if (n < WalkScratch::kBlock && scratch.visited.insert(id)) take(id);
  };
  for_each_link(node, [&](uint32_t id) {
    if (id >= scratch.node_limit) return;
    if (filter.accepts(id))
      offer(id);
    else if (!scratch.visited.contains(id))
      scratch.passed[passed++] = id;
  });
  for (size_t i = 0; i < passed && n < kEnough; ++i) {
    if (i + kAhead < passed) prefetch_links(scratch.passed[i + kAhead]);
    scratch.visited.insert(scratch.passed[i]);
    for_each_link(scratch.passed[i], [&](uint32_t id) {
      if (id < scratch.node_limit && filter.accepts(id)) offer(id);
    });
  }
  if (met >= kFew) return n;
  scratch.deserts += passed >= kWide;
  for (size_t i = 0; i < passed && n < WalkScratch::kBlock; ++i) take(scratch.passed[i]);
  return n;
}

// What the next steps will read if nothing nearer is found before: the sketches of the next one's neighbours, whose links came a step ago, and
// the links of the one after that; of a walk that looks past neighbours the next one's links alone.
void Graph::fetch_ahead(bool two_hops, const WalkScratch& scratch) const {
  const auto [next, after] = scratch.beam.upcoming();
  if (two_hops) {
    if (next != nullptr) prefetch_links(next->node);
    return;
  }
  if (after != nullptr) prefetch_links(after->node);
  if (next != nullptr) for_each_link(next->node, [&](uint32_t id) { __builtin_prefetch(records_.at(id)); });
}

void Graph::prefetch_links(uint32_t node) const {
  prefetch(links(node), options_.capacity * sizeof(Link));
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

// Over the nodes that next() gives until it gives kNone.
template <class Next>
void Graph::scan_nodes(const QueryCodes& query, size_t count, Next&& next, std::vector<Candidate>& out) const {
  WalkScratch& scratch = WalkScratch::of_thread();
  Beam& best = scratch.beam;
  best.reset(count);
  const SketchQuery sketch = quantizer_->sketch_query(query, kScanSlack);
  // A block's sketches are fetched while the one before is looked at.
  const auto fill = [&] {
    size_t n = 0;
    for (uint32_t node; n < WalkScratch::kBlock && (node = next()) != kNone; ++n) {
      scratch.passed[n] = node;
      __builtin_prefetch(records_.at(node));
    }
    return n;
  };
  for (size_t ahead = fill(); ahead > 0;) {
    std::copy_n(scratch.passed, ahead, scratch.ids);
    size_t n = std::exchange(ahead, fill());
    n = code_kernels().sketch_filter(sketch, records_.base(), best.bound(), scratch.ids, n);
    read_bytes(query, n, nullptr, scratch);
    for (size_t i = 0; i < n; ++i) best.insert(scratch.keys[i], scratch.ids[i], true);
  }
  out.clear();
  for (const auto& e : best.entries()) out.push_back({e.key, e.node});
}

void Graph::scan(const QueryCodes& query, uint32_t first, uint32_t last, size_t count, const Bitmap* wanted,
                 std::vector<Candidate>& out) const {
  if (wanted == nullptr) return scan_nodes(query, count, [&] { return first < last ? first++ : kNone; }, out);
  last = uint32_t(std::min<size_t>(last, wanted->size()));
  if (first >= last) return out.clear();
  size_t word = first / 64;
  uint64_t bits = wanted->words()[word] & (~uint64_t{0} << (first % 64));
  scan_nodes(
      query, count,
      [&]() -> uint32_t {
        while (bits == 0) {
          if (++word * 64 >= last) return kNone;
          bits = wanted->words()[word];
        }
        const auto node = uint32_t(word * 64 + size_t(std::countr_zero(bits)));
        bits &= bits - 1;
        return node < last ? node : kNone;
      },
      out);
}

}  // namespace quarry::mvs
