// Rows that a stale rewrite of another program (LogState) put into the table a second time: no reader gets to see them, and a commit takes
// them away for everybody else.
//
// That commit says that it changes data, although for Quarry's readers it does not. The protocol allows a removal to deny it only if the
// same version adds every row of the file again; and a writer whose look for conflicts passes over commits that change no data is how the
// rows came about.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "mvs/stale_rows.h"
#include "mvs/table_internal.h"

namespace quarry::mvs {

// The snapshot of `log` that readers may see.
Result<std::shared_ptr<const Snapshot>> Table::build(const LogState& log, const Snapshot* previous) {
  QUARRY_ASSIGN_OR_RETURN(auto built, build_snapshot(files_, log, previous, next_uid_, shared_->options.executor));
  if (log.stale_rewrites.empty()) return built;
  QUARRY_ASSIGN_OR_RETURN(const StaleRows rows, find_stale_rows(files_, log, *built, previous));
  auto out = std::make_shared<Snapshot>(*built);
  hide_rows(rows, *out);
  out->hides_rows = true;
  return std::shared_ptr<const Snapshot>(std::move(out));
}

// In a turn. Commits what the snapshot hides, and up to where the log has been looked through, so that nobody does it again. False: another
// writer was first.
Result<bool> Table::remove_stale_rows() {
  std::set<std::string> paths;
  for (const StaleRewrite& rewrite : log_.stale_rewrites)
    for (const auto& file : rewrite.added)
      if (log_.files.contains(file->path)) paths.insert(file->path);
  CommitPlan plan;
  plan.next = std::make_shared<Snapshot>(*followed());
  plan.next->hides_rows = false;
  plan.actions.emplace_back(SetTransaction{std::string(kStaleRowsApp), log_.version, now_ms()});
  DeletionVectorFileBuilder vectors;
  uint64_t removed = 0;
  for (const std::string& path : paths) {
    const AddFile& logged = *log_.files.at(path);
    const RemoveFile remove{path, now_ms(), true, logged.size, logged.deletion_vector};
    const auto view = std::find_if(plan.next->views.begin(), plan.next->views.end(), [&](const auto& v) { return v.file->path == path; });
    if (view == plan.next->views.end()) {
      plan.actions.emplace_back(remove);
      continue;
    }
    const size_t hidden = view->segment->rows() - view->live - logged_deletions(*view);
    if (hidden == 0) continue;
    removed += hidden;
    plan.actions.emplace_back(remove);
    if (view->live == 0) continue;
    mark_deleted(*view, Bitmap(*view->deleted), vectors);
    plan.actions.emplace_back(*view->file);
  }
  if (!vectors.empty()) QUARRY_RETURN_IF_ERROR(files_.store.put(files_.key(vectors.file_name()), vectors.bytes()));
  const int64_t version = log_.stale_rewrites.front().version;
  repairing_ = true;
  auto committed = put_commit(plan, "DELETE");
  repairing_ = false;
  if (committed.ok() && *committed)
    log_warn("another program rewrote files that were rewritten already; the rows that this doubled are removed",
             {{"table", spec_.table_id}, {"version", version}, {"rows", removed}});
  return committed;
}

// For a reader of the files as the log names them, in no turn: the newest state, with such rows removed.
Result<LogState> Table::log_without_stale_rows() {
  const Pin pin(*this);
  QUARRY_RETURN_IF_ERROR(load());
  CommitQueue::Turn turn(queue_);
  if (dropped_) return gone();
  QUARRY_RETURN_IF_ERROR(catch_up());
  return log_;
}

}  // namespace quarry::mvs
