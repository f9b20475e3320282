#include "pipeline/tiering_steps.h"

#include <algorithm>

#include "base/log.h"
#include "base/metrics.h"
#include "pipeline/lifecycle_rows.h"
#include "pipeline/object_body.h"
#include "pipeline/query_times.h"
#include "pipeline/resource_walk.h"

namespace quarry::pipeline {
namespace {

namespace kind = catalog::kind;

constexpr std::string_view kNotice = "archive_notice";

Result<TimestampUs> time_member(const json::object& object, std::string_view name) {
  const std::string text = text_member(object, name);
  return text.empty() ? Result<TimestampUs>(0) : parse_timestamp(text);
}

const json::object* find_notice(const json::object& collection_body) {
  const json::object* storage = find_storage(collection_body);
  const json::value* notice = storage != nullptr ? storage->if_contains(kNotice) : nullptr;
  return notice != nullptr ? notice->if_object() : nullptr;
}

bool has_rules(const catalog::Resource& collection) {
  return read_tiering_rules(collection.body).any() || find_notice(collection.body) != nullptr;
}

LifecycleState target_of(TieringStep step) {
  if (step == TieringStep::kEvict) return LifecycleState::kCold;
  return step == TieringStep::kArchive ? LifecycleState::kArchived : LifecycleState::kActive;
}

Status change_notice(catalog::Session& session, TieringSight& sight, const TieringAction& action, TimestampUs now) {
  json::object& storage = storage_of(sight.row.body);
  json::object event{{"reason", kAutoArchive}, {"explanation", action.reason}};
  if (action.step == TieringStep::kAnnounceArchive) {
    const std::string archive_at = format_timestamp(action.archive_at);
    storage[kNotice] = json::object{{"announced_at", format_timestamp(now)}, {"archive_at", archive_at}};
    event["event_type"] = "lifecycle.archive_announced";
    event["archive_at"] = archive_at;
    add_held(event, sight.held);
  } else {
    storage.erase(kNotice);
    event["event_type"] = "lifecycle.archive_cancelled";
  }
  QUARRY_RETURN_IF_ERROR(session.replace(sight.row));
  ++sight.row.revision;
  return add_lifecycle_event(session, sight.row, std::move(event), now);
}

// False while a batch holds the move up.
Result<bool> move(catalog::Session& session, const TieringSight& sight, const TieringAction& action, TimestampUs now) {
  const LifecycleChange change{sight.row.id, target_of(action.step), std::string(rule_of(action.step)), action.reason, sight.held};
  const catalog::Scope scope{sight.row.organization_id, sight.row.namespace_id};
  auto task_id = begin_lifecycle_change(session, scope, sight.internal_id, change, now);
  if (task_id.ok()) return !task_id->empty();
  return task_id.error().kind == ErrorKind::kConflict ? Result<bool>(false) : std::move(task_id).error();
}

}  // namespace

bool is_move(TieringStep step) { return step == TieringStep::kRehydrate || step == TieringStep::kEvict || step == TieringStep::kArchive; }

Result<TieringState> load_tiering_state(catalog::Session& session, const catalog::Resource& collection, TimestampUs now) {
  const catalog::Scope scope{collection.organization_id, collection.namespace_id};
  TieringState state;
  QUARRY_ASSIGN_OR_RETURN(state.lifecycle, parse_lifecycle_state(text_member(collection.body, "lifecycle_state")));
  const json::object* storage = find_storage(collection.body);
  state.is_moving = storage != nullptr && storage->contains("transition");
  QUARRY_ASSIGN_OR_RETURN(const TimestampUs recorded, recorded_since(session, now));
  TimestampUs restored_at = 0;
  if (storage != nullptr) {
    QUARRY_ASSIGN_OR_RETURN(restored_at, time_member(*storage, "restored_at"));
  }
  state.watched_since = std::max({collection.created_at, recorded, restored_at});
  QUARRY_ASSIGN_OR_RETURN(state.moved_at, time_member(collection.body, "last_transitioned_at"));
  QUARRY_ASSIGN_OR_RETURN(state.queried_at, load_query_time(session, scope, collection.id));
  state.rules = read_tiering_rules(collection.body);
  if (const json::object* notice = find_notice(collection.body)) {
    state.notice.emplace();
    QUARRY_ASSIGN_OR_RETURN(state.notice->announced_at, time_member(*notice, "announced_at"));
    QUARRY_ASSIGN_OR_RETURN(state.notice->archive_at, time_member(*notice, "archive_at"));
  }
  return state;
}

Result<TieringSight> see_collection(catalog::Session& session, const catalog::Scope& scope, const std::string& collection_id,
                                    TimestampUs now) {
  TieringSight sight;
  QUARRY_ASSIGN_OR_RETURN(sight.row, session.get(kind::kCollection, scope, collection_id));
  QUARRY_ASSIGN_OR_RETURN(sight.collection, parse_collection(sight.row.body, scope.organization_id, scope.namespace_id));
  QUARRY_ASSIGN_OR_RETURN(sight.state, load_tiering_state(session, sight.row, now));
  QUARRY_ASSIGN_OR_RETURN(const auto organization, session.get_any(kind::kOrganization, scope.organization_id));
  sight.internal_id = text_member(organization.body, "internal_id");
  return sight;
}

Result<std::vector<TieringAction>> take_tiering_steps(catalog::Session& session, const catalog::Scope& scope,
                                                      const std::string& collection_id, const std::optional<HeldData>& held,
                                                      TieringMoves moves, TimestampUs now) {
  QUARRY_ASSIGN_OR_RETURN(TieringSight sight, see_collection(session, scope, collection_id, now));
  sight.held = held;
  std::vector<TieringAction> done;
  for (TieringAction& action : due_tiering_actions(sight.state, now)) {
    bool is_done = true;
    if (!is_move(action.step)) {
      QUARRY_RETURN_IF_ERROR(change_notice(session, sight, action, now));
    } else if (moves == TieringMoves::kNone) {
      continue;
    } else {
      QUARRY_ASSIGN_OR_RETURN(is_done, move(session, sight, action, now));
    }
    if (is_done) done.push_back(std::move(action));
  }
  return done;
}

Status for_each_with_rules(catalog::Catalog& catalog, const std::function<Status(const catalog::Resource&)>& visit) {
  return for_each_resource(catalog, {.kind = std::string(kind::kOrganization)}, [&](const catalog::Resource& organization) {
    catalog::ListQuery collections{.kind = std::string(kind::kCollection), .scope = {organization.id, ""}, .all_namespaces = true};
    return for_each_resource(catalog, std::move(collections),
                             [&](const catalog::Resource& collection) { return has_rules(collection) ? visit(collection) : Status(Ok{}); });
  });
}

Result<std::vector<PlannedMove>> plan_tiering(catalog::Catalog& catalog, const catalog::Scope& scope, TimestampUs now) {
  std::vector<PlannedMove> out;
  const catalog::ListQuery query{.kind = std::string(kind::kCollection), .scope = scope};
  QUARRY_RETURN_IF_ERROR(for_each_resource(catalog, query, [&](const catalog::Resource& row) -> Status {
    if (!has_rules(row)) return Ok{};
    PlannedMove planned;
    QUARRY_ASSIGN_OR_RETURN(planned.collection, parse_collection(row.body, scope.organization_id, scope.namespace_id));
    QUARRY_RETURN_IF_ERROR(catalog.read([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(planned.state, load_tiering_state(session, row, now));
      return Ok{};
    }));
    planned.actions = next_tiering_actions(planned.state, now);
    if (!planned.actions.empty()) out.push_back(std::move(planned));
    return Ok{};
  }));
  return out;
}

}  // namespace quarry::pipeline
