// Snapshots that the server takes by itself, and the end of those that have a date for it.
#include <fmt/format.h>

#include <tuple>

#include "base/log.h"
#include "pipeline/object_body.h"
#include "pipeline/resource_walk.h"
#include "pipeline/snapshots/layout.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

constexpr int64_t kFreshUs = 600'000'000;
constexpr int64_t kClockSkewUs = 300'000'000;  // of servers on one catalog; a time still later was told by a clock that was wrong
constexpr std::string_view kAwaitsRemoval = "awaits_removal";  // in the row's _internal: no removal has used the snapshot yet

catalog::ListQuery snapshots_in(const catalog::Scope& scope) {
  catalog::ListQuery query;
  query.kind = kind::kSnapshot;
  query.scope = scope;
  return query;
}

bool is_within(TimestampUs at, int64_t period_us, TimestampUs now) { return at > now - period_us && at <= now + kClockSkewUs; }

bool is_daily(const catalog::Resource& row) { return text_member(row.body, "snapshot_type") == "daily"; }

bool is_completed(const catalog::Resource& row) { return text_member(row.body, "status") == "completed"; }

// Whether a snapshot was taken of this namespace, not of a deleted one that had its id.
bool is_of(const catalog::Resource& row, const catalog::Resource& ns, TimestampUs now) {
  return row.created_at >= ns.created_at || ns.created_at > now;
}

Result<bool> has_daily(catalog::Session& session, const catalog::Resource& ns, TimestampUs now) {
  return any_in(session, snapshots_in({ns.organization_id, ns.id}), [&](const catalog::Resource& row) {
    return is_daily(row) && is_within(row.created_at, kDayUs, now) && is_of(row, ns, now);
  });
}

// A namespace is not left without any: the newest that was completed stays until there is a newer one.
Result<bool> is_last_daily(catalog::Catalog& catalog, const catalog::Resource& row, TimestampUs now) {
  if (!is_daily(row) || !is_completed(row)) return false;
  bool is_last = false;
  QUARRY_RETURN_IF_ERROR(catalog.read([&](catalog::Session& session) -> Status {
    const auto ns = session.get(kind::kNamespace, {row.organization_id, ""}, row.namespace_id);
    if (!ns.ok() && ns.error().kind == ErrorKind::kNotFound) return Ok{};
    QUARRY_RETURN_IF_ERROR(ns);
    const auto is_newer = [&](const catalog::Resource& other) {
      return is_daily(other) && is_completed(other) && std::tie(other.created_at, other.id) > std::tie(row.created_at, row.id);
    };
    QUARRY_ASSIGN_OR_RETURN(const bool has_newer, any_in(session, snapshots_in({row.organization_id, row.namespace_id}), is_newer));
    is_last = !has_newer && is_of(row, *ns, now);
    return Ok{};
  }));
  return is_last;
}

// Walks end with kCanceled once `halted` says so.
Status check_halted(const std::function<bool()>& halted) {
  return halted && halted() ? Status(Error{ErrorKind::kCanceled, "told to end"}) : Status(Ok{});
}

Status ok_if_halted(Status walked) {
  return !walked.ok() && walked.error().kind == ErrorKind::kCanceled ? Status(Ok{}) : std::move(walked);
}

// Decided in the transaction that begins it, so that of several servers one does.
Result<bool> begin_daily(catalog::Catalog& catalog, const catalog::Scope& scope, const std::string& internal_id, int64_t keep_us,
                         TimestampUs now) {
  bool begun = false;
  QUARRY_RETURN_IF_ERROR(catalog.write([&](catalog::Session& session) -> Status {
    begun = false;
    QUARRY_ASSIGN_OR_RETURN(const auto ns, session.get(kind::kNamespace, {scope.organization_id, ""}, scope.namespace_id));
    QUARRY_ASSIGN_OR_RETURN(const bool is_there, has_daily(session, ns, now));
    if (is_there) return Ok{};
    NewSnapshot wanted;
    wanted.namespace_id = ns.id;
    wanted.namespace_name = ns.name;
    wanted.type = "daily";
    wanted.keep_us = keep_us;
    QUARRY_RETURN_IF_ERROR(begin_snapshot(session, scope, internal_id, wanted, now));
    begun = true;
    return Ok{};
  }));
  return begun;
}

// The time that a member of its row tells, 0 if there is none.
TimestampUs time_member(const catalog::Resource& row, std::string_view name) {
  return parse_timestamp(text_member(row.body, name)).value_or(0);
}

bool has_expired(const catalog::Resource& row, TimestampUs now) {
  const TimestampUs at = time_member(row, "expires_at");
  return at != 0 && at <= now;
}

