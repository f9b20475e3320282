// Snapshots that the server takes by itself, and the end of those that have a date for it.
#include <fmt/format.h>

#include "base/log.h"
#include "pipeline/object_body.h"
#include "pipeline/resource_walk.h"
#include "pipeline/snapshots/layout.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

constexpr int64_t kFreshUs = 600'000'000;
constexpr std::string_view kAwaitsRemoval = "awaits_removal";  // in the row's _internal: no removal has used the snapshot yet

catalog::ListQuery snapshots_in(const catalog::Scope& scope) {
  catalog::ListQuery query;
  query.kind = kind::kSnapshot;
  query.scope = scope;
  return query;
}

Result<bool> has_daily_since(catalog::Session& session, const catalog::Scope& scope, TimestampUs since) {
  bool found = false;
  QUARRY_RETURN_IF_ERROR(for_each_in(session, snapshots_in(scope), [&](const catalog::Resource& row) -> Status {
    found = found || (row.created_at > since && text_member(row.body, "snapshot_type") == "daily");
    return Ok{};
  }));
  return found;
}

// Decided in the transaction that begins it, so that of several servers one does.
Result<bool> begin_daily(catalog::Catalog& catalog, const catalog::Scope& scope, const std::string& internal_id, int64_t keep_us,
                         TimestampUs now) {
  bool begun = false;
  QUARRY_RETURN_IF_ERROR(catalog.write([&](catalog::Session& session) -> Status {
    begun = false;
    QUARRY_ASSIGN_OR_RETURN(const bool is_there, has_daily_since(session, scope, now - kDayUs));
    if (is_there) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(const auto ns, session.get(kind::kNamespace, {scope.organization_id, ""}, scope.namespace_id));
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

bool serves_removal(catalog::Resource& row, TimestampUs now) {
  if (!internal_of(row.body).contains(kAwaitsRemoval)) return false;
  const std::string status = text_member(row.body, "status");
  return status == "pending" || status == "in_progress" || (status == "completed" && time_member(row, "completed_at") > now - kFreshUs);
}

}  // namespace

Result<size_t> begin_daily_snapshots(catalog::Catalog& catalog, int64_t keep_us, TimestampUs now) {
  size_t count = 0;
  const auto look_at = [&](const catalog::Resource& organization, const catalog::Resource& ns) -> Status {
    const catalog::Scope scope{organization.id, ns.id};
    bool is_there = true;  // seen without holding up other writes first
    QUARRY_RETURN_IF_ERROR(catalog.read([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(is_there, has_daily_since(session, scope, now - kDayUs));
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
  QUARRY_RETURN_IF_ERROR(for_each_resource(catalog, {.kind = std::string(kind::kOrganization)}, [&](const catalog::Resource& organization) {
    return for_each_resource(catalog, {.kind = std::string(kind::kNamespace), .scope = {organization.id, ""}},
                             [&](const catalog::Resource& ns) { return look_at(organization, ns); });
  }));
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
    if (!has_expired(row, now) || (halted && halted())) return Ok{};
    Status dropped = remove_snapshot(catalog, store, {row.organization_id, row.namespace_id}, row.id);
    if (dropped.ok())
      ++count;
    else if (dropped.error().kind != ErrorKind::kConflict && dropped.error().kind != ErrorKind::kNotFound)
      log_warn("an expired snapshot is left", {{"snapshot_id", row.id}, {"reason", dropped.error().message}});
    return Ok{};
  };
  QUARRY_RETURN_IF_ERROR(for_each_resource(catalog, {.kind = std::string(kind::kOrganization)}, [&](const catalog::Resource& organization) {
    catalog::ListQuery query = snapshots_in({organization.id, ""});
    query.all_namespaces = true;
    return for_each_resource(catalog, query, drop);
  }));
  return count;
}

}  // namespace quarry::pipeline
