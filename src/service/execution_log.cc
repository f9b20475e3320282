#include "service/execution_log.h"

#include <set>
#include <tuple>

#include "base/log.h"

namespace quarry::service {
namespace {

using Parent = std::tuple<std::string, std::string, std::string>;  // organization, namespace, parent

// Lets an overhang grow, so that most flushes delete nothing.
constexpr size_t kTrimSlack = 50;

Status trim(catalog::Session& session, const Parent& parent) {
  catalog::ListQuery query;
  query.kind = catalog::kind::kExecution;
  query.scope = {std::get<0>(parent), std::get<1>(parent)};
  query.parent_id = std::get<2>(parent);
  QUARRY_ASSIGN_OR_RETURN(uint64_t count, session.count(query));
  if (count <= ExecutionLog::kKeepPerRetriever + kTrimSlack) return Ok{};
  query.offset = ExecutionLog::kKeepPerRetriever;  // newest first
  query.limit = 1000;
  QUARRY_ASSIGN_OR_RETURN(auto page, session.list(query));
  for (const auto& old : page.items) QUARRY_RETURN_IF_ERROR(session.remove(catalog::kind::kExecution, query.scope, old.id));
  return Ok{};
}

void warn_unless_ok(const Status& flushed) {
  if (!flushed.ok()) log_warn("execution records were not written", {{"reason", flushed.error().message}});
}

}  // namespace

void ExecutionLog::add(catalog::Resource record) {
  bool schedule = false;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->pending.size() >= kMaxPending) state_->pending.erase(state_->pending.begin());
    state_->pending.push_back(std::move(record));
    bool due = state_->pending.size() >= kFlushAt || deps_.clock->steady_us() - state_->last_flush_us >= kFlushEveryUs;
    if (due && !state_->scheduled && deps_.executor) schedule = state_->scheduled = true;
  }
  if (!schedule) return;
  auto work = [state = state_, catalog = deps_.catalog, clock = deps_.clock] { warn_unless_ok(flush(*state, *catalog, *clock)); };
  if (!deps_.executor->try_submit(std::move(work))) {
    std::lock_guard lock(state_->mutex);
    state_->scheduled = false;
  }
}

Status ExecutionLog::flush() { return flush(*state_, *deps_.catalog, *deps_.clock); }

void ExecutionLog::flush_for_read() { warn_unless_ok(flush()); }

Status ExecutionLog::flush(State& state, catalog::Catalog& catalog, const Clock& clock) {
  std::lock_guard one(state.flush_mutex);
  std::vector<catalog::Resource> records;
  {
    std::lock_guard lock(state.mutex);
    records.swap(state.pending);
    state.last_flush_us = clock.steady_us();
    state.scheduled = false;
  }
  if (records.empty()) return Ok{};
  Status written = catalog.write([&](catalog::Session& session) -> Status {
    std::set<Parent> parents;
    for (const auto& record : records) {
      QUARRY_RETURN_IF_ERROR(session.insert(record));
      parents.emplace(record.organization_id, record.namespace_id, record.parent_id);
    }
    for (const auto& parent : parents) QUARRY_RETURN_IF_ERROR(trim(session, parent));
    return Ok{};
  });
  if (!written.ok()) {
    std::lock_guard lock(state.mutex);
    if (records.size() + state.pending.size() <= kMaxPending) state.pending.insert(state.pending.begin(), records.begin(), records.end());
  }
  return written;
}

}  // namespace quarry::service
