#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/executor.h"
#include "base/log.h"
#include "mvs/data_file.h"
#include "mvs/table_internal.h"
#include "mvs/text/text_search.h"
#include "mvs/warm/compaction_policy.h"

namespace quarry::mvs {
namespace {

constexpr int kMaxJobsPerRun = 64;
constexpr int kMaxRunsInARow = 8;
constexpr int64_t kTransactionRetentionMs = 30ll * 24 * 3600 * 1000;
constexpr int64_t kOrphanScanUs = 3600ll * 1'000'000;
constexpr int64_t kMinOrphanAgeUs = 600ll * 1'000'000;
constexpr int64_t kForeignOrphanAgeUs = 24 * 3600ll * 1'000'000;
constexpr size_t kListPage = 1000;
constexpr size_t kMaxFailedRemovals = 8;  // a store that fails as often is asked no further this time
constexpr uint32_t kUnsavedAtClose = 1024;  // nodes that the next process rather links than this one saves

std::vector<CompactionFile> compaction_files(const Snapshot& snapshot) {
  std::vector<CompactionFile> out;
  for (const auto& view : snapshot.views)
    out.push_back({uint64_t(view.file->size), view.segment->rows(), view.live, view.segment->memory_bytes()});
  return out;
}

// Of a file and its deletion vector.
void add_paths(const std::string& path, const std::optional<DeletionVectorRef>& vector, std::set<std::string>& out) {
  out.insert(path);
  if (!vector) return;
  if (auto vector_path = deletion_vector_path(*vector); vector_path.ok()) out.insert(std::move(vector_path).value());
}

}  // namespace

bool Table::upkeep_is_due(const Snapshot& snapshot) const {
  return index_is_due(current_view()) || !is_local(snapshot) ||
         snapshot.version - std::max<int64_t>(checkpointed_, 0) >= shared_->options.checkpoint_interval ||
         !pick_compaction(compaction_files(snapshot), {.target_bytes = shared_->options.target_file_bytes}).empty();
}

void Table::schedule_upkeep() {
  const auto snapshot = current();
  if (snapshot == nullptr || !upkeep_is_due(*snapshot)) return;
  if (shared_->options.executor == nullptr) return (void)do_upkeep();
  submit_upkeep();
}

bool Table::do_upkeep() {
  const Status status = maintain();
  if (!status.ok()) log_warn("table upkeep failed", {{"table", id()}, {"error", status.error().message}});
  return status.ok();
}

// Again for what came due meanwhile: a commit that finds a run on its way begins none. Bounded, should a run never do what is due.
void Table::do_upkeep_until_done() {
  for (int run = 0; run < kMaxRunsInARow && do_upkeep(); ++run) {
    const auto snapshot = current();
    if (snapshot == nullptr || !upkeep_is_due(*snapshot)) return;
    std::lock_guard lock(upkeep_mutex_);
    if (closed_) return;
  }
}

// To background(), unless it is queued or running.
void Table::submit_upkeep() {
  {
    std::lock_guard lock(upkeep_mutex_);
    if (upkeep_queued_ || upkeep_running_ || closed_) return;
    upkeep_queued_ = true;
  }
  const bool taken = background()->try_submit([table = shared_from_this()] {
    {
      std::lock_guard lock(table->upkeep_mutex_);
      table->upkeep_queued_ = false;
    }
    table->do_upkeep_until_done();
  });
  if (taken) return;
  std::lock_guard lock(upkeep_mutex_);
  upkeep_queued_ = false;
}

void Table::stop_upkeep() {
  std::unique_lock lock(upkeep_mutex_);
  closed_ = true;
  upkeep_changed_.wait(lock, [&] { return !upkeep_running_; });
}

void Table::close() {
  stop_upkeep();
  if (dropped_) return;
  const Pin pin(*this);
  if (auto saved = save_indexes(kUnsavedAtClose); !saved.ok())
    log_warn("indexes were not saved", {{"table", id()}, {"error", saved.error().message}});
}

// Runs `steps` alone among upkeep, with a snapshot in memory.
Status Table::as_upkeep(const std::function<Status()>& steps) {
  {
    const Waiting for_upkeep;
    std::unique_lock lock(upkeep_mutex_);
    upkeep_changed_.wait(lock, [&] { return !upkeep_running_ || closed_; });
    if (closed_) return Ok{};
    upkeep_running_ = true;
  }
  const Pin pin(*this);
  Status status = Ok{};
  if (auto loaded = snapshot(); loaded.ok())
    status = steps();
  else
    status = std::move(loaded).error();
  std::lock_guard lock(upkeep_mutex_);
  upkeep_running_ = false;
  upkeep_changed_.notify_all();
  return status;
}

Status Table::maintain() {
  return as_upkeep([&]() -> Status {
    QUARRY_RETURN_IF_ERROR(refresh());
    QUARRY_RETURN_IF_ERROR(verify_own_commits(0));  // before a checkpoint makes our state everybody's
    const Status compacted = compact();             // should it fail, the log must not grow for that
    QUARRY_RETURN_IF_ERROR(checkpoint());
    const Status cleaned = clean_up();  // should it fail, the rest is done
    QUARRY_RETURN_IF_ERROR(compacted);
    if (tier_ == Tier::kCold && !evicted_) QUARRY_RETURN_IF_ERROR(make_sidecars());
    QUARRY_RETURN_IF_ERROR(localize());
    QUARRY_RETURN_IF_ERROR(index());
    QUARRY_RETURN_IF_ERROR(localize());  // what was merged meanwhile
    QUARRY_RETURN_IF_ERROR(save_indexes({}));
    return cleaned;
  });
}

// Follows what other writers committed.
Status Table::refresh() {
  CommitQueue::Turn turn(queue_);
  if (dropped_) return Ok{};
  QUARRY_RETURN_IF_ERROR(catch_up());
  unsure_ = false;
  return Ok{};
}

Status Table::compact() {
  for (int job = 0; job < kMaxJobsPerRun; ++job) {
    const auto base = current();
    if (base == nullptr) return Ok{};
    const auto picked = pick_compaction(compaction_files(*base), {.target_bytes = shared_->options.target_file_bytes});
    if (picked.empty()) return Ok{};
    std::vector<SegmentView> inputs;
    for (const size_t i : picked) inputs.push_back(base->views[i]);
    QUARRY_ASSIGN_OR_RETURN(const bool committed, compact_views(*base, inputs));
    if (!committed) return Ok{};  // another writer replaced an input; the next run sees what is left
    std::lock_guard lock(upkeep_mutex_);
    if (closed_) return Ok{};
  }
  return Ok{};
}

Result<bool> Table::compact_views(const Snapshot& base, const std::vector<SegmentView>& inputs) {
  const TableSchema& schema = *base.schema;
  std::vector<std::vector<uint32_t>> taken;
  QUARRY_ASSIGN_OR_RETURN(auto batch, gather_live(schema, inputs, taken));
  QUARRY_ASSIGN_OR_RETURN(auto block, RowBlock::make(std::make_shared<const TableSchema>(schema), std::move(batch)));
  QUARRY_ASSIGN_OR_RETURN(const SegmentView output, write_rows(std::move(block)));
  QUARRY_ASSIGN_OR_RETURN(const auto indexes, moved_indexes(inputs, taken, *output.segment));
  QUARRY_RETURN_IF_ERROR(carry_text_indexes(inputs, *output.segment, base.analyzer, background()));
  CommitQueue::Turn turn(queue_);
  if (dropped_) return false;
  QUARRY_RETURN_IF_ERROR(follow());
  for (int attempt = 0; attempt < 8; ++attempt) {
    QUARRY_ASSIGN_OR_RETURN(const auto outcome, commit_compaction(inputs, taken, output, indexes));
    if (outcome) return *outcome;
  }
  return false;
}

// nullopt: another writer was first, try again. False: an input is gone.
Result<std::optional<bool>> Table::commit_compaction(const std::vector<SegmentView>& inputs,
                                                     const std::vector<std::vector<uint32_t>>& taken, const SegmentView& output,
                                                     const std::shared_ptr<const IndexSet>& indexes) {
  const auto base = current();
  CommitPlan plan;
  plan.indexes = indexes;
  plan.next = std::make_shared<Snapshot>(*base);
  Bitmap dead(output.segment->rows());
  size_t at = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const SegmentView* now = base->view(inputs[i].segment->uid());
    if (now == nullptr) return std::optional<bool>(false);
    // What was deleted since the rows were read is deleted from the new file.
    for (const uint32_t row : taken[i]) {
      if (!now->is_live(row)) dead.set(at);
      ++at;
    }
    plan.actions.emplace_back(RemoveFile{now->file->path, now_ms(), false, now->file->size, now->file->deletion_vector});
    std::erase_if(plan.next->views, [&](const SegmentView& v) { return v.segment->uid() == now->segment->uid(); });
  }
  SegmentView view = output;
  DeletionVectorFileBuilder vectors;
  if (!dead.none()) mark_deleted(view, std::move(dead), vectors);
  if (view.live > 0) {
    AddFile file = *view.file;
    file.data_change = false;
    view.file = std::make_shared<const AddFile>(std::move(file));
    plan.actions.emplace_back(*view.file);
    plan.added.push_back(std::move(view));
    if (!vectors.empty()) QUARRY_RETURN_IF_ERROR(files_.store.put(files_.key(vectors.file_name()), vectors.bytes()));
  }
  QUARRY_ASSIGN_OR_RETURN(const bool committed, put_commit(plan, "OPTIMIZE"));
  return committed ? std::optional<bool>(true) : std::nullopt;
}

