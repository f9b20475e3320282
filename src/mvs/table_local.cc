// What a table keeps on the local disk: its segments, mapped, and its indexes. All of it can be made again from the data files.
#include <arrow/memory_pool.h>

#include <algorithm>

#include "base/log.h"
#include "mvs/index/index_file.h"
#include "mvs/table_internal.h"

namespace quarry::mvs {
namespace {

constexpr size_t kMinLocalRows = 1024;  // a smaller segment is merged soon

bool wants_local(const SegmentView& view) {
  return view.segment->rows() >= kMinLocalRows && view.segment->block().mapped_bytes() == 0;
}

bool same_cover(const std::vector<ColumnIndex::Covered>& a, const std::vector<ColumnIndex::Covered>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.segment == y.segment && x.nodes == y.nodes; });
}

}  // namespace

bool Table::is_local(const Snapshot& snapshot) const {
  return !files_.local.enabled() || tier_ != Tier::kActive || std::none_of(snapshot.views.begin(), snapshot.views.end(), wants_local);
}

// Puts mapped segments in the place of those that are held in memory.
Status Table::localize() {
  const auto base = current();
  if (base == nullptr || is_local(*base)) return Ok{};
  std::set<std::string> paths;
  for (const auto& view : base->views) {
    paths.insert(view.file->path);
    if (!wants_local(view)) continue;
    QUARRY_ASSIGN_OR_RETURN(auto block, files_.local.keep(*view.file, view.segment->block()));
    auto segment = std::make_shared<const Segment>(view.segment->uid(), std::move(block));
    CommitQueue::Turn turn(queue_);
    const auto now = current();
    if (now == nullptr || dropped_) return Ok{};
    auto next = std::make_shared<Snapshot>(*now);
    for (auto& v : next->views)
      if (v.segment->uid() == segment->uid()) v.segment = segment;
    publish(std::move(next));
  }
  files_.local.retain(paths);
  arrow::default_memory_pool()->ReleaseUnused();  // what the segments were read into
  return Ok{};
}

// The graph once it has grown by more than `unsaved` nodes (by default a quarter of it, so that what is written stays in proportion to what
// grew), the small file of rows whenever segments have changed.
Status Table::save_indexes(std::optional<uint32_t> unsaved) {
  const ServedSnapshot now = current_view();
  if (!files_.local.enabled() || now.snapshot == nullptr || tier_ != Tier::kActive) return Ok{};
  const auto& folder = files_.local.folder();
  for (const auto& [name, index] : *now.indexes) {
    const uint32_t linked = index->graph->linked();
    if (linked == 0) continue;
    SavedIndex& saved = saved_indexes_[name];
    const bool graph_changed = linked < saved.nodes || linked > saved.nodes + unsaved.value_or(saved.nodes / 4);
    if (graph_changed) {
      QUARRY_ASSIGN_OR_RETURN(saved.identity, save_graph(folder, *index));
      saved.nodes = linked;
    }
    if (!graph_changed && same_cover(saved.covered, index->covered)) continue;
    QUARRY_RETURN_IF_ERROR(save_rows(folder, *index, *now.snapshot, saved.identity));
    saved.covered = index->covered;
  }
  return Ok{};
}

// What can't be used is built anew later.
std::shared_ptr<const IndexSet> Table::load_indexes(const Snapshot& snapshot) {
  auto out = std::make_shared<IndexSet>();
  saved_indexes_.clear();
  if (!files_.local.enabled() || tier_ != Tier::kActive) return out;
  for (const Column& column : snapshot.schema->columns()) {
    if (column.kind != ColumnKind::kVector) continue;
    auto loaded = load_index(files_.local.folder(), column.vector, snapshot);
    if (loaded.ok()) {
      saved_indexes_[column.vector.name] = {loaded->identity, loaded->index->graph->size(), loaded->index->covered};
      (*out)[column.vector.name] = std::move(loaded->index);
    } else if (loaded.error().kind != ErrorKind::kNotFound) {
      log_warn("a saved index is no use and is built anew", {{"table", spec_.table_id}, {"error", loaded.error().message}});
    }
  }
  return out;
}

void Table::forget_local() {
  if (!files_.local.enabled()) return;
  std::error_code ignored;
  std::filesystem::remove_all(files_.local.folder(), ignored);
}

}  // namespace quarry::mvs
