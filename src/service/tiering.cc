// What became of collections' lifecycles, and what the tiering rules will do next.
#include <fmt/format.h>

#include <algorithm>

#include "service/binding.h"
#include "service/collections.h"
#include "service/json_access.h"
#include "service/listing.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

using pipeline::TieringStep;

Result<Reply> list_lifecycle_events(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(const PageRequest page, parse_page(request));
  catalog::ListQuery query{.kind = std::string(catalog::kind::kLifecycleEvent), .scope = namespace_scope(context)};
  if (const auto identifier = string_member(request.query, "collection_identifier"); !identifier.empty()) {
    QUARRY_ASSIGN_OR_RETURN(const auto collection, find_resource(context, deps, catalog::kind::kCollection, identifier));
    query.parent_id = collection.id;
  }
  QUARRY_RETURN_IF_ERROR(set_page(page, query));
  QUARRY_ASSIGN_OR_RETURN(json::object reply, list_resources(deps, query, page, [](const catalog::Resource& event) {
                            return Result<json::object>(event.body);
                          }));
  return Reply(std::move(reply));
}

// ---- the dry run ------------------------------------------------------------------------------------------------------

struct Balance {
  uint64_t memory_bytes_freed = 0, stored_bytes_removed = 0, bytes_read_back = 0, documents_removed = 0;

  void add(const Balance& other) {
    memory_bytes_freed += other.memory_bytes_freed;
    stored_bytes_removed += other.stored_bytes_removed;
    bytes_read_back += other.bytes_read_back;
    documents_removed += other.documents_removed;
  }
  void write_to(json::object& shown) const {
    shown["memory_bytes_freed"] = memory_bytes_freed;
    shown["stored_bytes_removed"] = stored_bytes_removed;
    shown["bytes_read_back"] = bytes_read_back;
    shown["documents_removed"] = documents_removed;
  }
};

Balance balance_of(TieringStep step, const pipeline::HeldData& held) {
  switch (step) {
    case TieringStep::kEvict: return {.memory_bytes_freed = held.memory_bytes, .bytes_read_back = held.bytes};
    case TieringStep::kRehydrate: return {.bytes_read_back = held.bytes};
    case TieringStep::kArchive:
    case TieringStep::kAnnounceArchive: return {.stored_bytes_removed = held.bytes, .documents_removed = held.documents};
    case TieringStep::kCancelArchive: return {};
  }
  return {};
}

std::string_view effect_of(TieringStep step) {
  switch (step) {
    case TieringStep::kEvict:
      return "Searches answer the same from the object store, and read the collection's files unless the cold cache holds them.";
    case TieringStep::kRehydrate: return "The collection's files are read once; searches are served from memory again.";
    case TieringStep::kAnnounceArchive: return "An event announces the archive; a query takes it back.";
    case TieringStep::kArchive: return "The documents are removed for good; a query before that time takes it back.";
    case TieringStep::kCancelArchive: return "The announced archive is taken back.";
  }
  return {};
}

struct Due {
  uint64_t actions = 0;
  Balance balance;
};

json::object show_action(const pipeline::PlannedMove& planned, const pipeline::TieringAction& action,
                         const std::optional<pipeline::HeldData>& held, TimestampUs now, Due& due) {
  const pipeline::TieringState& state = planned.state;
  json::object shown{{"collection_id", planned.collection.collection_id},
                     {"collection_name", planned.collection.name},
                     {"lifecycle_state", to_string(state.lifecycle)},
                     {"action", to_string(action.step)},
                     {"rule", rule_of(action.step)},
                     {"due_at", format_timestamp(action.due_at)},
                     {"is_due", action.due_at <= now},
                     {"reason", action.reason},
                     {"effect", effect_of(action.step)},
                     {"idle_since", format_timestamp(idle_since(state))}};
  if (state.queried_at != 0) shown["last_queried_at"] = format_timestamp(state.queried_at);
  if (action.archive_at != 0) shown["archive_at"] = format_timestamp(action.archive_at);
  const Balance balance = held ? balance_of(action.step, *held) : Balance{};
  if (held) {
    shown["documents"] = held->documents;
    balance.write_to(shown);
  }
  if (action.due_at <= now) {
    ++due.actions;
    if (action.step != TieringStep::kAnnounceArchive) due.balance.add(balance);
  }
  return shown;
}

Result<Reply> plan_lifecycle(const RequestContext& context, const Request&, const Dependencies& deps) {
  if (deps.engine) deps.engine->flush_queries();
  const TimestampUs now = deps.clock->now_us();
  QUARRY_ASSIGN_OR_RETURN(const auto plan, pipeline::plan_tiering(*deps.catalog, namespace_scope(context), now));
  Due due;
  std::vector<std::pair<TimestampUs, json::object>> ordered;
  for (const auto& planned : plan) {
    const auto held = pipeline::held_data(*deps.vectors, planned.collection, context.internal_id);
    for (const auto& action : planned.actions) ordered.emplace_back(action.due_at, show_action(planned, action, held, now, due));
  }
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  json::array actions;
  for (auto& [due_at, shown] : ordered) actions.push_back(std::move(shown));
  json::object totals{{"actions", due.actions}};
  due.balance.write_to(totals);
  return Reply(json::object{{"at", format_timestamp(now)}, {"actions", std::move(actions)}, {"due", std::move(totals)}});
}

}  // namespace

void bind_tiering(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "list_lifecycle_events", list_lifecycle_events);
  bind_operation(table, deps, "plan_lifecycle", plan_lifecycle);
}

}  // namespace quarry::service
