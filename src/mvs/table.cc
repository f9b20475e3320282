#include <fmt/format.h>

#include "base/log.h"
#include "mvs/table_check.h"
#include "mvs/table_internal.h"
#include "mvs/tiering/tier_metrics.h"

namespace quarry::mvs {
namespace {

constexpr uint64_t kMaxGroupBytes = 32ull << 20;

std::map<std::string, std::string> table_properties(const TableSpec& spec) {
  return {{"delta.enableDeletionVectors", "true"},
          {"delta.checkpointInterval", "100"},
          {"quarry.table_id", spec.table_id},
          {std::string(kTextLanguage), spec.text_language},
          {"quarry.format", "1"}};
}

LocalSegments local_segments(const StoreOptions& options, const TableSpec& spec) {
  if (options.local_folder.empty()) return LocalSegments({});
  return LocalSegments(options.local_folder / local_folder_name(spec.prefix));
}

}  // namespace

Table::Table(std::shared_ptr<StoreShared> shared, TableSpec spec)
    : shared_(std::move(shared)),
      spec_(std::move(spec)),
      files_{*shared_->options.store, spec_.prefix, local_segments(shared_->options, spec_)},
      delta_log_(*shared_->options.store, spec_.prefix),
      queue_({.window_us = shared_->options.commit_window_us, .group_bytes = kMaxGroupBytes},
             {.prepare = [this](const WriteGroup& group) { return prepare(group); },
              .commit = [this](const WriteGroup& group,
                               std::shared_ptr<void> prepared) { commit(group, static_cast<PreparedGroup*>(prepared.get())); },
              .compatible = [](const PendingWrite& a,
                               const PendingWrite& b) { return !a.delete_filter && !b.delete_filter && a.schema == b.schema; }}),
      tier_(spec_.tier) {
  TierMetrics::tables(tier_).Increment();
}

Table::~Table() {
  shared_->memory_bytes -= published_bytes_;
  TierMetrics::memory_bytes().Decrement(double(published_bytes_));
  TierMetrics::tables(tier_).Decrement();
}

Error Table::others_first() const {
  return Error(ErrorKind::kConflict, fmt::format("table '{}': other writers kept committing first", spec_.table_id));
}

Error Table::gone() const { return not_found(fmt::format("table '{}' does not exist", spec_.table_id)); }

std::shared_ptr<const Snapshot> Table::current() const {
  std::lock_guard lock(snapshot_mutex_);
  return snapshot_;
}

// In a turn: what the commits of others are applied to.
std::shared_ptr<const Snapshot> Table::followed() const {
  auto published = current();
  return published != nullptr ? published : as_left_;
}

ServedSnapshot Table::current_view() const {
  std::lock_guard lock(snapshot_mutex_);
  return {snapshot_, indexes_};
}

void Table::publish(std::shared_ptr<const Snapshot> next, std::shared_ptr<const IndexSet> indexes) {
  const int64_t bytes = next != nullptr ? int64_t(next->memory_bytes()) : 0;
  const auto told = gauge_values({next, indexes != nullptr ? indexes : current_view().indexes});
  ServedSnapshot old;  // freed outside the lock
  std::lock_guard lock(snapshot_mutex_);
  old.snapshot = std::exchange(snapshot_, std::move(next));
  snapshot_bytes_ = bytes;
  if (indexes != nullptr) old.indexes = std::exchange(indexes_, std::move(indexes));
  count_memory();
  gauges_.set(told);
}

// While an index grows in place.
void Table::tell_progress() {
  const auto told = gauge_values(current_view());
  std::lock_guard lock(snapshot_mutex_);
  gauges_.set(told);
}

void Table::publish_index(const std::string& vector_name, std::shared_ptr<const ColumnIndex> index) {
  std::shared_ptr<const IndexSet> old;
  std::lock_guard lock(snapshot_mutex_);
  auto next = std::make_shared<IndexSet>(*indexes_);
  if (index == nullptr)
    next->erase(vector_name);
  else
    (*next)[vector_name] = std::move(index);
  old = std::exchange(indexes_, std::move(next));
  count_memory();
}

// Under snapshot_mutex_.
void Table::count_memory() {
  int64_t bytes = snapshot_bytes_;
  for (const auto& [name, index] : *indexes_) bytes += int64_t(index->memory_bytes());
  shared_->memory_bytes += bytes - published_bytes_;
  TierMetrics::memory_bytes().Increment(double(bytes - published_bytes_));
  published_bytes_ = bytes;
}

TableGauges::Values Table::gauge_values(const ServedSnapshot& served) const {
  TableGauges::Values out;
  if (served.snapshot == nullptr) return out;
  for (const SegmentView& view : served.snapshot->views) {
    const auto bytes = view.file->size;
    out.rows += int64_t(view.live);
    out.deleted_rows += int64_t(view.segment->rows() - view.live);
    ++out.files;
    out.file_bytes += bytes;
    if (uint64_t(bytes) >= shared_->options.target_file_bytes / 2) continue;
    ++out.small_files;
    out.small_bytes += bytes;
  }
  out.unlinked_rows = index_backlog(served);
  return out;
}

Status Table::create() {
  auto existing = delta_log_.load();
  if (existing.ok()) return already_exists(fmt::format("table '{}' exists", spec_.table_id));
  if (existing.error().kind != ErrorKind::kNotFound) return std::move(existing).error();
  QUARRY_ASSIGN_OR_RETURN(const TableSchema schema, TableSchema::from_spec(spec_));
  CommitPlan plan;
  plan.actions = {Protocol{}, Metadata{to_string(random_uuid()), schema.delta_schema(), {}, table_properties(spec_), now_ms()}};
  plan.next = std::make_shared<Snapshot>();
  plan.next->schema = std::make_shared<const TableSchema>(schema);
  QUARRY_ASSIGN_OR_RETURN(plan.next->analyzer, Analyzer::make(spec_.text_language));
  const Pin pin(*this);
  CommitQueue::Turn turn(queue_);
  QUARRY_ASSIGN_OR_RETURN(const bool committed, put_commit(plan, "CREATE TABLE"));
  if (!committed) return already_exists(fmt::format("table '{}' exists", spec_.table_id));
  return Ok{};
}

// Publishes the newest version's snapshot, unless another caller has just done so.
Result<std::shared_ptr<const Snapshot>> Table::load() {
  const Pin pin(*this);  // what is published stays until it has caught up
  CommitQueue::Turn turn(queue_);
  if (dropped_) return gone();
  if (auto resident = current()) return resident;
  int64_t failed_version = -1;
  for (;;) {
    const TimestampUs started = shared_->options.clock->now_us();
    // What others committed since this table was last in memory is joined to what it committed itself.
    const bool as_left = log_.version >= 0 && !own_commits_.empty() && failed_version < 0;
    QUARRY_ASSIGN_OR_RETURN(LogState log, as_left ? Result<LogState>(log_) : newest_log());
    auto snapshot = build(log, nullptr);
    if (!snapshot.ok()) {
      // A file may be gone because the log has moved on meanwhile; at the same version it is a fault.
      if (is_gone_or_damaged(snapshot.error()) && log.version != std::exchange(failed_version, log.version)) continue;
      return std::move(snapshot).error().with_context(fmt::format("opening table '{}'", spec_.table_id));
    }
    if (as_left) return load_as_left(*std::move(snapshot));
    note_log(std::move(log), started);
    publish(*snapshot, load_indexes(**snapshot));
    if ((*snapshot)->hides_rows) {  // reads do without the commit
      if (auto removed = catch_up(); !removed.ok())
        log_warn("doubled rows are hidden, but not removed", {{"table", spec_.table_id}, {"error", removed.error().message}});
    }
    const auto newest = current();
    return newest != nullptr ? newest : *snapshot;
  }
}

// In a turn. Publishes nothing until it is the newest: a read in parts may have shown more than `snapshot`.
Result<std::shared_ptr<const Snapshot>> Table::load_as_left(std::shared_ptr<const Snapshot> snapshot) {
  publish(nullptr, load_indexes(*snapshot));
  as_left_ = snapshot;
  const Status caught_up = catch_up();
  as_left_ = nullptr;
  if (!caught_up.ok()) {
    if (current() == nullptr) publish(nullptr, std::make_shared<const IndexSet>());
    return caught_up.error();
  }
  if (current() == nullptr) publish(std::move(snapshot));
  return current();
}

Result<LogState> Table::load_log(Executor* io) const {
  const auto context = fmt::format("opening table '{}'", spec_.table_id);
  auto log = delta_log_.load(io);
  if (!log.ok()) return std::move(log).error().with_context(context);
  if (auto s = check_protocol(log->protocol); !s.ok()) return std::move(s).error().with_context(context);
  if (!log->metadata.partition_columns.empty()) return storage_error(context + ": partitioned tables are not Quarry's");
  return log;
}

// In a turn: the state that the log leads to now.
Result<LogState> Table::newest_log(Executor* io) const {
  if (log_.version < 0) return load_log(io);
  QUARRY_ASSIGN_OR_RETURN(const auto commits, delta_log_.read_after(log_.version));
  LogState next = log_;
  for (const auto& commit : commits) next.apply(commit.actions, commit.version);
  if (commits.empty() || may_be_cleaned(followed_us_)) {  // asked afterwards: what comes next may have gone while those were read
    QUARRY_ASSIGN_OR_RETURN(const int64_t checkpoint, delta_log_.last_checkpoint());
    if (checkpoint > next.version) return load_log(io);
  }
  if (!commits.empty()) QUARRY_RETURN_IF_ERROR(check_protocol(next.protocol));
  return next;
}

// Whether entries that came after `known_us` may be behind a checkpoint and gone by now.
bool Table::may_be_cleaned(TimestampUs known_us) const {
  return shared_->options.clock->now_us() - known_us >= shared_->options.log_retention_us / 2;
}

// In a turn.
void Table::note_log(LogState log, TimestampUs read_us) {
  if (log_.version < 0) checkpointed_ = log.checkpoint;
  log_ = std::move(log);
  followed_us_ = read_us;
}

// In a turn, before a commit: log_ is the newest version, or was so recently that no later entry can have been cleaned away meanwhile.
// Without that, a put of the next version could succeed at a number that a checkpoint has already swallowed.
Status Table::follow() {
  if (!unsure_ && !may_be_cleaned(followed_us_)) return Ok{};
  QUARRY_RETURN_IF_ERROR(catch_up());
  unsure_ = false;
  return Ok{};
}

// In a turn: what others have committed since. The snapshot is that of the newest version even if the error is that doubled rows could not
// be removed.
Status Table::catch_up() {
  for (int attempt = 0; attempt < kMaxRepairs; ++attempt) {
    QUARRY_RETURN_IF_ERROR(read_newest());
    if (log_.stale_rewrites.empty()) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(const bool removed, remove_stale_rows());
    if (removed) return Ok{};
  }
  return others_first();
}

Status Table::read_newest() {
  const TimestampUs now = shared_->options.clock->now_us();
  QUARRY_ASSIGN_OR_RETURN(LogState next, newest_log());
  if (next.version > log_.version && !own_commits_.empty()) {
    QUARRY_ASSIGN_OR_RETURN(const bool repaired, repair_if_replaced());
    if (repaired) {
      followed_us_ = now;
      return Ok{};
    }
  }
  if (next.version > log_.version) {
    QUARRY_ASSIGN_OR_RETURN(auto snapshot, build(next, followed().get()));
    log_ = std::move(next);
    publish(std::move(snapshot));
  }
  followed_us_ = now;
  return Ok{};
}

Status Table::extend(const TableSpec& spec) {
  const Pin pin(*this);
  QUARRY_RETURN_IF_ERROR(snapshot());
  CommitQueue::Turn turn(queue_);
  if (dropped_) return gone();
  QUARRY_RETURN_IF_ERROR(follow());
  for (int attempt = 0; attempt < 8; ++attempt) {
    const auto base = current();
    QUARRY_ASSIGN_OR_RETURN(const TableSchema schema, base->schema->extended(spec));
    if (schema.columns().size() == base->schema->columns().size()) return Ok{};
    CommitPlan plan;
    Metadata metadata = log_.metadata;
    metadata.schema_string = schema.delta_schema();
    plan.actions = {std::move(metadata)};
    plan.next = std::make_shared<Snapshot>(*base);
    plan.next->schema = std::make_shared<const TableSchema>(schema);
    QUARRY_ASSIGN_OR_RETURN(const bool committed, put_commit(plan, "ADD COLUMNS"));
    if (committed) return Ok{};
  }
  return others_first();
}

Status Table::drop() {
  stop_upkeep();
  dropped_ = true;
  CommitQueue::Turn turn(queue_);
  publish(nullptr, std::make_shared<const IndexSet>());
  shared_->cold.forget(*this);
  forget_local();
  // The log first: without it the rest is not a table.
  QUARRY_RETURN_IF_ERROR(objects::remove_prefix(*shared_->options.store, spec_.prefix + "/_delta_log/"));
  return objects::remove_prefix(*shared_->options.store, spec_.prefix + "/");
}

}  // namespace quarry::mvs
