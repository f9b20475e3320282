// Namespaces that are written to, moved between tiers, snapshotted, restored, imported, deleted and restarted at random, beside a plain map
// of what they have to hold. QUARRY_SNAPSHOT_SEED=n repeats one seed, or begins there; QUARRY_SNAPSHOT_SEEDS=n runs so many.
#include <fmt/format.h>

#include <set>

#include "service/test_snapshot_world.h"

namespace quarry::service {
namespace {

constexpr int kSteps = 60;
constexpr uint64_t kSeeds = 8, kIds = 12;
constexpr size_t kMaxCollections = 3, kMaxNamespaces = 4, kMaxSnapshots = 12;

struct CollectionModel {
  std::string state = "active";
  std::map<std::string, int64_t> numbers;  // by document id

  bool operator==(const CollectionModel&) const = default;
};
using Contents = std::map<std::string, CollectionModel>;  // by the collection's name

std::string describe(const Contents& contents) {
  std::string out;
  for (const auto& [name, collection] : contents) {
    out += fmt::format("{} {}:", name, collection.state);
    for (const auto& [id, number] : collection.numbers) out += fmt::format(" {}={}", id, number);
    out += "; ";
  }
  return out;
}

struct NamespaceModel {
  Client client;
  bool is_there = true;
  Contents contents;
};
struct SnapshotModel {
  std::string id;
  size_t of = 0;  // index of its namespace
  bool is_imported = false;
  Contents contents;
};

class SnapshotSimulation : public SnapshotWorld, public testing::WithParamInterface<uint64_t> {
 protected:
  void SetUp() override {
    SnapshotWorld::SetUp();
    namespaces_.push_back({client_, true, {}});
    for (int i = 0; i < 3; ++i) {
      const std::string id = fmt::format("d{}", i);
      write("create_document", namespaces_[0], "papers", {{"document_id", id}, {"number", i}, {"vectors", {{"v", {1.0, 0.1 * i, 0.0}}}}});
    }
    // What the world has put there has ids of its own.
    namespaces_[0].contents["papers"].numbers = read(namespaces_[0]).at("papers").numbers;
  }

  // ---- draws ----------------------------------------------------------------------------------------------------------
  bool one_in(uint64_t n) { return rng_.below(n) == 0; }
  template <typename List>
  auto& any_of(List& list) {
    auto it = list.begin();
    std::advance(it, rng_.below(list.size()));
    return *it;
  }
  NamespaceModel& any_namespace() {
    for (;;)
      if (NamespaceModel& ns = any_of(namespaces_); ns.is_there) return ns;
  }
  size_t namespaces_there() const {
    return size_t(std::count_if(namespaces_.begin(), namespaces_.end(), [](const NamespaceModel& ns) { return ns.is_there; }));
  }

  void step() {
    static const std::vector<std::pair<uint64_t, void (SnapshotSimulation::*)()>> kChoices{
        {24, &SnapshotSimulation::put_document}, {6, &SnapshotSimulation::remove_document}, {3, &SnapshotSimulation::make_collection},
        {1, &SnapshotSimulation::drop_collection}, {8, &SnapshotSimulation::move_collection}, {6, &SnapshotSimulation::take_snapshot},
        {5, &SnapshotSimulation::restore_in_place}, {2, &SnapshotSimulation::restore_aside}, {2, &SnapshotSimulation::import_snapshot},
        {1, &SnapshotSimulation::drop_snapshot}, {1, &SnapshotSimulation::drop_namespace}, {2, &SnapshotSimulation::drop_replaced_tables},
        {2, &SnapshotSimulation::restart}};
    uint64_t total = 0;
    for (const auto& [weight, choice] : kChoices) total += weight;
    uint64_t drawn = rng_.below(total);
    for (const auto& [weight, choice] : kChoices) {
      if (drawn < weight) return (this->*choice)();
      drawn -= weight;
    }
  }

