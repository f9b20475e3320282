#include "service/execution_log.h"

#include <algorithm>

#include "base/log.h"

namespace quarry::service {
namespace {

Status trim(catalog::Session& session, const ExecutionLog::Parent& parent) {
  return session.keep_newest(catalog::kind::kExecution, {parent.organization_id, parent.namespace_id}, parent.id,
                             ExecutionLog::kKeepPerRetriever);
}

void warn_unless_ok(const Status& flushed) {
  if (!flushed.ok()) log_warn("execution records were not written", {{"reason", flushed.error().message}});
}

}  // namespace

void ExecutionLog::State::keep(const Parent& parent, MakeRecord record) {
  std::deque<MakeRecord>& own = pending[parent];
  own.push_back(std::move(record));
  ++count;
  if (own.size() > kKeepPerRetriever) return drop_oldest(own);
  if (count > kMaxPending) drop_oldest(std::max_element(pending.begin(), pending.end(), [](const auto& a, const auto& b) {
                                         return a.second.size() < b.second.size();
                                       })->second);
}

void ExecutionLog::State::drop_oldest(std::deque<MakeRecord>& records) {
  records.pop_front();
  --count;
}

void ExecutionLog::State::put_back(Pending unwritten) {
  for (auto& [parent, records] : unwritten) {
    std::deque<MakeRecord>& own = pending[parent];
    while (!records.empty() && own.size() < kKeepPerRetriever && count < kMaxPending) {
      own.push_front(std::move(records.back()));
      records.pop_back();
      ++count;
    }
    if (own.empty()) pending.erase(parent);
  }
}

void ExecutionLog::add(Parent parent, MakeRecord record) {
  Executor* background = deps_.background != nullptr ? deps_.background : deps_.executor;
  bool schedule = false;
  {
    std::lock_guard lock(state_->mutex);
    state_->keep(parent, std::move(record));
    bool due = deps_.clock->steady_us() - state_->last_flush_us >= kFlushEveryUs || state_->count >= kFlushAt;
    if (due && !state_->scheduled && background != nullptr) schedule = state_->scheduled = true;
  }
  if (!schedule) return;
  auto work = [state = state_, catalog = deps_.catalog, clock = deps_.clock] { warn_unless_ok(flush(*state, *catalog, *clock)); };
  if (!background->try_submit(std::move(work))) {
    std::lock_guard lock(state_->mutex);
    state_->scheduled = false;
  }
}

Status ExecutionLog::flush() { return flush(*state_, *deps_.catalog, *deps_.clock); }

void ExecutionLog::flush_for_read() { warn_unless_ok(flush()); }

Status ExecutionLog::flush(State& state, catalog::Catalog& catalog, const Clock& clock) {
  std::lock_guard one(state.flush_mutex);
  Pending pending;
  {
    std::lock_guard lock(state.mutex);
    pending.swap(state.pending);
    state.count = 0;
    state.last_flush_us = clock.steady_us();
    state.scheduled = false;
  }
  if (pending.empty()) return Ok{};
  std::vector<catalog::Resource> records;
  for (const auto& [parent, own] : pending)
    for (const MakeRecord& make : own) records.push_back(make());
  Status written = catalog.write([&](catalog::Session& session) -> Status {
    for (const auto& record : records) QUARRY_RETURN_IF_ERROR(session.insert(record));
    for (const auto& [parent, own] : pending) QUARRY_RETURN_IF_ERROR(trim(session, parent));
    return Ok{};
  });
  if (!written.ok()) {
    std::lock_guard lock(state.mutex);
    state.put_back(std::move(pending));
  }
  return written;
}

}  // namespace quarry::service
