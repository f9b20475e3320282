// Cold tables, read in parts: which version is the newest, and what has to lie beside the data files.
#include <condition_variable>

#include "base/log.h"
#include "mvs/cold/sidecar_writer.h"
#include "mvs/table_internal.h"
#include "mvs/tiering/tier_metrics.h"

namespace quarry::mvs {
namespace {

constexpr int64_t kAskAgainUs = 60ll * 1'000'000;

}  // namespace

// Whether a view is still the newest version: asked beside the reading.
struct Table::FreshCheck {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<bool>> is_fresh;
};

std::shared_ptr<Table::FreshCheck> Table::begin_fresh_check(int64_t version) {
  const auto check = std::make_shared<FreshCheck>();
  Executor* io = shared_->cold.io();
  const auto ask = [table = shared_from_this(), check, version, io] {
    auto answer = table->delta_log_.is_newest(version, io);
    std::lock_guard lock(check->mutex);
    check->is_fresh.emplace(std::move(answer));
    check->changed.notify_all();
  };
  if (io == nullptr || !io->try_submit(ask)) ask();
  return check;
}

std::shared_ptr<const ColdView> Table::kept_view() const {
  std::lock_guard lock(cold_mutex_);
  return cold_view_;
}

Result<Table::ColdLease> Table::lease_view() {
  if (dropped_) return gone();
  auto kept = kept_view();
  std::unique_lock one_at_a_time(cold_open_mutex_, std::defer_lock);
  if (kept == nullptr) {
    one_at_a_time.lock();
    kept = kept_view();  // another caller may have just opened it
  }
  TierMetrics::cold_views(kept != nullptr).Increment();
  if (kept != nullptr) return ColdLease{kept, begin_fresh_check(kept->version())};
  QUARRY_ASSIGN_OR_RETURN(auto view, open_view(nullptr));
  note_view(view);
  return ColdLease{std::move(view), nullptr};
}

Result<std::shared_ptr<const ColdView>> Table::open_view(const ColdView* previous) {
  int64_t failed_version = -1;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(LogState log, newest_log_for_view());
    if (!log.stale_rewrites.empty()) {
      QUARRY_ASSIGN_OR_RETURN(log, log_without_stale_rows());
    }
    auto view = ColdView::open(files_, log, previous, {next_uid_, shared_->cold.io(), shared_->options.sidecar_min_rows});
    if (view.ok()) return view;
    // A file may be gone because the log has moved on meanwhile; at the same version it is a fault.
    if (!is_gone_or_damaged(view.error()) || log.version == std::exchange(failed_version, log.version))
      return std::move(view).error().with_context("opening table '" + id() + "'");
  }
}

// Rows that are in memory, because something commits, move with log_: a commit adds to both.
Result<LogState> Table::newest_log_for_view() {
  const Pin pin(*this);
  CommitQueue::Turn turn(queue_);
  if (dropped_) return gone();
  if (current() != nullptr) {
    QUARRY_RETURN_IF_ERROR(catch_up());
    return log_;
  }
  const TimestampUs started = shared_->options.clock->now_us();
  QUARRY_ASSIGN_OR_RETURN(LogState log, newest_log(shared_->cold.io()));
  if (own_commits_.empty()) note_log(log, started);  // else load() has yet to see whether they still stand
  return log;
}

std::shared_ptr<const ColdView> Table::note_view(std::shared_ptr<const ColdView> view) {
  const int64_t bytes = view != nullptr ? int64_t(view->memory_bytes()) : 0;
  std::lock_guard lock(cold_mutex_);
  count_view(bytes);
  return std::exchange(cold_view_, std::move(view));
}

// A read may have left more in `view`. One that is kept no longer does not come back: a newer one may stand in its place.
void Table::recount_view(const ColdView& view) {
  const auto bytes = int64_t(view.memory_bytes());
  std::lock_guard lock(cold_mutex_);
  if (cold_view_.get() == &view) count_view(bytes);
}

// Under cold_mutex_.
void Table::count_view(int64_t bytes) {
  shared_->memory_bytes += bytes - cold_view_bytes_;
  TierMetrics::memory_bytes().Increment(double(bytes - cold_view_bytes_));
  cold_view_bytes_ = bytes;
}

Result<bool> Table::settle(const ColdLease& lease, const Error* error) {
  if (lease.check != nullptr) {
    std::unique_lock lock(lease.check->mutex);
    lease.check->changed.wait(lock, [&] { return lease.check->is_fresh.has_value(); });
    QUARRY_ASSIGN_OR_RETURN(const bool is_fresh, *lease.check->is_fresh);
    if (!is_fresh) {
      QUARRY_ASSIGN_OR_RETURN(auto newest, open_view(lease.view.get()));
      note_view(std::move(newest));
      return false;
    }
  }
  if (error != nullptr && error->kind == ErrorKind::kCorruption && lease.view->drop_broken()) {
    log_warn("a cold sidecar is broken; its data file is read whole until it is made anew", {{"table", id()}, {"error", error->message}});
    QUARRY_ASSIGN_OR_RETURN(auto without, open_view(lease.view.get()));
    note_view(std::move(without));
    return false;
  }
  if (tier_ == Tier::kActive) return true;
  if (lease.view->lacks_sidecars()) ask_for_sidecars();
  recount_view(*lease.view);
  shared_->cold.keep(shared_from_this(), resident_bytes());
  if (shared_->excess_bytes(0) > 0) shared_->cold.clear();
  return true;
}

// A file that came while the table was cold, or before sidecars were made: upkeep makes them.
void Table::ask_for_sidecars() {
  const int64_t now_us = shared_->options.clock->steady_us();
  int64_t asked_us = sidecars_asked_us_;
  if (evicted_ || background() == nullptr || (asked_us != 0 && now_us - asked_us < kAskAgainUs)) return;
  if (sidecars_asked_us_.compare_exchange_strong(asked_us, now_us)) submit_upkeep();
}

// In upkeep: beside every data file that is worth it and has none.
Status Table::make_sidecars() {
  const auto snapshot = current();
  for (const auto& view : snapshot->views) {
    if (view.segment->rows() < shared_->options.sidecar_min_rows) continue;
    auto there = shared_->options.store->head(files_.key(cold_index_path(view.file->path)));
    if (there.ok()) continue;
    if (there.error().kind != ErrorKind::kNotFound) return std::move(there).error();
    QUARRY_RETURN_IF_ERROR(write_sidecars(files_, view, snapshot->analyzer, shared_->options.executor));
    note_view(nullptr);  // it was opened without them
    std::lock_guard lock(upkeep_mutex_);
    if (closed_) return Ok{};
  }
  return Ok{};
}

// Small files are merged first, as they are read whole.
Status Table::prepare_for_cold() {
  going_cold_ = true;  // an index that is being built is built no further
  Status status = as_upkeep([&]() -> Status {
    QUARRY_RETURN_IF_ERROR(refresh());
    QUARRY_RETURN_IF_ERROR(compact());
    return make_sidecars();
  });
  going_cold_ = false;
  return status;
}

}  // namespace quarry::mvs