Status Table::checkpoint() {
  LogState state;
  {
    CommitQueue::Turn turn(queue_);
    if (dropped_ || unsure_ || !log_.stale_rewrites.empty()) return Ok{};  // a checkpoint would not tell of them
    if (log_.version - std::max<int64_t>(checkpointed_, 0) < shared_->options.checkpoint_interval) return Ok{};
    const int64_t oldest = now_ms() - kTransactionRetentionMs;
    std::erase_if(log_.transactions, [&](const auto& t) { return t.second.updated_ms != 0 && t.second.updated_ms < oldest; });
    std::erase_if(transaction_versions_, [&](const auto& t) { return !log_.transactions.contains(t.first); });
    state = log_;
  }
  QUARRY_RETURN_IF_ERROR(delta_log_.write_checkpoint(state));
  checkpointed_ = state.version;
  return delta_log_.clean(shared_->options.clock->now_us() - shared_->options.log_retention_us);
}

// Removes files whose removal was committed longer ago than readers may need them. A removal is forgotten once its files are gone: of other
// writers' files nothing else would tell.
Status Table::clean_up() {
  const TimestampUs now = shared_->options.clock->now_us();
  const int64_t before_ms = (now - shared_->options.file_retention_us) / 1000;
  std::vector<std::string> expired;  // keys of tombstones
  std::set<std::string> garbage, stuck;
  {
    CommitQueue::Turn turn(queue_);
    if (dropped_ || unsure_) return Ok{};
    for (const auto& [key, tombstone] : log_.tombstones) {
      if (tombstone.deleted_ms >= before_ms) continue;
      expired.push_back(key);
      add_paths(tombstone.path, tombstone.deletion_vector, garbage);
    }
    for (const auto& path : referenced_paths(before_ms)) garbage.erase(path);
  }
  Status status = Ok{};
  for (const auto& path : garbage) {
    auto removed = stuck.size() < kMaxFailedRemovals ? files_.store.remove(files_.key(path)) : status;
    if (removed.ok()) continue;
    stuck.insert(path);
    status = std::move(removed);
  }
  forget_tombstones(expired, before_ms, stuck);
  if (next_orphan_scan_us_ != 0 && now < next_orphan_scan_us_) return status;
  next_orphan_scan_us_ = now + kOrphanScanUs;
  const Status scanned = remove_orphans(now - std::max(shared_->options.file_retention_us, kMinOrphanAgeUs));
  return status.ok() ? scanned : status;
}

