// Time that passes, tiering rules that are obeyed meanwhile, and tasks that come to an end.
#include "service/simulation/simulation.h"

namespace quarry::service::simulation {
namespace {

constexpr int64_t kHourUs = 3'600'000'000;  // after which a move by rule that failed is tried again
constexpr auto kPatience = std::chrono::seconds(60);

bool may_move(const CollectionModel& model, const std::string& to, TimestampUs now) {
  const TieringRules rules = read_tiering_rules({{"tiering_rules", model.rules}});
  const auto is_over = [&](std::optional<int64_t> days) { return days && now - model.used_at >= *days * pipeline::kDayUs; };
  if (model.state == "active" && to == "cold") return is_over(rules.evict_after_days);
  if (model.state == "cold" && to == "active") return rules.rehydrate;
  if (model.state == "cold" && to == "archived") return is_over(rules.archive_after_days) && is_over(8);
  return false;
}

}  // namespace

void NamespaceSimulation::pass_time() {
  static const std::vector<int64_t> kHours{1, 25, 25, 73, 193};
  for (uint64_t i = rng_.below(3); i < 3; ++i) {
    const int64_t hours = any_of(kHours);
    note("{} hours pass", hours);
    clock_.advance_us(hours * kHourUs);
    follow_rules();
  }
}

// Until every rule that is due was obeyed, or the store has refused.
void NamespaceSimulation::follow_rules() {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    finish();
    engine_->flush_queries();
    if (power_->is_off()) continue;
    if (!is_rule_due() && !has_open_tasks()) break;
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "a rule that is due is not obeyed";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (NamespaceModel& ns : namespaces_)
    if (ns.is_there) absorb_moves(ns);
}

// Until no task is left, over any number of crashes.
void NamespaceSimulation::finish() {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    if (power_->is_off()) crash();
    if (!has_open_tasks() && !power_->is_off()) return;
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "a task does not end";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

bool NamespaceSimulation::has_open_tasks() {
  bool found = false;
  const Status looked = sqlite_->read([&](catalog::Session& session) -> Status {
    for (const NamespaceModel& ns : namespaces_) {
      catalog::TaskQuery query{.scope = scope_of(ns),
                               .statuses = {TaskStatus::kPending, TaskStatus::kQueued, TaskStatus::kInProgress, TaskStatus::kProcessing},
                               .limit = 1};
      QUARRY_ASSIGN_OR_RETURN(const auto tasks, session.list_tasks(query, nullptr));
      found = found || !tasks.empty();
    }
    return Ok{};
  });
  EXPECT_TRUE(looked.ok());
  return found;
}

bool NamespaceSimulation::is_rule_due() {
  for (const NamespaceModel& ns : namespaces_) {
    if (!ns.is_there) continue;
    const auto plan = pipeline::plan_tiering(*sqlite_, scope_of(ns), clock_.now_us());
    EXPECT_TRUE(plan.ok());
    for (const pipeline::PlannedMove& move : *plan)
      if (move.actions.front().due_at <= clock_.now_us() && !has_failed_lately(scope_of(ns), move.collection.collection_id)) return true;
  }
  return false;
}

// Such a move is held back for a while, by the process that tried it.
bool NamespaceSimulation::has_failed_lately(const catalog::Scope& scope, const std::string& collection_id) {
  bool found = false;
  const Status looked = sqlite_->read([&](catalog::Session& session) -> Status {
    catalog::TaskQuery query{.scope = scope,
                             .statuses = {TaskStatus::kFailed},
                             .task_type = std::string(pipeline::kLifecycleTaskType),
                             .limit = 1'000};
    QUARRY_ASSIGN_OR_RETURN(const auto tasks, session.list_tasks(query, nullptr));
    for (const Task& task : tasks) {
      if (string_member(task.inputs, "collection_id") != collection_id) continue;
      EXPECT_TRUE(is_to_blame(task.error)) << task.error;
      found = found || task.created_at >= std::max(booted_at_, clock_.now_us() - kHourUs + 1);
    }
    return Ok{};
  });
  EXPECT_TRUE(looked.ok());
  return found;
}

void NamespaceSimulation::absorb_moves(NamespaceModel& ns) {
  for (const catalog::Resource& row : rows(catalog::kind::kCollection)) {
    const auto at = row.namespace_id == ns.client.ns ? ns.contents.find(row.name) : ns.contents.end();
    if (at == ns.contents.end()) continue;
    CollectionModel& model = at->second;
    const std::string state(string_member(row.body, "lifecycle_state"));
    if (state == model.state) continue;
    note("{} {} became {} by rule", ns.client.ns, row.name, state);
    EXPECT_TRUE(may_move(model, state, clock_.now_us()))
        << ns.client.ns << " " << row.name << " went from " << model.state << " to " << state;
    model.state = state;
    model.used_at = clock_.now_us();
    if (state == "archived") model.numbers.clear();
  }
}

}  // namespace quarry::service::simulation
