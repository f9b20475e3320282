#include <algorithm>
#include <cfloat>
#include <cmath>

#include "mvs/index/code_kernels.h"
#include "mvs/index/graph.h"
#include "mvs/index/pivots.h"
#include "mvs/index/walk_scratch.h"

namespace quarry::mvs {
namespace {

constexpr float kByteStep = Quantizer::kByteReach / Quantizer::kByteSteps;
constexpr uint32_t kMaxBatch = 256;  // each of its nodes looks at all others
constexpr size_t kNodesPerTask = 16;
constexpr uint32_t kFirstPivots = 512;  // nodes before pivots pay
constexpr uint32_t kMostPivots = 4096;
constexpr uint32_t kPivotGrowth = 32;  // nodes that grow by such a part while they are linked get others
constexpr size_t kMostGroups = 128;
constexpr uint32_t kConnectFraction = 8;  // additions of a smaller part are not worth a look at the whole graph
constexpr size_t kFarCandidates = 16;

// Leaves the nearest `near` and of the others one from each stretch of as many: the nearest may all lie in one cluster, which walks have to
// enter from others.
void thin_out(std::vector<Candidate>& candidates, size_t near) {
  if (candidates.size() <= near) return;
  const size_t others = candidates.size() - near, kept = std::min(others, kFarCandidates);
  for (size_t i = 0; i < kept; ++i) candidates[near + i] = candidates[near + (i + 1) * others / kept - 1];
  candidates.resize(near + kept);
}

bool by_distance(const Candidate& a, const Candidate& b) { return a.key != b.key ? a.key < b.key : a.node < b.node; }

}  // namespace

// A stored vector as a query, from its bytes.
void Graph::query_of(uint32_t node, QueryCodes& out) const {
  const size_t width = quantizer_->width();
  out.bytes.resize(width);
  const int32_t sum = code_kernels().to_query(bytes_.at(node), width, out.bytes.data());
  const float step = quantizer_->byte_scale(records_.at(node)) * kByteStep;
  out.byte_factor = kByteStep * step;
  out.byte_offset = 128 * sum;
  int8_t low = 127, high = -128;
  int64_t squared = 0;
  static thread_local std::vector<float> values;
  values.resize(width);
  for (size_t i = 0; i < width; ++i) {
    const int8_t v = out.bytes[i];
    low = std::min(low, v);
    high = std::max(high, v);
    squared += v * v;
    values[i] = v;
  }
  out.length = std::sqrt(float(squared)) * step;
  quantizer_->cut_planes(values.data(), low, high, step, out);
}

void Graph::distances(uint32_t node, std::span<const uint32_t> others, WalkScratch& scratch, float* out) const {
  const size_t width = quantizer_->width();
  QueryCodes& query = scratch.other;
  query.bytes.resize(width);
  const int32_t offset = 128 * code_kernels().to_query(bytes_.at(node), width, query.bytes.data());
  const float factor = kByteStep * kByteStep * quantizer_->byte_scale(records_.at(node));
  const Quantizer::Norms& own = norms(node);
  scratch.pointers.resize(others.size());
  scratch.dots.resize(others.size());
  for (size_t i = 0; i < others.size(); ++i) scratch.pointers[i] = bytes_.at(others[i]);
  code_kernels().byte_dots(query.bytes.data(), width, scratch.pointers.data(), others.size(), scratch.dots.data());
  for (size_t i = 0; i < others.size(); ++i) {
    const Quantizer::Norms& n = norms(others[i]);
    const float dot = factor * quantizer_->byte_scale(records_.at(others[i])) * float(scratch.dots[i] - offset);
    out[i] = std::max(0.0f, own.squared + n.squared - 2 * (dot + own.lift * n.lift));
  }
}

// RobustPrune of Vamana: the nearest is kept and hides every candidate that is much nearer to it than to the node; and so on.
void Graph::prune(std::vector<Candidate>& candidates, WalkScratch& scratch) const {
  auto& chosen = scratch.chosen;
  chosen.clear();
  auto& nodes = scratch.nodes;
  while (!candidates.empty() && chosen.size() < options_.degree) {
    const Candidate kept = candidates.front();
    chosen.push_back(kept);
    nodes.clear();
    for (size_t i = 1; i < candidates.size(); ++i) nodes.push_back(candidates[i].node);
    scratch.distances.resize(nodes.size());
    distances(kept.node, nodes, scratch, scratch.distances.data());
    size_t left = 0;
    for (size_t i = 1; i < candidates.size(); ++i)
      if (options_.spread * scratch.distances[i - 1] > candidates[i].key) candidates[left++] = candidates[i];
    candidates.resize(left);
  }
  candidates.assign(chosen.begin(), chosen.end());
}

void Graph::write_links(uint32_t node, std::span<const Candidate> chosen) {
  Link* row = links(node);
  for (size_t i = 0; i < chosen.size(); ++i) row[i].store(chosen[i].node, std::memory_order_release);
  for (size_t i = chosen.size(); i < options_.capacity; ++i) row[i].store(kNone, std::memory_order_release);
}

// Leaves the links for `node` in scratch.seen. It chooses among the nodes that a walk meets and those of its batch, which no walk meets
// yet: what comes together is often alike.
void Graph::find_links(uint32_t node, const Batch& batch, WalkScratch& scratch) const {
  query_of(node, scratch.query);
  scratch.keep_seen = true;
  walk(scratch.query, options_.build_effort, nullptr, &norms(node), scratch);
  auto& seen = scratch.seen;
  const float own = norms(node).squared;
  for (auto& c : seen) c.key = std::max(0.0f, 2 * c.key + own);  // keys to squared distances
  scratch.nodes.clear();
  for (uint32_t mate = batch.first; mate < batch.last; ++mate)
    if (mate != node) scratch.nodes.push_back(mate);
  scratch.distances.resize(scratch.nodes.size());
  distances(node, scratch.nodes, scratch, scratch.distances.data());
  for (size_t i = 0; i < scratch.nodes.size(); ++i) seen.push_back({scratch.distances[i], scratch.nodes[i]});
  std::sort(seen.begin(), seen.end(), by_distance);
  thin_out(seen, 4 * options_.degree);
  prune(seen, scratch);
}

void Graph::link_batch(const Batch& batch, Executor* executor) {
  const size_t count = batch.last - batch.first, degree = options_.degree;
  std::vector<Candidate> found(count * degree);
  std::vector<uint32_t> counts(count);
  parallel_for(executor, (count + kNodesPerTask - 1) / kNodesPerTask, [&](size_t task) {
    WalkScratch& scratch = WalkScratch::of_thread();
    for (size_t i = task * kNodesPerTask; i < std::min(count, (task + 1) * kNodesPerTask); ++i) {
      find_links(batch.first + uint32_t(i), batch, scratch);
      counts[i] = uint32_t(scratch.seen.size());
      std::copy(scratch.seen.begin(), scratch.seen.end(), found.begin() + std::ptrdiff_t(i * degree));
    }
  });
  std::vector<Edge> edges;
  for (size_t i = 0; i < count; ++i) {
    const std::span<const Candidate> chosen(found.data() + i * degree, counts[i]);
    write_links(batch.first + uint32_t(i), chosen);
    for (const auto& c : chosen) edges.push_back({c.node, batch.first + uint32_t(i)});
  }
  std::sort(edges.begin(), edges.end(),
            [](const Edge& a, const Edge& b) { return a.target != b.target ? a.target < b.target : a.source < b.source; });
  std::vector<size_t> starts;
  for (size_t i = 0; i < edges.size(); ++i)
    if (i == 0 || edges[i].target != edges[i - 1].target) starts.push_back(i);
  starts.push_back(edges.size());
  const size_t groups = starts.size() - 1;
  parallel_for(executor, (groups + kNodesPerTask - 1) / kNodesPerTask, [&](size_t task) {
    for (size_t g = task * kNodesPerTask; g < std::min(groups, (task + 1) * kNodesPerTask); ++g)
      add_back_links(std::span(edges).subspan(starts[g], starts[g + 1] - starts[g]), WalkScratch::of_thread());
  });
}

// Edges of one target.
void Graph::add_back_links(std::span<const Edge> edges, WalkScratch& scratch) {
  const uint32_t target = edges.front().target;
  Link* row = links(target);
  std::vector<uint32_t> nodes;
  for_each_link(target, [&](uint32_t id) { nodes.push_back(id); });
  const size_t before = nodes.size();
  for (const auto& e : edges)
    if (std::find(nodes.begin(), nodes.begin() + std::ptrdiff_t(before), e.source) == nodes.begin() + std::ptrdiff_t(before))
      nodes.push_back(e.source);
  if (nodes.size() <= options_.capacity) {
    for (size_t i = before; i < nodes.size(); ++i) row[i].store(nodes[i], std::memory_order_release);
    return;
  }
  std::vector<float> d(nodes.size());
  distances(target, nodes, scratch, d.data());
  std::vector<Candidate> candidates(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) candidates[i] = {d[i], nodes[i]};
  std::sort(candidates.begin(), candidates.end(), by_distance);
  prune(candidates, scratch);
  write_links(target, candidates);
}

void Graph::link(uint32_t until, Executor* executor) {
  uint32_t first = linked();
  until = std::min(until, size());
  const bool many = until > first + first / kConnectFraction;
  while (first < until) {
    const Batch batch{first, first + std::min({until - first, std::max(first / 8, 1u), kMaxBatch})};
    link_batch(batch, executor);
    first = batch.last;
    linked_.store(first, std::memory_order_release);
    if (first >= std::max(kFirstPivots, pivots_of_ + pivots_of_ / kPivotGrowth)) choose_pivots();
  }
  if (first >= kFirstPivots && first > pivots_of_) choose_pivots();
  if (many) connect();
}

void Graph::connect() {
  const uint32_t count = linked();
  VisitedSet reached;
  reached.reset(count);
  std::vector<uint32_t> stack;
  const auto reach = [&](uint32_t start) {
    if (!reached.insert(start)) return;
    stack.push_back(start);
    while (!stack.empty()) {
      const uint32_t node = stack.back();
      stack.pop_back();
      for_each_link(node, [&](uint32_t id) {
        if (reached.insert(id)) stack.push_back(id);
      });
    }
  };
  if (count > 0) reach(0);
  for (uint32_t node = 0; node < count; ++node) {
    if (reached.contains(node)) continue;
    offer_way_to(node, reached);
    reach(node);
  }
}

// Adds a link to `node` to the nearest of its neighbours that is reached and has room; with none that has, the nearest one's last link is
// replaced.
void Graph::offer_way_to(uint32_t node, const VisitedSet& reached) {
  const Link* row = links(node);
  Link* last = nullptr;
  for (uint32_t l = 0; l < options_.capacity; ++l) {
    const uint32_t id = row[l].load(std::memory_order_relaxed);
    if (id == kNone) break;
    if (!reached.contains(id)) continue;
    Link* way = links(id);
    uint32_t used = 0;
    while (used < options_.capacity && way[used].load(std::memory_order_relaxed) != kNone) ++used;
    if (used < options_.capacity) return way[used].store(node, std::memory_order_release);
    if (last == nullptr) last = &way[options_.capacity - 1];
  }
  if (last != nullptr) last->store(node, std::memory_order_release);
}

std::array<size_t, 4> Graph::section_bytes(uint32_t nodes) const {
  return {nodes * records_.record_bytes(), nodes * bytes_.record_bytes(), nodes * links_.record_bytes(), nodes * norms_.record_bytes()};
}

Graph::Sections Graph::sections(uint32_t nodes) const {
  const auto sizes = section_bytes(nodes);
  const NodeArray* arrays[] = {&records_, &bytes_, &links_, &norms_};
  Sections out;
  for (size_t s = 0; s < out.size(); ++s) out[s] = {reinterpret_cast<const char*>(arrays[s]->base()), sizes[s]};
  return out;
}

bool Graph::restore(uint32_t nodes, const Sections& sections) {
  if (size() != 0 || !records_.grow(nodes) || !bytes_.grow(nodes) || !links_.grow(nodes) || !norms_.grow(nodes)) return false;
  NodeArray* arrays[] = {&records_, &bytes_, &links_, &norms_};
  for (size_t s = 0; s < sections.size(); ++s) std::memcpy(arrays[s]->base(), sections[s].data(), sections[s].size());
  for (uint32_t node = 0; node < nodes; ++node)
    for (uint32_t l = 0; l < options_.capacity; ++l)
      if (const uint32_t id = links(node)[l].load(std::memory_order_relaxed); id != kNone && id >= nodes) return false;
  size_.store(nodes, std::memory_order_release);
  linked_.store(nodes, std::memory_order_release);
  if (nodes >= kFirstPivots) choose_pivots();
  return true;
}

// Four times the square root of the number of nodes, evenly spread over the order in which they came: where like came with like, few places
// are far from all pivots.
void Graph::choose_pivots() {
  const uint32_t count = linked();
  const auto wanted = uint32_t(std::min(4 * std::sqrt(double(count)), double(kMostPivots)));
  std::vector<uint32_t> nodes(wanted);
  for (uint32_t i = 0; i < wanted; ++i) nodes[i] = uint32_t((uint64_t(i) + 1) * count / wanted - 1);
  std::atomic_store(&pivots_, std::make_shared<const Pivots>(*quantizer_, records_, group_pivots(nodes)));
  pivots_of_ = count;
}

// Groups around some of the nodes, the others each with the nearest of these. None around a node that is one with an earlier one's, nor around
// one so near the centre that it would be nearest to most: either would leave the other groups empty.
std::vector<std::vector<uint32_t>> Graph::group_pivots(const std::vector<uint32_t>& nodes) const {
  const size_t wanted = std::min(size_t(2 * std::sqrt(double(nodes.size()))), kMostGroups);
  double squared = 0;
  for (const uint32_t node : nodes) squared += norms(node).squared / double(nodes.size());
  std::vector<std::vector<uint32_t>> groups;
  std::vector<size_t> nearest(nodes.size());
  std::vector<float> least(nodes.size(), FLT_MAX), distance(nodes.size());
  const auto begin_group = [&](size_t at) {
    distances(nodes[at], nodes, WalkScratch::of_thread(), distance.data());
    for (size_t i = 0; i < nodes.size(); ++i)
      if (distance[i] < least[i]) {
        least[i] = distance[i];
        nearest[i] = groups.size();
      }
    groups.push_back({nodes[at]});
  };
  for (size_t g = 0; g < wanted; ++g) {
    const size_t at = g * nodes.size() / wanted;
    if (least[at] > 0 && norms(nodes[at]).squared >= squared / 2) begin_group(at);
  }
  if (groups.empty()) begin_group(0);
  for (size_t i = 0; i < nodes.size(); ++i)
    if (nodes[i] != groups[nearest[i]].front()) groups[nearest[i]].push_back(nodes[i]);
  return groups;
}

}  // namespace quarry::mvs