  // ---- changes --------------------------------------------------------------------------------------------------------
  Call at(const std::string& collection, json::value body = {}, const std::string& document = {}) {
    return {.path = {{"collection_identifier", collection}, {"document_id", document}}, .body = std::move(body)};
  }
  void write(const std::string& operation, const NamespaceModel& ns, const std::string& collection, json::object body,
             const std::string& document = {}) {
    ok(ns.client, operation, at(collection, std::move(body), document));
  }

  void put_document() {
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
    if (collection.state == "frozen") {
      EXPECT_EQ(error_of(ns.client, operation, at(name, body, id)), ErrorKind::kBadRequest);
      return;
    }
    write(operation, ns, name, std::move(body), id);
    collection.numbers[id] = number;
  }

  void remove_document() {
    NamespaceModel& ns = any_namespace();
    if (ns.contents.empty()) return;
    auto& [name, collection] = any_of(ns.contents);
    if (collection.numbers.empty() || collection.state == "frozen") return;
    const std::string id = any_of(collection.numbers).first;
    note("remove {} {} {}", ns.client.ns, name, id);
    write("delete_document", ns, name, {}, id);
    collection.numbers.erase(id);
  }

  void make_collection() {
    NamespaceModel& ns = any_namespace();
    const std::string name = fmt::format("col-{}", rng_.below(kMaxCollections));
    if (ns.contents.contains(name)) return;
    note("collection {} {}", ns.client.ns, name);
    direct_collection(ns.client, name);
    ns.contents[name] = {};
  }

  void drop_collection() {
    NamespaceModel& ns = any_namespace();
    if (ns.contents.empty()) return;
    const std::string name = any_of(ns.contents).first;
    if (ns.contents.at(name).state == "frozen") return;
    note("drop collection {} {}", ns.client.ns, name);
    write("delete_collection", ns, name, {});
    ns.contents.erase(name);
  }

  void move_collection() {
    NamespaceModel& ns = any_namespace();
    if (ns.contents.empty()) return;
    auto& [name, collection] = any_of(ns.contents);
    static const std::vector<std::string> kStates{"active", "cold", "cold", "frozen"};
    const std::string& state = any_of(kStates);
    note("move {} {} to {}", ns.client.ns, name, state);
    const json::object begun = ok(ns.client, "transition_lifecycle", at(name, {{"lifecycle_state", state}, {"async_transition", true}}));
    if (begun.contains("task_id")) finish(ns, begun);
    collection.state = state;
  }

  void take_snapshot() {
    if (snapshots_.size() >= kMaxSnapshots) return drop_snapshot();
    NamespaceModel& ns = any_namespace();
    const json::object begun = ok(outside(), "create_snapshot_namespaces", of(ns));
    const std::string id(string_member(begun, "snapshot_id"));
    note("snapshot {} {}", ns.client.ns, id);
    finish(ns, begun);
    snapshots_.push_back({id, size_t(&ns - namespaces_.data()), false, ns.contents});
  }

  void import_snapshot() {
    if (snapshots_.empty() || snapshots_.size() >= kMaxSnapshots) return;
    const SnapshotModel source = any_of(snapshots_);
    NamespaceModel& ns = any_namespace();
    const json::object shown = ok(outside(), "get_snapshot_namespaces", of(namespaces_[source.of], source.id));
    const json::object from{{"bucket", "objects"}, {"prefix", shown.at("s3_prefix")}};
    const json::object begun = ok(outside(), "create_snapshot_namespaces", of(ns, "", {{"import_from", from}}));
    note("import {} into {} as {}", source.id, ns.client.ns, string_member(begun, "snapshot_id"));
    finish(ns, begun);
    snapshots_.push_back({std::string(string_member(begun, "snapshot_id")), size_t(&ns - namespaces_.data()), true, source.contents});
  }

