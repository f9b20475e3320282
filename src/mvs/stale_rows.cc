#include "mvs/stale_rows.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace quarry::mvs {
namespace {

const SegmentView* view_of(const Snapshot* snapshot, const std::string& path) {
  if (snapshot == nullptr) return nullptr;
  const auto it = std::find_if(snapshot->views.begin(), snapshot->views.end(), [&](const SegmentView& v) { return v.file->path == path; });
  return it != snapshot->views.end() ? &*it : nullptr;
}

// What is known of the rows of a file that a rewrite added.
struct Marks {
  Bitmap stale;
  Bitmap doubtful;  // stale if the document is live elsewhere
};

// The live rows of the files that a rewrite removed, by document.
struct Sources {
  std::unordered_map<std::string, std::vector<TimestampUs>> valid;  // updated_at of each
  std::unordered_set<std::string> stale, doubtful;
  bool are_whole = true;  // false: one of them could not be read

  bool take(const std::string& id, std::optional<TimestampUs> updated_at) {
    const auto it = valid.find(id);
    if (it == valid.end()) return false;
    auto& rows = it->second;
    const auto row = updated_at ? std::find(rows.begin(), rows.end(), *updated_at) : rows.begin();
    if (row == rows.end()) return false;
    rows.erase(row);
    return true;
  }
};

class StaleRowFinder {
 public:
  StaleRowFinder(const TableFiles& files, const LogState& log, const Snapshot& snapshot, const Snapshot* before)
      : files_(files), log_(log), snapshot_(snapshot), before_(before) {}

  Result<StaleRows> run() {
    for (const StaleRewrite& rewrite : log_.stale_rewrites) QUARRY_RETURN_IF_ERROR(follow(rewrite));
    return rows_to_hide();
  }

 private:
  // The file as it was: with the rows that its own deletion vector leaves. nullopt: it is gone, or damaged.
  Result<std::optional<SegmentView>> load(const std::shared_ptr<const AddFile>& file) {
    Result<SegmentView> view = SegmentView{};
    const SegmentView* known = view_of(&snapshot_, file->path);
    if (known == nullptr) known = view_of(before_, file->path);
    if (known != nullptr)
      view->segment = known->segment;
    else
      view = load_view(files_, file, snapshot_.schema, 0);
    if (view.ok() && file->deletion_vector) {
      auto deleted = load_deleted(files_, *file, view->segment->rows());
      if (deleted.ok())
        view->deleted = std::move(deleted).value();
      else
        view = std::move(deleted).error();
    }
    if (view.ok()) return std::optional(std::move(view).value());
    if (view.error().kind == ErrorKind::kCorruption || view.error().kind == ErrorKind::kNotFound) return std::optional<SegmentView>();
    return std::move(view).error();
  }

  Result<Sources> read_sources(const StaleRewrite& rewrite) {
    Sources out;
    for (const auto& file : rewrite.sources) {
      QUARRY_ASSIGN_OR_RETURN(const auto view, load(file));
      if (!view) {
        out.are_whole = false;
        continue;
      }
      const RowBlock& block = view->segment->block();
      const auto marks = marks_.find(file->path);
      view->live_rows().for_each([&](size_t row) {
        const std::string id(block.document_id(row));
        if (marks != marks_.end() && marks->second.stale.test(row))
          out.stale.insert(id);
        else if (marks != marks_.end() && marks->second.doubtful.test(row))
          out.doubtful.insert(id);
        else
          out.valid[id].push_back(block.updated_at(row));
      });
    }
    return out;
  }

