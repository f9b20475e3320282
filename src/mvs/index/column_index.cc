#include "mvs/index/column_index.h"

#include <algorithm>
#include <bit>

namespace quarry::mvs {
namespace {

constexpr size_t kTrainingRows = 8192;

bool by_segment(const ColumnIndex::Covered& a, const ColumnIndex::Covered& b) { return a.segment < b.segment; }

// The vector column named as in `name`: a segment's own schema may number columns differently from the newest.
const VectorColumn* vectors_of(const Segment& segment, const std::string& name) {
  return segment.block().vector(segment.block().schema().find_vector(name));
}

// Adds rows as nodes. `missing` lists rows of `segment` that have a vector; their nodes are written to `nodes`.
bool append_rows(Graph& graph, const Segment& segment, const VectorColumn& vectors, const std::vector<uint32_t>& missing,
                 std::vector<uint32_t>& nodes, std::vector<NodeMap::Entry>& entries, Executor* executor) {
  std::vector<const float*> pointers;
  for (const uint32_t row : missing) pointers.push_back(vectors.at_row(row));
  uint32_t next = graph.size();
  if (!graph.append(pointers, executor)) return false;
  for (const uint32_t row : missing) {
    nodes[row] = next;
    entries.emplace_back(next++, RowRef{segment.uid(), row});
  }
  return true;
}

}  // namespace

NodeMap NodeMap::with(size_t size, std::vector<Entry> entries) const {
  NodeMap out = *this;
  out.size_ = size;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.first < b.first; });
  while (out.chunks_.size() * kChunk < size) out.chunks_.push_back(std::make_shared<const Chunk>());
  for (size_t i = 0; i < entries.size();) {
    const size_t c = entries[i].first / kChunk;
    auto chunk = std::make_shared<Chunk>(*out.chunks_[c]);
    for (; i < entries.size() && entries[i].first / kChunk == c; ++i) chunk->rows[entries[i].first % kChunk] = entries[i].second;
    out.chunks_[c] = std::move(chunk);
  }
  return out;
}

NodeOfRow::NodeOfRow(std::vector<uint32_t> nodes) : nodes_(std::move(nodes)), first_of_word_(nodes_.size() / 64, kNoNode) {
  for (size_t w = 0; w < first_of_word_.size(); ++w) {
    const uint32_t* word = &nodes_[w * 64];
    const auto follow = [](uint32_t a, uint32_t b) { return a == kNoNode || b != a + 1; };
    if (*word != kNoNode && std::adjacent_find(word, word + 64, follow) == word + 64) first_of_word_[w] = *word;
  }
}

void NodeOfRow::add_nodes(const Bitmap& rows, Bitmap& out) const {
  for (size_t w = 0; w < rows.word_count(); ++w) {
    uint64_t bits = rows.words()[w];
    if (bits == 0) continue;
    const uint32_t first = w < first_of_word_.size() ? first_of_word_[w] : kNoNode;
    if (first != kNoNode && size_t(first) + 64 <= out.size()) {
      uint64_t* to = out.words() + first / 64;
      to[0] |= bits << (first % 64);
      if (first % 64 != 0) to[1] |= bits >> (64 - first % 64);
      continue;
    }
    for (; bits != 0; bits &= bits - 1) {
      const uint32_t node = nodes_[w * 64 + size_t(std::countr_zero(bits))];
      if (node < out.size()) out.set(node);
    }
  }
}

const NodeOfRow* ColumnIndex::of_segment(uint32_t segment) const {
  const auto it = std::lower_bound(covered.begin(), covered.end(), Covered{segment, nullptr}, by_segment);
  return it != covered.end() && it->segment == segment ? it->nodes.get() : nullptr;
}

uint64_t ColumnIndex::memory_bytes() const {
  uint64_t bytes = graph->memory_bytes() + nodes.memory_bytes();
  for (const auto& c : covered) bytes += c.nodes->memory_bytes();
  return bytes;
}

