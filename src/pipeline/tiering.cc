#include "pipeline/tiering.h"

#include <algorithm>

#include "base/log.h"
#include "base/metrics.h"
#include "pipeline/tiering_steps.h"

namespace quarry::pipeline {
namespace {

constexpr int64_t kAfterMoveUs = 3'600'000'000;                 // a move that failed is tried again so much later,
constexpr auto kAfterQuery = std::chrono::milliseconds(1'000);  // and a cold collection that is queried looked at so often at most

using SteadyTime = std::chrono::steady_clock::time_point;

SteadyTime from_now(int64_t interval_us) {
  return interval_us > 0 ? std::chrono::steady_clock::now() + std::chrono::microseconds(interval_us) : SteadyTime::max();
}

void warn_of(const std::string& collection_id, const Status& status) {
  if (!status.ok())
    log_warn("a collection's tiering rules were not obeyed", {{"collection_id", collection_id}, {"reason", status.error().message}});
}

void tell(const std::string& collection_id, const std::vector<TieringAction>& done) {
  for (const TieringAction& action : done) {
    metrics::counter("quarry_tiering_steps_total", "Steps taken by tiering rules.", {{"step", std::string(to_string(action.step))}})
        .Increment();
    log_info("a tiering rule was obeyed", {{"collection_id", collection_id}, {"step", to_string(action.step)}, {"reason", action.reason}});
  }
}

}  // namespace

Tiering::Tiering(const Options& options, std::function<void()> on_enqueued)
    : options_(options), on_enqueued_(std::move(on_enqueued)), queries_(*options.catalog) {}

Status Tiering::start() {
  QUARRY_RETURN_IF_ERROR(options_.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_RETURN_IF_ERROR(begin_recording(session, options_.clock->now_us()));
    return Ok{};
  }));
  thread_ = std::thread([this] { run(); });
  return Ok{};
}

void Tiering::stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  flush_queries();
}

void Tiering::flush_queries() {
  const Status flushed = queries_.flush();
  if (!flushed.ok()) log_warn("times of queries were not written", {{"reason", flushed.error().message}});
}

void Tiering::run() {
  SteadyTime next_flush = from_now(options_.query_flush_us), next_look = from_now(options_.tiering_interval_us);
  for (;;) {
    std::map<std::string, catalog::Scope> queried;
    {
      std::unique_lock lock(mutex_);
      const auto awaited = [&] { return stopping_ || !queried_.empty(); };
      const SteadyTime next = std::min(next_flush, next_look);
      next == SteadyTime::max() ? changed_.wait(lock, awaited) : void(changed_.wait_until(lock, next, awaited));
      if (stopping_) return;
      queried.swap(queried_);
    }
    flush_queries();
    next_flush = from_now(options_.query_flush_us);
    for (const auto& [collection_id, scope] : queried) warn_of(collection_id, look_at(scope, collection_id));
    if (std::chrono::steady_clock::now() < next_look) continue;
    const Status looked = look_at_all();
    if (!looked.ok()) log_warn("the tiering rules were not looked at", {{"reason", looked.error().message}});
    next_look = from_now(options_.tiering_interval_us);
  }
}

Status Tiering::look_at_all() {
  forget_attempts();
  return for_each_with_rules(*options_.catalog, [&](const catalog::Resource& collection) -> Status {
    if (!is_stopping()) warn_of(collection.id, look_at({collection.organization_id, collection.namespace_id}, collection.id));
    return Ok{};
  });
}

// On a snapshot first, so that only a collection with something to do costs a write transaction.
Status Tiering::look_at(const catalog::Scope& scope, const std::string& collection_id) {
  const TimestampUs now = options_.clock->now_us();
  TieringSight sight;
  Status seen = options_.catalog->read([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(sight, see_collection(session, scope, collection_id, now));
    return Ok{};
  });
  if (!seen.ok()) return seen.error().kind == ErrorKind::kNotFound ? Status(Ok{}) : seen;
  const TieringMoves moves = is_held_back(sight.collection, now) ? TieringMoves::kNone : TieringMoves::kAll;
  const auto due = due_tiering_actions(sight.state, now);
  if (std::all_of(due.begin(), due.end(), [&](const TieringAction& a) { return is_move(a.step) && moves == TieringMoves::kNone; }))
    return Ok{};
  std::optional<HeldData> held;
  if (sight.collection.is_cold) held = held_data(*options_.vectors, sight.collection, sight.internal_id);
  std::vector<TieringAction> done;
  QUARRY_RETURN_IF_ERROR(options_.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(done, take_tiering_steps(session, scope, collection_id, held, moves, now));
    return Ok{};
  }));
  tell(collection_id, done);
  if (std::any_of(done.begin(), done.end(), [](const TieringAction& a) { return is_move(a.step); })) {
    hold_back(sight.collection, now + kAfterMoveUs);
    on_enqueued_();
  }
  return Ok{};
}

void Tiering::note_query(const Collection& collection) {
  const TimestampUs now = options_.clock->now_us();
  queries_.note(collection, now);
  if (collection.archive_announced) take_back_archive(collection, now);
  if (collection.lifecycle == LifecycleState::kCold && collection.tiering.rehydrate && options_.tiering_interval_us > 0)
    bring_back(collection, now);
}

void Tiering::take_back_archive(const Collection& collection, TimestampUs now) {
  const catalog::Scope scope{collection.organization_id, collection.namespace_id};
  std::vector<TieringAction> done;
  const Status taken_back = options_.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_RETURN_IF_ERROR(store_query_time(session, scope, collection.collection_id, now));
    QUARRY_ASSIGN_OR_RETURN(done, take_tiering_steps(session, scope, collection.collection_id, std::nullopt, TieringMoves::kNone, now));
    return Ok{};
  });
  warn_of(collection.collection_id, taken_back);
  if (taken_back.ok()) tell(collection.collection_id, done);
}

void Tiering::bring_back(const Collection& collection, TimestampUs now) {
  const SteadyTime steady_now = std::chrono::steady_clock::now();
  {
    std::lock_guard lock(mutex_);
    Attempt& attempt = attempts_[collection.collection_id];
    if (attempt.transitioned_at != collection.transitioned_at) attempt = {.transitioned_at = collection.transitioned_at};
    if (now < attempt.not_before || steady_now < attempt.ask_again) return;
    attempt.ask_again = steady_now + kAfterQuery;
    queried_.emplace(collection.collection_id, catalog::Scope{collection.organization_id, collection.namespace_id});
  }
  changed_.notify_all();
}

bool Tiering::is_stopping() {
  std::lock_guard lock(mutex_);
  return stopping_;
}

bool Tiering::is_held_back(const Collection& collection, TimestampUs now) {
  std::lock_guard lock(mutex_);
  const auto it = attempts_.find(collection.collection_id);
  return it != attempts_.end() && it->second.transitioned_at == collection.transitioned_at && now < it->second.not_before;
}

void Tiering::hold_back(const Collection& collection, TimestampUs until) {
  std::lock_guard lock(mutex_);
  Attempt& attempt = attempts_[collection.collection_id];
  attempt.transitioned_at = collection.transitioned_at;
  attempt.not_before = until;
}

void Tiering::forget_attempts() {
  const TimestampUs now = options_.clock->now_us();
  const SteadyTime steady_now = std::chrono::steady_clock::now();
  std::lock_guard lock(mutex_);
  std::erase_if(attempts_, [&](const auto& entry) { return entry.second.not_before <= now && entry.second.ask_again <= steady_now; });
}

}  // namespace quarry::pipeline