  // Marks the rows that the rewrite added. Of several of one document those count that are as old as a valid one.
  Status follow(const StaleRewrite& rewrite) {
    QUARRY_ASSIGN_OR_RETURN(Sources sources, read_sources(rewrite));
    std::vector<std::pair<SegmentView, Bitmap>> added;  // and the rows that are not accounted for
    for (const auto& file : rewrite.added) {
      if (marks_.contains(file->path)) continue;
      QUARRY_ASSIGN_OR_RETURN(auto view, load(file));
      if (!view) continue;
      view->file = file;
      Bitmap live = view->live_rows();
      added.emplace_back(*std::move(view), std::move(live));
    }
    for (const bool as_old : {true, false})
      for (auto& [view, left] : added) {
        const RowBlock& block = view.segment->block();
        Bitmap(left).for_each([&](size_t row) {
          const auto updated_at = as_old ? std::optional(block.updated_at(row)) : std::nullopt;
          if (sources.take(std::string(block.document_id(row)), updated_at)) left.clear(row);
        });
      }
    for (const auto& [view, left] : added) mark(rewrite, sources, view, left);
    return Ok{};
  }

  // `left` are the rows of `view` that come from no valid row of the files that were there.
  void mark(const StaleRewrite& rewrite, const Sources& sources, const SegmentView& view, const Bitmap& left) {
    Marks& marks = marks_[view.file->path];
    marks.stale = marks.doubtful = Bitmap(view.segment->rows());
    left.for_each([&](size_t row) {
      const std::string id(view.segment->block().document_id(row));
      const bool was_stale = sources.stale.contains(id);
      if (was_stale && !rewrite.changes_data)
        marks.stale.set(row);
      else if (was_stale || sources.doubtful.contains(id) || !sources.are_whole || rewrite.gone == StaleRewrite::Gone::kUnknown)
        marks.doubtful.set(row);
      else if (rewrite.gone == StaleRewrite::Gone::kRemoved)
        marks.stale.set(row);
    });
  }

  StaleRows rows_to_hide() const {
    StaleRows out;
    for (const SegmentView& view : snapshot_.views) {
      const auto marks = marks_.find(view.file->path);
      if (marks == marks_.end()) continue;
      Bitmap rows = view.live_rows();
      rows &= marks->second.stale;
      out.emplace(view.file->path, std::move(rows));
    }
    // One after the other, so that of several rows of a document one stays.
    for (const SegmentView& view : snapshot_.views) {
      const auto marks = marks_.find(view.file->path);
      if (marks == marks_.end()) continue;
      Bitmap rows = view.live_rows();
      rows &= marks->second.doubtful;
      rows.for_each([&](size_t row) {
        if (is_live_elsewhere(view, row, out)) out.at(view.file->path).set(row);
      });
    }
    std::erase_if(out, [](const auto& rows) { return rows.second.none(); });
    return out;
  }

  bool is_live_elsewhere(const SegmentView& view, size_t row, const StaleRows& hidden) const {
    const RowRef self{view.segment->uid(), uint32_t(row)};
    const auto found = snapshot_.find_all(view.segment->block().document_id(row));
    return std::any_of(found.begin(), found.end(), [&](const RowRef ref) {
      const auto rows = hidden.find(snapshot_.view(ref.segment)->file->path);
      return ref != self && (rows == hidden.end() || !rows->second.test(ref.row));
    });
  }

  const TableFiles& files_;
  const LogState& log_;
  const Snapshot& snapshot_;
  const Snapshot* const before_;
  std::map<std::string, Marks> marks_;  // by path
};

}  // namespace

Result<StaleRows> find_stale_rows(const TableFiles& files, const LogState& log, const Snapshot& snapshot, const Snapshot* before) {
  return StaleRowFinder(files, log, snapshot, before).run();
}

void hide_rows(const StaleRows& rows, Snapshot& snapshot) {
  for (SegmentView& view : snapshot.views) {
    const auto it = rows.find(view.file->path);
    if (it == rows.end()) continue;
    Bitmap deleted = it->second;
    if (view.deleted != nullptr) deleted |= *view.deleted;
    view.live = view.segment->rows() - deleted.count();
    view.deleted = std::make_shared<const Bitmap>(std::move(deleted));
  }
  snapshot.live_rows = 0;
  for (const SegmentView& view : snapshot.views) snapshot.live_rows += view.live;
}

}  // namespace quarry::mvs