std::shared_ptr<const ColumnIndex> ColumnIndex::with(const std::vector<SegmentView>& views, Executor* executor) const {
  auto out = std::make_shared<ColumnIndex>(*this);
  std::vector<NodeMap::Entry> entries;
  for (const auto& view : views) {
    const Segment& segment = *view.segment;
    std::vector<uint32_t> rows_nodes(segment.rows(), kNoNode);
    if (const VectorColumn* vectors = vectors_of(segment, vector_name)) {
      std::vector<uint32_t> rows;
      for (size_t row = 0; row < segment.rows(); ++row)
        if (view.is_live(row) && vectors->at_row(row) != nullptr) rows.push_back(uint32_t(row));
      if (!append_rows(*graph, segment, *vectors, rows, rows_nodes, entries, executor)) return nullptr;
    }
    out->covered.push_back({segment.uid(), std::make_shared<const NodeOfRow>(std::move(rows_nodes))});
  }
  std::sort(out->covered.begin(), out->covered.end(), by_segment);
  out->mapped += entries.size();
  out->nodes = nodes.with(graph->size(), std::move(entries));
  return out;
}

std::shared_ptr<const ColumnIndex> ColumnIndex::moved(const std::vector<SegmentView>& inputs,
                                                      const std::vector<std::vector<uint32_t>>& taken, const Segment& output,
                                                      Executor* executor) const {
  auto out = std::make_shared<ColumnIndex>(*this);
  std::vector<uint32_t> rows_nodes(output.rows(), kNoNode);
  std::vector<NodeMap::Entry> entries;
  std::vector<uint32_t> missing;
  const VectorColumn* vectors = vectors_of(output, vector_name);
  uint32_t at = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const NodeOfRow* before = of_segment(inputs[i].segment->uid());
    for (const uint32_t row : taken[i]) {
      const uint32_t node = before == nullptr ? kNoNode : (*before)[row];
      if (node != kNoNode) {
        rows_nodes[at] = node;
        entries.emplace_back(node, RowRef{output.uid(), at});
      } else if (vectors != nullptr && vectors->at_row(at) != nullptr) {
        missing.push_back(at);
      }
      ++at;
    }
  }
  if (!missing.empty() && !append_rows(*graph, output, *vectors, missing, rows_nodes, entries, executor)) return nullptr;
  out->covered.push_back({output.uid(), std::make_shared<const NodeOfRow>(std::move(rows_nodes))});
  std::sort(out->covered.begin(), out->covered.end(), by_segment);
  out->mapped += missing.size();
  out->nodes = nodes.with(graph->size(), std::move(entries));
  return out;
}

std::shared_ptr<const ColumnIndex> ColumnIndex::without_gone(const Snapshot& snapshot) const {
  if (std::all_of(covered.begin(), covered.end(), [&](const Covered& c) { return snapshot.view(c.segment) != nullptr; })) return nullptr;
  auto out = std::make_shared<ColumnIndex>(*this);
  out->covered.clear();
  std::vector<NodeMap::Entry> gone;
  for (const auto& c : covered) {
    if (snapshot.view(c.segment) != nullptr) {
      out->covered.push_back(c);
      continue;
    }
    for (const uint32_t node : c.nodes->nodes())
      if (node != kNoNode && nodes.at(node).segment == c.segment) gone.emplace_back(node, NodeMap::kGone);
  }
  out->mapped -= gone.size();
  out->nodes = nodes.with(nodes.size(), std::move(gone));
  return out;
}

std::shared_ptr<const ColumnIndex> make_column_index(const Snapshot& snapshot, const VectorSpec& spec, GraphOptions options) {
  std::vector<const float*> sample;
  const size_t step = std::max<size_t>(snapshot.live_rows / kTrainingRows, 1);
  size_t row_number = 0;
  for (const auto& view : snapshot.views) {
    const VectorColumn* vectors = vectors_of(*view.segment, spec.name);
    if (vectors == nullptr) continue;
    for (size_t o = 0; o < vectors->count; ++o)
      if (row_number++ % step == 0 && view.is_live(vectors->row(o))) sample.push_back(vectors->data + o * vectors->dimension);
  }
  if (sample.empty()) return nullptr;
  auto out = std::make_shared<ColumnIndex>();
  out->vector_name = spec.name;
  out->graph = std::make_shared<Graph>(std::make_shared<const Quantizer>(spec.metric, spec.dimension, sample), options);
  return out;
}

}  // namespace quarry::mvs
