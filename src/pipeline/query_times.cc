#include "pipeline/query_times.h"

#include <algorithm>

#include "pipeline/new_row.h"
#include "pipeline/object_body.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

constexpr size_t kRowsPerTransaction = 200;
constexpr std::string_view kRecordedId = "recorded", kSinceMember = "since", kQueriedMember = "queried_at";

// The row's time; 0 if there is no such row.
Result<TimestampUs> load_time(catalog::Session& session, const catalog::Scope& scope, std::string_view id, std::string_view member) {
  auto found = session.get(kind::kQueryTime, scope, id);
  if (!found.ok()) return found.error().kind == ErrorKind::kNotFound ? Result<TimestampUs>(0) : std::move(found).error();
  return parse_timestamp(text_member(found->body, member));
}

}  // namespace

void QueryTimes::note(const Collection& collection, TimestampUs at) {
  std::lock_guard lock(mutex_);
  const auto [it, inserted] = noted_.try_emplace(collection.collection_id);
  if (inserted) it->second.scope = {collection.organization_id, collection.namespace_id};
  it->second.at = std::max(it->second.at, at);
}

Status QueryTimes::flush() {
  std::lock_guard one(flush_mutex_);
  NotedById taken;
  {
    std::lock_guard lock(mutex_);
    taken.swap(noted_);
  }
  while (!taken.empty()) {
    const auto begin = taken.begin(), end = std::next(begin, static_cast<ptrdiff_t>(std::min(taken.size(), kRowsPerTransaction)));
    Status written = catalog_.write([&](catalog::Session& session) -> Status {
      for (auto it = begin; it != end; ++it) QUARRY_RETURN_IF_ERROR(store_query_time(session, it->second.scope, it->first, it->second.at));
      return Ok{};
    });
    if (!written.ok()) {
      std::lock_guard lock(mutex_);
      for (auto& [id, noted] : taken) {
        Noted& kept = noted_.try_emplace(id, noted).first->second;
        kept.at = std::max(kept.at, noted.at);
      }
      return written;
    }
    taken.erase(begin, end);
  }
  return Ok{};
}

Status store_query_time(catalog::Session& session, const catalog::Scope& scope, const std::string& collection_id, TimestampUs at) {
  auto collection = session.get(kind::kCollection, scope, collection_id);
  if (!collection.ok()) return collection.error().kind == ErrorKind::kNotFound ? Status(Ok{}) : Status(collection.error());
  auto found = session.get(kind::kQueryTime, scope, collection_id);
  if (!found.ok() && found.error().kind != ErrorKind::kNotFound) return std::move(found).error();
  catalog::Resource row = found.ok() ? std::move(found).value() : new_row(kind::kQueryTime, collection_id, scope, at);
  const bool is_new = row.body.empty();
  if (!is_new) {
    QUARRY_ASSIGN_OR_RETURN(const TimestampUs known, parse_timestamp(text_member(row.body, kQueriedMember)));
    if (known >= at) return Ok{};
  }
  row.parent_id = collection_id;
  row.updated_at = at;
  row.body = {{"collection_id", collection_id}, {kQueriedMember, format_timestamp(at)}};
  return is_new ? session.insert(row) : session.replace(row);
}

Result<TimestampUs> load_query_time(catalog::Session& session, const catalog::Scope& scope, const std::string& collection_id) {
  return load_time(session, scope, collection_id, kQueriedMember);
}

Result<TimestampUs> begin_recording(catalog::Session& session, TimestampUs now) {
  QUARRY_ASSIGN_OR_RETURN(const TimestampUs since, load_time(session, {}, kRecordedId, kSinceMember));
  if (since != 0) return since;
  catalog::Resource row = new_row(kind::kQueryTime, std::string(kRecordedId), {}, now);
  row.body = {{kSinceMember, format_timestamp(now)}};
  const Status inserted = session.insert(row);
  if (!inserted.ok() && inserted.error().kind != ErrorKind::kAlreadyExists) return inserted.error();
  return now;  // another process may have begun in the same moment
}

Result<TimestampUs> recorded_since(catalog::Session& session, TimestampUs now) {
  QUARRY_ASSIGN_OR_RETURN(const TimestampUs since, load_time(session, {}, kRecordedId, kSinceMember));
  return since != 0 ? since : now;
}

}  // namespace quarry::pipeline
