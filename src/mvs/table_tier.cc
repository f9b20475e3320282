// Where a table is served from, and what it tells of itself.
#include <fmt/format.h>

#include <algorithm>

#include "mvs/table_internal.h"
#include "mvs/tiering/log_stats.h"
#include "mvs/tiering/tier_metrics.h"

namespace quarry::mvs {
Table::Pin::Pin(Table& table) : table_(table) {
  std::lock_guard lock(table_.tier_mutex_);
  ++table_.pins_;
}

Table::Pin::~Pin() {
  {
    std::lock_guard lock(table_.tier_mutex_);
    if (--table_.pins_ > 0 || table_.tier_ == Tier::kActive) return;
  }
  if (table_.current() != nullptr) table_.shared_->cold.keep(table_.shared_from_this(), table_.resident_bytes());
}

uint64_t Table::resident_bytes() const {
  const ServedSnapshot view = current_view();
  uint64_t bytes = view.snapshot != nullptr ? view.snapshot->memory_bytes() : 0;
  for (const auto& [name, index] : *view.indexes) bytes += index->memory_bytes();
  const auto kept = kept_view();
  return bytes + (kept != nullptr ? kept->memory_bytes() : 0);
}

Result<std::shared_ptr<const Snapshot>> Table::snapshot(int64_t deadline_us) {
  if (dropped_) return gone();
  used_us_.store(shared_->options.clock->steady_us(), std::memory_order_relaxed);  // by reads and writes
  if (auto resident = current()) return resident;
  if (tier_ == Tier::kActive) {
    auto loaded = load();
    if (!loaded.ok()) return loaded;
    if (const uint64_t excess = shared_->excess_bytes(0); excess > 0) shared_->make_room(excess, nullptr);
    if (shared_->options.executor != nullptr && upkeep_is_due(**loaded)) submit_upkeep();  // what the last process left undone
    return loaded;
  }
  return shared_->cold.read(shared_from_this(), deadline_us);
}

Result<bool> Table::begin_read(int64_t deadline_us) {
  if (dropped_) return gone();
  last_read_us_ = shared_->options.clock->now_us();
  used_us_.store(shared_->options.clock->steady_us(), std::memory_order_relaxed);
  if (evicted_) {  // is there room again?
    const uint64_t needed_bytes = current() != nullptr ? 0 : evicted_bytes_.load();
    if (shared_->excess_bytes(needed_bytes) == 0) QUARRY_RETURN_IF_ERROR(activate(deadline_us));
  }
  return tier_ == Tier::kCold && current() == nullptr;
}

int64_t Table::cold_deadline(int64_t deadline_us) const {
  return std::min(deadline_us, shared_->options.clock->steady_us() + shared_->options.cold_timeout_us);
}

Result<ServedSnapshot> Table::serve(int64_t deadline_us) {
  ServedSnapshot out;
  out.tier = tier_;
  if (out.tier == Tier::kCold) deadline_us = cold_deadline(deadline_us);
  QUARRY_ASSIGN_OR_RETURN(out.snapshot, snapshot(deadline_us));
  ServedSnapshot newest = current_view();
  static const auto kNoIndexes = std::make_shared<const IndexSet>();
  out.indexes = newest.snapshot != nullptr ? std::move(newest.indexes) : kNoIndexes;
  if (newest.snapshot != nullptr) out.snapshot = std::move(newest.snapshot);
  if (out.tier == Tier::kActive) return out;
  if (tier_ == Tier::kCold && current() != nullptr) shared_->cold.keep(shared_from_this(), resident_bytes());
  if (shared_->excess_bytes(0) > 0) shared_->cold.clear();
  return out;
}

bool Table::release_cold(ColdGarbage& freed) {
  std::lock_guard lock(tier_mutex_);
  if (tier_ == Tier::kActive) return true;
  freed.push_back(note_view(nullptr));
  if (pins_ > 0) return false;
  const auto snapshot = current();
  if (snapshot == nullptr) return true;
  released_stats_ = stats_of(*snapshot);
  publish(nullptr, std::make_shared<const IndexSet>());
  freed.push_back(snapshot);
  return true;
}

uint64_t StoreShared::excess_bytes(uint64_t more_bytes) const {
  const uint64_t wanted = uint64_t(std::max<int64_t>(memory_bytes.load(), 0)) + more_bytes;
  return options.memory_budget_bytes == 0 || wanted <= options.memory_budget_bytes ? 0 : wanted - options.memory_budget_bytes;
}

void Table::change_tier(Tier tier, bool is_eviction) {
  std::lock_guard lock(tier_mutex_);
  evicted_ = is_eviction;
  TierMetrics::tables(tier_).Decrement();
  TierMetrics::tables(tier).Increment();
  tier_ = tier;
}

Status Table::activate(int64_t deadline_us) {
  std::lock_guard one_at_a_time(tier_change_mutex_);
  if (dropped_) return gone();
  if (tier_ == Tier::kActive) return Ok{};
  const Pin pin(*this);
  QUARRY_RETURN_IF_ERROR(snapshot(deadline_us));
  change_tier(Tier::kActive);
  shared_->cold.forget(*this);
  note_view(nullptr);
  return Ok{};
}

bool Table::evict() {
  const std::unique_lock one_at_a_time(tier_change_mutex_, std::try_to_lock);
  if (!one_at_a_time.owns_lock() || dropped_ || tier_ == Tier::kCold) return false;
  {
    std::lock_guard lock(tier_mutex_);
    if (pins_ > 0) return false;
  }
  evicted_bytes_ = resident_bytes();
  change_tier(Tier::kCold, true);
  ColdGarbage freed;
  release_cold(freed);
  return true;
}

Status Table::set_tier(Tier tier) {
  if (tier == Tier::kActive) {
    QUARRY_RETURN_IF_ERROR(activate(INT64_MAX));
    if (const uint64_t excess = shared_->excess_bytes(0); excess > 0) shared_->make_room(excess, this);
    return Ok{};
  }
  std::lock_guard one_at_a_time(tier_change_mutex_);
  if (dropped_) return gone();
  if (tier_ == Tier::kActive) QUARRY_RETURN_IF_ERROR(prepare_for_cold());
  change_tier(tier);
  ColdGarbage freed;
  release_cold(freed);  // what a writer needs goes when it is done
  forget_local();
  return Ok{};
}

// What stats_without_rows() answered so short a time ago that it answers it again.
std::optional<TableStats> Table::recent_stats() const {
  std::lock_guard lock(tier_mutex_);
  const bool is_recent = shared_->options.clock->steady_us() - stats_looked_us_ < shared_->options.follow_interval_us;
  return is_recent ? released_stats_ : std::nullopt;
}

// In a turn: the newest state. One round trip if that is the one which is known.
Result<LogState> Table::look_for_newest() {
  Executor* io = tier_ == Tier::kCold ? shared_->cold.io() : nullptr;
  if (log_.version >= 0) {
    QUARRY_ASSIGN_OR_RETURN(const bool is_newest, delta_log_.is_newest(log_.version, io));
    if (is_newest) return log_;
  }
  const TimestampUs started = shared_->options.clock->now_us();
  QUARRY_ASSIGN_OR_RETURN(LogState log, newest_log(io));
  if (own_commits_.empty()) note_log(log, started);  // else load() has yet to see whether they still stand
  return log;
}

// Of a cold table: as of its last snapshot, or as the log tells. Other writers' commits are looked for as often as an active table's
// follower does.
Result<std::optional<TableStats>> Table::stats_without_rows() {
  if (auto recent = recent_stats()) return recent;
  CommitQueue::Turn turn(queue_);
  if (dropped_) return gone();
  if (auto recent = recent_stats()) return recent;  // another caller has just looked
  if (const auto resident = current()) return std::optional(mvs::stats_of(*resident));
  const int64_t looked_us = shared_->options.clock->steady_us();
  QUARRY_ASSIGN_OR_RETURN(const LogState log, look_for_newest());
  std::lock_guard lock(tier_mutex_);
  if (!released_stats_ || released_stats_->version != log.version) released_stats_ = mvs::stats_of(log);
  stats_looked_us_ = looked_us;
  return released_stats_;
}

Result<TableStats> Table::stats() {
  const auto finish = [&](TableStats out, uint64_t memory_bytes) {
    out.tier = tier_;
    out.last_read_us = last_read_us_;
    out.memory_bytes = memory_bytes;
    return out;
  };
  if (tier_ == Tier::kCold && !dropped_ && current() == nullptr) {
    QUARRY_ASSIGN_OR_RETURN(const auto known, stats_without_rows());
    if (known) return finish(*known, 0);
  }
  QUARRY_ASSIGN_OR_RETURN(const auto snapshot, this->snapshot());
  return finish(mvs::stats_of(*snapshot), resident_bytes());
}

TableUsage Table::usage() const {
  return {spec_.table_id, tier_, last_read_us_, resident_bytes()};
}

}  // namespace quarry::mvs
