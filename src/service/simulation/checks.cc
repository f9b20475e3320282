// What is there, what the server says is there, and what is left on the disk.
#include "service/simulation/simulation.h"

namespace quarry::service::simulation {

std::optional<Numbers> NamespaceSimulation::read_numbers(const NamespaceModel& ns, const std::string& collection) {
  Call documents = at(collection, json::object{});
  documents.query = {{"limit", 1'000}};
  const auto shown = ask(ns.client, "list_documents", std::move(documents));
  if (!shown) return std::nullopt;
  Numbers out;
  for (const json::value& document : shown->at("results").as_array())
    out[std::string(string_member(document.as_object(), "document_id"))] = integer_member(document.as_object(), "number").value_or(-1);
  return out;
}

std::optional<Contents> NamespaceSimulation::read(const NamespaceModel& ns) {
  Contents out;
  const auto listed = ask(ns.client, "list_collections", {.body = json::object{}, .query = {{"limit", 100}}});
  if (!listed) return std::nullopt;
  for (const json::value& row : listed->at("results").as_array()) {
    const std::string name(string_member(row.as_object(), "collection_name"));
    CollectionModel& collection = out[name];
    collection.state = string_member(row.as_object(), "lifecycle_state");
    collection.rules = row.as_object().at("tiering_rules").as_array();
    if (collection.state == "archived") continue;
    auto numbers = read_numbers(ns, name);
    if (!numbers) return std::nullopt;
    collection.numbers = std::move(*numbers);
  }
  return out;
}

void NamespaceSimulation::check(NamespaceModel& ns) {
  const auto held = inspect([&] { return read(ns); });
  ASSERT_TRUE(held);
  EXPECT_EQ(*held, ns.contents) << ns.client.ns << " holds " << describe(*held) << "\nand should hold " << describe(ns.contents);
  if (HasFailure()) return;
  check_served(ns);
  check_search(ns);
}

void NamespaceSimulation::check_served(NamespaceModel& ns) {
  for (auto& [name, collection] : ns.contents) {
    if (collection.state == "archived") continue;
    const auto served = read_numbers(ns, name);
    if (!served) continue;
    const bool is_behind = std::find(collection.behind.begin(), collection.behind.end(), *served) != collection.behind.end();
    CollectionModel shown;
    shown.numbers = *served;
    EXPECT_TRUE(*served == collection.numbers || is_behind) << ns.client.ns << " is served wrong: " << describe({{name, shown}});
    if (!is_behind) collection.behind.clear();
    if (ask(ns.client, "get_lifecycle", at(name))) collection.used_at = clock_.now_us();  // it writes the times of queries
  }
}

// By vectors, over all of the namespace's collections at once: how many documents each id was found in.
void NamespaceSimulation::check_search(const NamespaceModel& ns) {
  json::array names;
  std::map<std::string, int> expected;
  for (const auto& [name, collection] : ns.contents) {
    if (!collection.behind.empty()) return;
    if (collection.state != "archived") names.emplace_back(name);
    for (const auto& [id, number] : collection.numbers)
      if (!id.starts_with("doc_")) ++expected[id];  // the world's own have no vectors
  }
  if (names.empty()) return;
  const auto reply = ask(ns.client, "execute_adhoc_retriever",
                         {.body = json::object{{"collection_identifiers", names}, {"stages", nearest_stages(200)}}});
  if (!reply) return;
  if (string_member(*reply, "status") == "COMPLETED_WITH_ERRORS") {
    EXPECT_TRUE(is_to_blame(json::serialize(*reply))) << json::serialize(*reply);
    return;
  }
  std::map<std::string, int> found;
  for (const json::value& row : reply->at("results").as_array()) ++found[std::string(string_member(row.as_object(), "document_id"))];
  EXPECT_EQ(found, expected) << ns.client.ns << " " << json::serialize(*reply);
}

bool NamespaceSimulation::is_there(const NamespaceModel& ns) {
  return sqlite_->get(catalog::kind::kNamespace, {first_.organization_id, ""}, ns.client.ns).ok();
}

void NamespaceSimulation::check_error(const Task& task) {
  EXPECT_TRUE(task.status != TaskStatus::kFailed || is_to_blame(task.error)) << task.task_id << ": " << task.error;
}

void NamespaceSimulation::check_snapshots() {
  for (const SnapshotModel& snapshot : snapshots_) {
    Call deep = of(namespaces_[snapshot.of], snapshot.id);
    deep.query = {{"deep", true}};
    const auto checked = inspect([&] { return ask(outside(), "verify_snapshot_namespaces", deep); });
    EXPECT_TRUE(checked && bool_member(*checked, "restorable")) << snapshot.id;
  }
}

void NamespaceSimulation::clean_up() {
  note("clean up");
  restart(Weather::kGood);
  follow_rules();
  for (NamespaceModel& ns : namespaces_) {
    for (const auto& [name, collection] : ns.contents)
      if (collection.state == "archived") ok(ns.client, "transition_lifecycle", at(name, {{"lifecycle_state", "archived"}}));
  }
  finish();
  for (const catalog::Resource& row : rows(catalog::kind::kSnapshot)) {
    if (string_member(row.body, "status") != "failed") continue;
    ok(outside(), "delete_snapshot_namespaces", {.path = {{"namespace_identifier", row.namespace_id}, {"snapshot_id", row.id}}});
  }
  sweep();
  check_files();
}

}  // namespace quarry::service::simulation
