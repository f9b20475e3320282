// Namespaces that are written to, moved between tiers by hand and by rules, snapshotted, restored, imported and deleted at random on a
// machine that fails, beside a plain map of what they have to hold. For tests only.
//
// Invariants held after every step. What was acknowledged is on the disk and in the catalog. What failed took place whole or not at all,
// once its task has ended, over any number of crashes. A restored namespace holds what its snapshot held. The server answers as the map
// does; only where a write failed after it took place may it answer as before. A rule moves no collection before its days are over, and
// every one that is due unless the store refuses. After a clean-up no file is left that the catalog does not know.
#pragma once

#include "service/simulation/model.h"
#include "service/simulation/world.h"

namespace quarry::service::simulation {

class NamespaceSimulation : public FaultyWorld {
 protected:
  explicit NamespaceSimulation(uint64_t seed) : FaultyWorld(seed) {}
  void SetUp() override;

  void step();
  void check(NamespaceModel& ns);
  void check_snapshots();
  // Puts an end to what is half done, as an operator and the daily sweeps would, and looks for files that nobody knows.
  void clean_up();

  std::vector<NamespaceModel> namespaces_;

 private:
  using Change = std::function<void(Contents&)>;

  NamespaceModel& any_namespace();
  size_t namespaces_there() const;
  static Call at(const std::string& collection, json::value body = {}, const std::string& document = {});
  Call of(const NamespaceModel& ns, const std::string& snapshot_id = {}, json::object body = {}) const;

  // changes.cc
  bool change(NamespaceModel& ns, const std::string& operation, Call call, const Change& apply);
  void settle(NamespaceModel& ns, Contents after);
  void put_document();
  void remove_document();
  void make_collection();
  void drop_collection();
  void set_rules();
  void move_collection();
  void drop_namespace();
  void drop_namespace(NamespaceModel& ns);

  // snapshots.cc
  void take_snapshot();
  void import_snapshot();
  void adopt_snapshots(size_t of, bool is_imported, const Contents& contents);
  void restore_in_place();
  void restore_aside();
  void drop_snapshot();
  void drop_replaced_tables();
  void meddle(NamespaceModel& ns, const json::object& begun);
  Contents restored(const SnapshotModel& snapshot) const;

  // rules.cc
  void pass_time();
  void follow_rules();
  void finish();
  bool has_open_tasks();
  bool is_rule_due();
  bool has_failed_lately(const catalog::Scope& scope, const std::string& collection_id);
  void absorb_moves(NamespaceModel& ns);

  // checks.cc
  std::optional<Contents> read(const NamespaceModel& ns);
  std::optional<Numbers> read_numbers(const NamespaceModel& ns, const std::string& collection);
  void check_served(NamespaceModel& ns);
  void check_search(const NamespaceModel& ns);
  bool is_there(const NamespaceModel& ns);
  void check_error(const Task& task);  // that the world is to blame if it failed

  catalog::Scope scope_of(const NamespaceModel& ns) const { return {first_.organization_id, ns.client.ns}; }

  std::vector<SnapshotModel> snapshots_;
  std::set<std::string> known_snapshots_;
  size_t asides_ = 0;
};

}  // namespace quarry::service::simulation