  void restore_in_place() {
    if (snapshots_.empty()) return;
    const SnapshotModel& snapshot = any_of(snapshots_);
    if (snapshot.is_imported) return;  // its ids may be another namespace's
    NamespaceModel& ns = namespaces_[snapshot.of];
    note("restore {} in place in {}", snapshot.id, ns.client.ns);
    const json::object begun = ok(outside(), "restore_snapshot_namespaces", of(ns, snapshot.id, {{"confirm_in_place", true}}));
    finish_restore(ns, snapshot, begun);
    ns.is_there = true;
    ns.contents = snapshot.contents;
  }

  void restore_aside() {
    if (snapshots_.empty() || namespaces_there() >= kMaxNamespaces) return;
    const SnapshotModel& snapshot = any_of(snapshots_);
    const std::string name = fmt::format("aside-{}", namespaces_.size());
    const json::object begun =
        ok(outside(), "restore_snapshot_namespaces", of(namespaces_[snapshot.of], snapshot.id, {{"target_namespace_name", name}}));
    NamespaceModel made{client_, true, snapshot.contents};
    made.client.ns = string_member(begun, "target_namespace_id");
    note("restore {} into {}", snapshot.id, made.client.ns);
    finish_restore(namespaces_[snapshot.of], snapshot, begun);
    namespaces_.push_back(std::move(made));
  }

  void drop_snapshot() {
    if (snapshots_.empty()) return;
    const auto at = snapshots_.begin() + std::ptrdiff_t(rng_.below(snapshots_.size()));
    note("drop snapshot {}", at->id);
    ok(outside(), "delete_snapshot_namespaces", of(namespaces_[at->of], at->id));
    snapshots_.erase(at);
  }

  void drop_namespace() {
    if (namespaces_there() < 2) return;
    NamespaceModel& ns = any_namespace();
    note("drop namespace {}", ns.client.ns);
    ok(outside(), "delete_namespace", of(ns));
    ns.is_there = false;
    ns.contents.clear();
  }

  void drop_replaced_tables() {
    note("drop replaced tables");
    const auto drop = [&](const catalog::Resource& row) -> Status {
      Status dropped = vectors_->drop_table(row.id);
      if (!dropped.ok() && dropped.error().kind != ErrorKind::kNotFound) return dropped;
      return objects::remove_prefix(*store_, std::string(string_member(row.body, "prefix")) + "/");
    };
    EXPECT_TRUE(pipeline::drop_retired_tables(*catalog_, drop, INT64_MAX).ok());
  }

  void restart() {
    note("restart");
    engine_.reset();
    api_.reset();
    vectors_->close();
    vectors_ = mvs::VectorStore::open({.store = store_.get(), .executor = &executor_, .local_folder = dir_ / "local"}).value();
    catalog_.reset();
    catalog_ = catalog::open_sqlite_catalog(dir_ / "catalog.db", clock_, {.exclusive = true}).value();
    make_engine();
    reopen_api();
    ASSERT_TRUE(engine_->start().ok());
  }

  Call of(const NamespaceModel& ns, const std::string& snapshot_id = {}, json::object body = {}) const {
    return {.path = {{"namespace_identifier", ns.client.ns}, {"snapshot_id", snapshot_id}}, .body = std::move(body)};
  }