bool serves_removal(const catalog::Resource& row, TimestampUs now) {
  const json::value* internal = row.body.if_contains(kInternalMember);
  if (internal == nullptr || !internal->is_object() || !internal->get_object().contains(kAwaitsRemoval)) return false;
  const std::string status = text_member(row.body, "status");
  return status == "pending" || status == "in_progress" ||
         (status == "completed" && is_within(time_member(row, "completed_at"), kFreshUs, now));
}

}  // namespace

Result<size_t> begin_daily_snapshots(catalog::Catalog& catalog, int64_t keep_us, TimestampUs now, const std::function<bool()>& halted) {
  size_t count = 0;
  const auto look_at = [&](const catalog::Resource& organization, const catalog::Resource& ns) -> Status {
    QUARRY_RETURN_IF_ERROR(check_halted(halted));
    const catalog::Scope scope{organization.id, ns.id};
    bool is_there = true;  // seen without holding up other writes first
    QUARRY_RETURN_IF_ERROR(catalog.read([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(is_there, has_daily(session, ns, now));
      return Ok{};
    }));
    if (is_there) return Ok{};
    const auto begun = begin_daily(catalog, scope, text_member(organization.body, "internal_id"), keep_us, now);
    if (!begun.ok())
      log_warn("no daily snapshot was begun", {{"namespace_id", ns.id}, {"reason", begun.error().message}});
    else if (*begun)
      ++count;
    return Ok{};
  };
  Status walked = for_each_resource(catalog, {.kind = std::string(kind::kOrganization)}, [&](const catalog::Resource& organization) {
    return for_each_resource(catalog, {.kind = std::string(kind::kNamespace), .scope = {organization.id, ""}},
                             [&](const catalog::Resource& ns) { return look_at(organization, ns); });
  });
  QUARRY_RETURN_IF_ERROR(ok_if_halted(std::move(walked)));
  return count;
}

Result<catalog::Resource> begin_pre_delete_snapshot(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id,
                                                    std::string_view namespace_name, int64_t keep_us, TimestampUs now) {
  std::optional<catalog::Resource> found;
  QUARRY_RETURN_IF_ERROR(for_each_in(session, snapshots_in(scope), [&](catalog::Resource row) -> Status {
    if (serves_removal(row, now)) found = std::move(row);
    return Ok{};
  }));
  if (found) return std::move(*found);
  NewSnapshot wanted;
  wanted.namespace_id = scope.namespace_id;
  wanted.namespace_name = namespace_name;
  wanted.type = "pre_delete";
  wanted.copy_blobs = true;
  wanted.keep_us = keep_us;
  QUARRY_ASSIGN_OR_RETURN(catalog::Resource row, begin_snapshot(session, scope, internal_id, wanted, now));
  internal_of(row.body)[kAwaitsRemoval] = true;
  QUARRY_RETURN_IF_ERROR(session.replace(row));
  return row;
}

Status use_pre_delete_snapshot(catalog::Session& session, const catalog::Scope& scope, std::string_view snapshot_id) {
  QUARRY_ASSIGN_OR_RETURN(catalog::Resource row, session.get(kind::kSnapshot, scope, snapshot_id));
  internal_of(row.body).erase(kAwaitsRemoval);
  return session.replace(row);
}

Result<size_t> drop_expired_snapshots(catalog::Catalog& catalog, objects::ObjectStore& store, TimestampUs now,
                                      const std::function<bool()>& halted) {
  size_t count = 0;
  const auto drop = [&](const catalog::Resource& row) -> Status {
    QUARRY_RETURN_IF_ERROR(check_halted(halted));
    const bool is_half_gone = text_member(row.body, "status") == "expired";
    if (!is_half_gone && !has_expired(row, now)) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(const bool is_last, is_last_daily(catalog, row, now));
    if (is_last) return Ok{};
    Status dropped = remove_snapshot(catalog, store, {row.organization_id, row.namespace_id}, row.id);
    if (dropped.ok())
      ++count;
    else if (dropped.error().kind != ErrorKind::kConflict && dropped.error().kind != ErrorKind::kNotFound)
      log_warn("an expired snapshot is left", {{"snapshot_id", row.id}, {"reason", dropped.error().message}});
    return Ok{};
  };
  Status walked = for_each_resource(catalog, {.kind = std::string(kind::kOrganization)}, [&](const catalog::Resource& organization) {
    catalog::ListQuery query = snapshots_in({organization.id, ""});
    query.all_namespaces = true;
    return for_each_resource(catalog, query, drop);
  });
  QUARRY_RETURN_IF_ERROR(ok_if_halted(std::move(walked)));
  return count;
}

}  // namespace quarry::pipeline