// Those of `keys` that are of before `before_ms` and whose files are not among `stuck`, which could not be removed.
void Table::forget_tombstones(const std::vector<std::string>& keys, int64_t before_ms, const std::set<std::string>& stuck) {
  CommitQueue::Turn turn(queue_);
  for (const auto& key : keys) {
    const auto it = log_.tombstones.find(key);
    if (it == log_.tombstones.end() || it->second.deleted_ms >= before_ms) continue;
    std::set<std::string> paths;
    add_paths(it->second.path, it->second.deletion_vector, paths);
    if (std::none_of(paths.begin(), paths.end(), [&](const auto& path) { return stuck.contains(path); })) log_.tombstones.erase(it);
  }
}

// In a turn: every file that the log's state names, but for those of removals before `before_ms`.
std::set<std::string> Table::referenced_paths(int64_t before_ms) const {
  std::set<std::string> out;
  for (const auto& [path, file] : log_.files) add_paths(path, file->deletion_vector, out);
  for (const auto& [key, tombstone] : log_.tombstones)
    if (tombstone.deleted_ms >= before_ms) add_paths(tombstone.path, tombstone.deletion_vector, out);
  return out;
}

// Data files and deletion vectors that no commit ever named, as a crash between the file and its commit leaves them; sidecars of files that
// are gone.
Status Table::remove_orphans(TimestampUs before_us) {
  std::set<std::string> referenced;
  {
    CommitQueue::Turn turn(queue_);
    if (dropped_ || unsure_) return Ok{};
    QUARRY_RETURN_IF_ERROR(catch_up());
    referenced = referenced_paths(INT64_MIN);
  }
  const std::string folder = spec_.prefix + "/";
  std::string after = folder;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(const auto page, files_.store.list(folder, after, kListPage));
    for (const auto& object : page) {
      const std::string path = object.key.substr(folder.size());
      // Sidecars go with their data file. Deletion vectors may be another writer's, who has yet to commit them.
      if (path.starts_with(kColdFolder) && object.modified_at < before_us && !referenced.contains(std::string(data_file_of(path))))
        QUARRY_RETURN_IF_ERROR(files_.store.remove(object.key));
      const bool old = path.starts_with("quarry-")
                           ? object.modified_at < before_us
                           : path.starts_with("deletion_vector_") && object.modified_at < before_us - kForeignOrphanAgeUs;
      if (old && !referenced.contains(path)) QUARRY_RETURN_IF_ERROR(files_.store.remove(object.key));
    }
    if (page.size() < kListPage) return Ok{};
    after = page.back().key;
  }
}

}  // namespace quarry::mvs
