// Where a table is served from, and what it tells of itself.
#include <fmt/format.h>

#include <algorithm>

#include "mvs/table_internal.h"

namespace quarry::mvs {
namespace {

TableStats stats_of(const Snapshot& snapshot) {
  TableStats out;
  out.version = snapshot.version;
  out.data_version = snapshot.data_version;
  out.documents = snapshot.live_rows;
  out.files = snapshot.views.size();
  for (const Column& column : snapshot.schema->columns())
    if (is_vector(column.kind)) out.vectors[column.vector.name] = 0;
  for (const auto& view : snapshot.views) {
    out.bytes += uint64_t(view.file->size);
    out.deleted_rows += view.segment->rows() - view.live;
    for (auto& [name, count] : out.vectors) {
      const RowBlock& block = view.segment->block();
      const RowOrdinals* vectors = block.ordinals(block.schema().find_vector(name));
      if (vectors == nullptr) continue;
      count += vectors->count;
      if (view.deleted != nullptr) view.deleted->for_each([&](size_t row) { count -= vectors->ordinal(row) >= 0; });
    }
  }
  return out;
}

}  // namespace

Table::Pin::Pin(Table& table) : table_(table) {
  std::lock_guard lock(table_.tier_mutex_);
  ++table_.pins_;
}

Table::Pin::~Pin() {
  {
    std::lock_guard lock(table_.tier_mutex_);
    if (--table_.pins_ > 0 || table_.tier_ == Tier::kActive) return;
  }
  if (const auto resident = table_.current()) table_.shared_->cold.keep(table_.shared_from_this(), resident->memory_bytes());
}

Result<std::shared_ptr<const Snapshot>> Table::snapshot(int64_t deadline_us) {
  if (dropped_) return gone();
  if (auto resident = current()) return resident;
  if (tier_ == Tier::kActive) return load();
  return shared_->cold.read(shared_from_this(), deadline_us);
}

Result<ServedSnapshot> Table::serve(int64_t deadline_us) {
  const Clock& clock = *shared_->options.clock;
  last_read_us_ = clock.now_us();
  used_us_.store(clock.steady_us(), std::memory_order_relaxed);
  ServedSnapshot out;
  out.tier = tier_;
  if (out.tier == Tier::kCold) deadline_us = std::min(deadline_us, clock.steady_us() + shared_->options.cold_timeout_us);
  QUARRY_ASSIGN_OR_RETURN(out.snapshot, snapshot(deadline_us));
  ServedSnapshot newest = current_view();
  static const auto kNoIndexes = std::make_shared<const IndexSet>();
  out.indexes = newest.snapshot != nullptr ? std::move(newest.indexes) : kNoIndexes;
  if (newest.snapshot != nullptr) out.snapshot = std::move(newest.snapshot);
  if (out.tier == Tier::kCold && current() != nullptr) shared_->cold.keep(shared_from_this(), out.snapshot->memory_bytes());
  return out;
}

bool Table::release_cold(std::shared_ptr<const Snapshot>& freed) {
  std::lock_guard lock(tier_mutex_);
  if (tier_ == Tier::kActive) return true;
  if (pins_ > 0) return false;
  freed = current();
  if (freed == nullptr) return true;
  released_stats_ = stats_of(*freed);
  publish(nullptr, std::make_shared<const IndexSet>());
  return true;
}

Status Table::set_tier(Tier tier) {
  std::lock_guard one_at_a_time(tier_change_mutex_);
  if (dropped_) return gone();
  if (tier_ == tier) return Ok{};
  if (tier == Tier::kActive) {
    const Pin pin(*this);
    QUARRY_RETURN_IF_ERROR(snapshot());
    {
      std::lock_guard lock(tier_mutex_);
      tier_ = tier;
    }
    shared_->cold.forget(*this);
    return Ok{};
  }
  {
    std::lock_guard lock(tier_mutex_);
    tier_ = tier;
  }
  std::shared_ptr<const Snapshot> freed;
  release_cold(freed);  // what a writer needs goes when it is done
  forget_local();
  return Ok{};
}

Result<TableStats> Table::stats() {
  const auto finish = [&](TableStats out, uint64_t memory_bytes) {
    out.tier = tier_;
    out.last_read_us = last_read_us_;
    out.memory_bytes = memory_bytes;
    return out;
  };
  if (!dropped_ && current() == nullptr) {
    std::lock_guard lock(tier_mutex_);
    if (released_stats_) return finish(*released_stats_, 0);
  }
  QUARRY_ASSIGN_OR_RETURN(const auto snapshot, this->snapshot());
  return finish(stats_of(*snapshot), current() != nullptr ? snapshot->memory_bytes() : 0);
}

TableUsage Table::usage() const {
  const auto resident = current();
  return {spec_.table_id, tier_, last_read_us_, resident != nullptr ? resident->memory_bytes() : 0};
}

}  // namespace quarry::mvs
