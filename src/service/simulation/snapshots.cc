// Snapshots that are taken, imported, brought back and deleted, while the world and other requests meddle.
#include "service/simulation/simulation.h"

namespace quarry::service::simulation {
namespace {

constexpr size_t kMaxNamespaces = 4, kMaxSnapshots = 12;

}  // namespace

// Whatever may happen while a task runs.
void NamespaceSimulation::meddle(NamespaceModel& ns, const json::object& begun) {
  const Call its_task{.path = {{"task_id", std::string(string_member(begun, "task_id"))}}, .body = {}, .query = {}, .headers = {}};
  switch (rng_.below(16)) {
    case 0:
    case 1: return restart();
    case 2:
    case 3: return crash();
    case 4:
    case 5:
    case 6:
    case 7: {
      const uint64_t requests = rng_.below(80);
      note("the power goes in {} requests", requests);
      return power_->fail_after(requests);
    }
    case 8: {
      note("end the task");
      (void)call(ns.client, "kill_task", its_task);  // refused where it is over
      return;
    }
    case 9:
      if (ns.is_there && namespaces_there() > 1) drop_namespace(ns);
      return;
    default: return;
  }
}

void NamespaceSimulation::take_snapshot() {
  if (snapshots_.size() >= kMaxSnapshots) return drop_snapshot();
  NamespaceModel& ns = any_namespace();
  const Contents contents = ns.contents;
  note("snapshot of {}", ns.client.ns);
  if (const auto begun = ask(outside(), "create_snapshot_namespaces", of(ns))) meddle(ns, *begun);
  finish();
  adopt_snapshots(size_t(&ns - namespaces_.data()), false, contents);
}

void NamespaceSimulation::import_snapshot() {
  if (snapshots_.empty() || snapshots_.size() >= kMaxSnapshots) return;
  const SnapshotModel source = any_of(snapshots_);
  NamespaceModel& ns = any_namespace();
  const auto shown = ask(outside(), "get_snapshot_namespaces", of(namespaces_[source.of], source.id));
  if (!shown) return;
  const json::object from{{"bucket", "objects"}, {"prefix", shown->at("s3_prefix")}};
  note("import {} into {}", source.id, ns.client.ns);
  if (const auto begun = ask(outside(), "create_snapshot_namespaces", of(ns, "", {{"import_from", from}}))) meddle(ns, *begun);
  finish();
  adopt_snapshots(size_t(&ns - namespaces_.data()), true, source.contents);
}

// Those that are new: whole, or failed through no fault of the server.
void NamespaceSimulation::adopt_snapshots(size_t of, bool is_imported, const Contents& contents) {
  for (const catalog::Resource& row : rows(catalog::kind::kSnapshot)) {
    if (row.namespace_id != namespaces_[of].client.ns || !known_snapshots_.insert(row.id).second) continue;
    const std::string status(string_member(row.body, "status"));
    note("{} is {}", row.id, status);
    if (status == "completed") {
      snapshots_.push_back({row.id, of, is_imported, contents});
      continue;
    }
    EXPECT_EQ(status, "failed") << row.id;
    const auto error = string_member(row.body, "error");
    EXPECT_TRUE(is_to_blame(error) || error == "the task was cancelled") << error;
  }
}

Contents NamespaceSimulation::restored(const SnapshotModel& snapshot) const {
  Contents out = snapshot.contents;
  for (auto& [name, collection] : out) {
    collection.behind.clear();
    collection.used_at = clock_.now_us();
  }
  return out;
}

void NamespaceSimulation::restore_in_place() {
  if (snapshots_.empty()) return;
  const SnapshotModel snapshot = any_of(snapshots_);
  if (snapshot.is_imported) return;  // its ids may be another namespace's
  NamespaceModel& ns = namespaces_[snapshot.of];
  note("restore {} in place in {}", snapshot.id, ns.client.ns);
  const auto begun = ask(outside(), "restore_snapshot_namespaces", of(ns, snapshot.id, {{"confirm_in_place", true}}));
  if (begun) meddle(ns, *begun);
  finish();
  const auto task = begun ? find_task(std::string(string_member(*begun, "task_id"))) : std::nullopt;
  if (task) check_error(*task);
  const bool is_known = task.has_value(), is_done = is_known && task->status == TaskStatus::kCompleted;
  if (!is_there(ns)) {
    EXPECT_FALSE(ns.is_there || is_done) << ns.client.ns << " is gone";
    return;
  }
  const Contents wanted = restored(snapshot);
  const auto found = inspect([&] { return read(ns); });
  ASSERT_TRUE(found);
  if (*found == wanted && (is_done || !is_known)) {
    ns.is_there = true;
    ns.contents = wanted;
    return;
  }
  EXPECT_TRUE(ns.is_there && !is_done && *found == ns.contents)
      << "after a restore that " << (is_done ? "was done" : "failed") << ": " << describe(*found) << "\ninstead of " << describe(wanted)
      << "\nor " << describe(ns.contents);
}

void NamespaceSimulation::restore_aside() {
  if (snapshots_.empty() || namespaces_there() >= kMaxNamespaces) return;
  const SnapshotModel snapshot = any_of(snapshots_);
  const std::string name = fmt::format("aside-{}", ++asides_);
  note("restore {} into {}", snapshot.id, name);
  const auto begun =
      ask(outside(), "restore_snapshot_namespaces", of(namespaces_[snapshot.of], snapshot.id, {{"target_namespace_name", name}}));
  if (begun) meddle(namespaces_[snapshot.of], *begun);
  finish();
  const auto task = begun ? find_task(std::string(string_member(*begun, "task_id"))) : std::nullopt;
  NamespaceModel made{client_, true, restored(snapshot)};
  made.client.ns.clear();
  for (const catalog::Resource& row : rows(catalog::kind::kNamespace))
    if (row.name == name) made.client.ns = row.id;
  if (task) {
    EXPECT_EQ(task->status == TaskStatus::kCompleted, !made.client.ns.empty()) << to_string(task->status);
    check_error(*task);
  }
  if (!made.client.ns.empty()) namespaces_.push_back(std::move(made));
}

void NamespaceSimulation::drop_snapshot() {
  if (snapshots_.empty()) return;
  const auto at = snapshots_.begin() + std::ptrdiff_t(rng_.below(snapshots_.size()));
  note("drop snapshot {}", at->id);
  const bool is_acknowledged = ask(outside(), "delete_snapshot_namespaces", of(namespaces_[at->of], at->id)).has_value();
  if (power_->is_off()) crash();
  std::string status;
  for (const catalog::Resource& row : rows(catalog::kind::kSnapshot))
    if (row.id == at->id) status = string_member(row.body, "status");
  EXPECT_FALSE(is_acknowledged && !status.empty()) << status;
  if (status != "completed") snapshots_.erase(at);
}

void NamespaceSimulation::drop_replaced_tables() {
  note("drop replaced tables");
  const Status dropped = pipeline::drop_all_retired(*catalog_, *vectors_, *store_, INT64_MAX);
  if (!dropped.ok()) tolerate("drop", dropped.error());
}

}  // namespace quarry::service::simulation
