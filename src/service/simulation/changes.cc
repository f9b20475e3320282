// Changes of a namespace's documents and collections, and what becomes of those that fail.
#include "service/simulation/simulation.h"

namespace quarry::service::simulation {
namespace {

constexpr uint64_t kIds = 12;
constexpr size_t kMaxCollections = 3;

}  // namespace

// False: the world was to blame, and the disk has told what became of it.
bool NamespaceSimulation::change(NamespaceModel& ns, const std::string& operation, Call call, const Change& apply) {
  Contents after = ns.contents;
  apply(after);
  if (ask(ns.client, operation, std::move(call))) {
    ns.contents = std::move(after);
    return true;
  }
  settle(ns, std::move(after));
  return false;
}

void NamespaceSimulation::settle(NamespaceModel& ns, Contents after) {
  if (power_->is_off()) crash();
  const auto found = inspect([&] { return read(ns); });
  ASSERT_TRUE(found);
  if (*found == ns.contents) return;
  EXPECT_EQ(*found, after) << "what failed took place in part: " << describe(*found) << "\ninstead of " << describe(after) << "\nor "
                           << describe(ns.contents);
  note("it took place");
  for (auto& [name, collection] : after)
    if (const auto before = ns.contents.find(name); before != ns.contents.end() && before->second.numbers != collection.numbers)
      collection.behind.push_back(before->second.numbers);
  ns.contents = std::move(after);
}

void NamespaceSimulation::put_document() {
  NamespaceModel& ns = any_namespace();
  if (ns.contents.empty()) return make_collection();
  auto& [name, collection] = any_of(ns.contents);
  const std::string id = fmt::format("d{}", rng_.below(kIds));
  const auto number = int64_t(rng_.below(1'000));
  const bool is_new = !collection.numbers.contains(id);
  json::object body{{"number", number}};
  if (is_new) {
    body["document_id"] = id;
    body["vectors"] = json::object{{"v", {1.0, 0.001 * double(number), 0.0}}};
  }
  note("put {} {} {}={}", ns.client.ns, name, id, number);
  const std::string operation = is_new ? "create_document" : "patch_document";
  if (collection.state == "frozen" || collection.state == "archived") {
    const auto refused = call(ns.client, operation, at(name, body, id));
    ASSERT_FALSE(refused.ok());
    if (refused.error().kind != ErrorKind::kBadRequest) tolerate(operation, refused.error());
    return;
  }
  change(ns, operation, at(name, std::move(body), id), [&](Contents& contents) {
    contents[name].numbers[id] = number;
    contents[name].used_at = collection.used_at;
  });
}

void NamespaceSimulation::remove_document() {
  NamespaceModel& ns = any_namespace();
  if (ns.contents.empty()) return;
  auto& [name, collection] = any_of(ns.contents);
  if (collection.numbers.empty() || collection.state == "frozen") return;
  const std::string id = any_of(collection.numbers).first;
  note("remove {} {} {}", ns.client.ns, name, id);
  change(ns, "delete_document", at(name, {}, id), [&](Contents& contents) { contents[name].numbers.erase(id); });
}

void NamespaceSimulation::make_collection() {
  NamespaceModel& ns = any_namespace();
  const std::string name = fmt::format("col-{}", rng_.below(kMaxCollections));
  if (ns.contents.contains(name)) return;
  note("collection {} {}", ns.client.ns, name);
  change(ns, "create_collection", {.body = direct_collection_body(name)},
         [&](Contents& contents) { contents[name].used_at = clock_.now_us(); });
}

void NamespaceSimulation::drop_collection() {
  NamespaceModel& ns = any_namespace();
  if (ns.contents.empty()) return;
  const std::string name = any_of(ns.contents).first;
  if (ns.contents.at(name).state == "frozen") return;
  note("drop collection {} {}", ns.client.ns, name);
  change(ns, "delete_collection", at(name), [&](Contents& contents) { contents.erase(name); });
}

void NamespaceSimulation::set_rules() {
  NamespaceModel& ns = any_namespace();
  if (ns.contents.empty()) return;
  const std::string name = any_of(ns.contents).first;
  json::array rules;
  if (!one_in(4)) rules.push_back(json::object{{"rule_type", kAutoEvict}, {"enabled", true}, {"threshold_days", one_in(2) ? 1 : 3}});
  if (one_in(2)) rules.push_back(json::object{{"rule_type", kAutoArchive}, {"enabled", true}, {"threshold_days", one_in(2) ? 2 : 9}});
  if (one_in(3)) rules.push_back(json::object{{"rule_type", kAutoRehydrate}, {"enabled", true}});
  note("rules {} {} {}", ns.client.ns, name, json::serialize(rules));
  change(ns, "update_collection", at(name, {{"tiering_rules", rules}}), [&](Contents& contents) { contents[name].rules = rules; });
}

// The state stays or becomes what was asked for; which, the task tells if it is known.
void NamespaceSimulation::move_collection() {
  NamespaceModel& ns = any_namespace();
  if (ns.contents.empty()) return;
  auto& [name, collection] = any_of(ns.contents);
  static const std::vector<std::string> kStates{"active", "active", "cold", "cold", "cold", "frozen", "archived"};
  const std::string& state = any_of(kStates);
  note("move {} {} from {} to {}", ns.client.ns, name, collection.state, state);
  const bool is_refused = (collection.state == "archived" && state != "archived") || (collection.state == "frozen" && state == "archived");
  auto begun = call(ns.client, "transition_lifecycle", at(name, {{"lifecycle_state", state}, {"async_transition", true}}));
  if (is_refused) {
    ASSERT_FALSE(begun.ok());
    if (begun.error().kind != ErrorKind::kBadRequest) tolerate("transition_lifecycle", begun.error());
    return;
  }
  if (!begun.ok()) tolerate("transition_lifecycle", begun.error());
  const std::string task_id(begun.ok() ? string_member(begun->body.as_object(), "task_id") : "");
  if (begun.ok()) meddle(ns, begun->body.as_object());
  finish();
  if (!is_there(ns)) return;
  CollectionModel moved = collection;
  moved.state = state;
  if (state == "archived") moved.numbers.clear();
  if (state != collection.state) moved.used_at = clock_.now_us();
  const auto task = task_id.empty() ? std::nullopt : find_task(task_id);
  const auto found = inspect([&] { return read(ns); });
  ASSERT_TRUE(found && found->contains(name));
  const bool has_moved = found->at(name).state == state;
  if (task) {
    EXPECT_EQ(has_moved, task->status == TaskStatus::kCompleted || state == "archived" || state == collection.state)
        << to_string(task->status);
    check_error(*task);
  }
  if (has_moved) collection = std::move(moved);
}

void NamespaceSimulation::drop_namespace() {
  if (namespaces_there() > 1) drop_namespace(any_namespace());
}

void NamespaceSimulation::drop_namespace(NamespaceModel& ns) {
  note("drop namespace {}", ns.client.ns);
  const bool is_acknowledged = ask(outside(), "delete_namespace", of(ns)).has_value();
  if (power_->is_off()) crash();
  const bool is_left = is_there(ns);
  EXPECT_FALSE(is_acknowledged && is_left) << ns.client.ns;
  if (is_left) return;
  ns.is_there = false;
  ns.contents.clear();
}

}  // namespace quarry::service::simulation