  // Waits for the task, at times over a restart.
  void finish(const NamespaceModel& ns, const json::object& begun) {
    if (one_in(4)) restart();
    ASSERT_EQ(end_of_task(ns.client, begun), "COMPLETED");
  }
  // A namespace that is not there shows no tasks; its snapshots tell.
  void finish_restore(const NamespaceModel& ns, const SnapshotModel& snapshot, const json::object& begun) {
    if (one_in(4)) restart();
    const std::string task_id(string_member(begun, "task_id"));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (;;) {
      const Task task = task_of(task_id);
      if (is_terminal(task.status)) {
        ASSERT_EQ(task.status, TaskStatus::kCompleted) << task.error;
        break;
      }
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    const json::object shown = ok(outside(), "get_snapshot_namespaces", of(ns, snapshot.id));
    EXPECT_TRUE(bool_member(shown.at("last_restore").as_object(), "complete"));
  }
  Task task_of(const std::string& task_id) {
    Task task;
    EXPECT_TRUE(catalog_
                    ->read([&](catalog::Session& session) -> Status {
                      QUARRY_ASSIGN_OR_RETURN(task, session.get_task_any(task_id));
                      return Ok{};
                    })
                    .ok());
    return task;
  }

  // ---- what is there --------------------------------------------------------------------------------------------------
  Contents read(const NamespaceModel& ns) {
    Contents out;
    const json::object listed = ok(ns.client, "list_collections", {.body = json::object{}, .query = {{"limit", 100}}});
    for (const json::value& row : listed.at("results").as_array()) {
      const std::string name(string_member(row.as_object(), "collection_name"));
      CollectionModel& collection = out[name];
      collection.state = string_member(ok(ns.client, "get_lifecycle", at(name)), "lifecycle_state");
      Call documents = at(name, json::object{});
      documents.query = {{"limit", 1'000}};
      const json::object shown = ok(ns.client, "list_documents", std::move(documents));
      for (const json::value& document : shown.at("results").as_array())
        collection.numbers[std::string(string_member(document.as_object(), "document_id"))] =
            integer_member(document.as_object(), "number").value_or(-1);
    }
    return out;
  }

  // By vectors, over all of the namespace's collections at once: how many documents each id was found in.
  std::map<std::string, int> search(const NamespaceModel& ns) {
    std::map<std::string, int> out;
    json::array names;
    for (const auto& [name, collection] : ns.contents) names.emplace_back(name);
    if (names.empty()) return out;
    const json::object asked{{"collection_identifiers", names}, {"stages", nearest_stages(200)}};
    const json::object found = ok(ns.client, "execute_adhoc_retriever", {.body = asked});
    for (const json::value& row : found.at("results").as_array()) ++out[std::string(string_member(row.as_object(), "document_id"))];
    return out;
  }

  void check(const NamespaceModel& ns) {
    const Contents found = read(ns);
    EXPECT_EQ(found, ns.contents) << ns.client.ns << " holds " << describe(found) << "\nand should hold " << describe(ns.contents);
    std::map<std::string, int> expected;
    for (const auto& [name, collection] : ns.contents)
      for (const auto& [id, number] : collection.numbers)
        if (!id.starts_with("doc_")) ++expected[id];  // the world's own have no vectors
    EXPECT_EQ(search(ns), expected) << ns.client.ns;
  }

  template <typename... Args>
  void note(fmt::format_string<Args...> text, Args&&... args) {
    trace_.push_back(fmt::format(text, std::forward<Args>(args)...));
  }

  Rng rng_{GetParam()};
  std::vector<NamespaceModel> namespaces_;
  std::vector<SnapshotModel> snapshots_;
  std::vector<std::string> trace_;
};

TEST_P(SnapshotSimulation, AgreesWithAPlainMap) {
  for (int i = 0; i < kSteps && !HasFailure(); ++i) {
    step();
    check(any_namespace());
  }
  for (const NamespaceModel& ns : namespaces_)
    if (ns.is_there && !HasFailure()) check(ns);
  for (const SnapshotModel& snapshot : snapshots_) {
    if (HasFailure()) break;
    Call deep = of(namespaces_[snapshot.of], snapshot.id);
    deep.query = {{"deep", true}};
    EXPECT_TRUE(bool_member(ok(outside(), "verify_snapshot_namespaces", std::move(deep)), "restorable")) << snapshot.id;
  }
  if (!HasFailure()) return;
  std::string told = fmt::format("again: QUARRY_SNAPSHOT_SEED={} build/release/bin/service_test --gtest_filter='*SnapshotSimulation*'\n",
                                 GetParam());
  for (const std::string& line : trace_) told += "  " + line + "\n";
  ADD_FAILURE() << told;
}

const SeedRange kRange = seeds_from_environment("QUARRY_SNAPSHOT", kSeeds);
INSTANTIATE_TEST_SUITE_P(Seeds, SnapshotSimulation, testing::Range(kRange.first, kRange.first + kRange.count),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace quarry::service
