// How a table's indexes follow its rows. All of it runs in the table's upkeep, of which there is one at a time.
#include <algorithm>

#include "base/log.h"
#include "mvs/table_internal.h"

namespace quarry::mvs {
namespace {

constexpr size_t kRowsPerStep = 65'536;  // that become nodes
constexpr uint32_t kLinksPerStep = 8192;
constexpr size_t kExactTail = 512;  // rows without codes, and nodes without links, that are left until there are more

size_t live_vectors(const SegmentView& view, const std::string& name) {
  const VectorColumn* vectors = view.segment->block().vector(view.segment->block().schema().find_vector(name));
  return vectors == nullptr ? 0 : std::min(vectors->count, view.live);
}

size_t live_vectors(const Snapshot& snapshot, const std::string& name) {
  size_t rows = 0;
  for (const auto& view : snapshot.views) rows += live_vectors(view, name);
  return rows;
}

struct Backlog {
  size_t rows = 0, uncovered = 0, unlinked = 0, gone = 0;
};

Backlog backlog_of(const Snapshot& snapshot, const ColumnIndex& index) {
  Backlog out;
  for (const auto& view : snapshot.views) {
    const size_t rows = live_vectors(view, index.vector_name);
    out.rows += rows;
    if (index.of_segment(view.segment->uid()) == nullptr) out.uncovered += rows;
  }
  out.unlinked = index.nodes.size() - std::min<size_t>(index.graph->linked(), index.nodes.size());
  const size_t live = out.rows - out.uncovered;
  out.gone = index.nodes.size() - std::min(live, index.nodes.size());
  return out;
}

// A graph that is mostly of dead nodes costs more than a new one.
bool wants_rebuild(const Backlog& b) { return b.gone > kExactTail && b.gone > b.rows / 2; }

bool is_due(const Backlog& b) { return b.uncovered > kExactTail || b.unlinked > kExactTail || wants_rebuild(b); }

std::vector<const VectorSpec*> dense_columns(const TableSchema& schema) {
  std::vector<const VectorSpec*> out;
  for (const Column& column : schema.columns())
    if (column.kind == ColumnKind::kVector) out.push_back(&column.vector);
  return out;
}

Error no_memory() { return Error(ErrorKind::kUnavailable, "no memory for the vector index; searches stay exact"); }

}  // namespace

Executor* Table::background() const {
  return shared_->options.background != nullptr ? shared_->options.background : shared_->options.executor;
}

bool Table::index_is_due(const ServedSnapshot& view) const {
  if (view.snapshot == nullptr || tier_ != Tier::kActive) return false;
  for (const VectorSpec* spec : dense_columns(*view.snapshot->schema)) {
    const auto it = view.indexes->find(spec->name);
    if (it == view.indexes->end() ? live_vectors(*view.snapshot, spec->name) >= shared_->options.index_min_rows
                                  : is_due(backlog_of(*view.snapshot, *it->second)))
      return true;
  }
  return false;
}

int64_t Table::index_backlog(const ServedSnapshot& view) const {
  size_t rows = 0;
  for (const VectorSpec* spec : dense_columns(*view.snapshot->schema)) {
    const size_t live = live_vectors(*view.snapshot, spec->name);
    if (live < shared_->options.index_min_rows) continue;
    const auto it = view.indexes->find(spec->name);
    const Backlog backlog = it != view.indexes->end() ? backlog_of(*view.snapshot, *it->second) : Backlog{.uncovered = live};
    rows += backlog.uncovered + backlog.unlinked;
  }
  return int64_t(rows);
}

Status Table::index() {
  for (;;) {
    if (going_cold_) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(const bool worked, index_step());
    if (!worked) return Ok{};
    {
      std::lock_guard lock(upkeep_mutex_);
      if (closed_) return Ok{};
    }
    QUARRY_RETURN_IF_ERROR(compact());  // small files must not pile up meanwhile
  }
}

Result<bool> Table::index_step() {
  const ServedSnapshot view = current_view();
  if (view.snapshot == nullptr || tier_ != Tier::kActive) return false;
  for (const VectorSpec* spec : dense_columns(*view.snapshot->schema)) {
    QUARRY_ASSIGN_OR_RETURN(const bool worked, index_column(view, *spec));
    if (worked) return true;
  }
  return false;
}

Result<bool> Table::index_column(const ServedSnapshot& view, const VectorSpec& spec) {
  const auto it = view.indexes->find(spec.name);
  auto index = it == view.indexes->end() ? nullptr : it->second;
  if (index == nullptr) {
    if (live_vectors(*view.snapshot, spec.name) < shared_->options.index_min_rows) return false;
    index = make_column_index(*view.snapshot, spec, {});
    if (index == nullptr) return false;
  } else if (auto rest = index->without_gone(*view.snapshot)) {
    index = std::move(rest);
    publish_index(spec.name, index);
  }
  const Backlog backlog = backlog_of(*view.snapshot, *index);
  if (!is_due(backlog)) return false;
  if (wants_rebuild(backlog)) {
    QUARRY_RETURN_IF_ERROR(rebuild_index(view, spec));
    return true;
  }
  if (backlog.uncovered > kExactTail) {
    std::vector<SegmentView> views;
    size_t rows = 0;
    for (const auto& v : view.snapshot->views) {
      if (index->of_segment(v.segment->uid()) != nullptr) continue;
      if (rows > 0 && rows + v.live > kRowsPerStep) break;
      rows += v.live;
      views.push_back(v);
    }
    index = index->with(views, background());
    if (index == nullptr) return no_memory();
    publish_index(spec.name, index);
  }
  Graph& graph = *index->graph;
  graph.link(std::min<uint32_t>(graph.linked() + kLinksPerStep, graph.size()), background());
  tell_progress();
  return true;
}

// Builds a new index beside the old one, which serves until then.
Status Table::rebuild_index(const ServedSnapshot& view, const VectorSpec& spec) {
  auto index = make_column_index(*view.snapshot, spec, {});
  if (index == nullptr || live_vectors(*view.snapshot, spec.name) < shared_->options.index_min_rows) {
    publish_index(spec.name, nullptr);
    return Ok{};
  }
  index = index->with(view.snapshot->views, background());
  if (index == nullptr) return no_memory();
  Graph& graph = *index->graph;
  while (graph.linked() < graph.size()) {
    graph.link(std::min<uint32_t>(graph.linked() + kLinksPerStep, graph.size()), background());
    std::lock_guard lock(upkeep_mutex_);
    if (closed_ || going_cold_) return Ok{};
  }
  publish_index(spec.name, std::move(index));
  return Ok{};
}

// The indexes once `output` has taken the place of `inputs`.
Result<std::shared_ptr<const IndexSet>> Table::moved_indexes(const std::vector<SegmentView>& inputs,
                                                             const std::vector<std::vector<uint32_t>>& taken, const Segment& output) const {
  const ServedSnapshot view = current_view();
  auto out = std::make_shared<IndexSet>();
  for (const auto& [name, index] : *view.indexes) {
    auto moved = index->moved(inputs, taken, output, background());
    if (moved == nullptr) return no_memory();
    (*out)[name] = std::move(moved);
  }
  return std::shared_ptr<const IndexSet>(std::move(out));
}

}  // namespace quarry::mvs
