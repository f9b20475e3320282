#include "service/simulation/simulation.h"

namespace quarry::service::simulation {

void NamespaceSimulation::SetUp() {
  FaultyWorld::SetUp();
  namespaces_.push_back({client_, true, {}});
  for (int i = 0; i < 3; ++i)
    add_document(client_, "papers", {{"document_id", fmt::format("d{}", i)}, {"number", i}, {"vectors", {{"v", {1.0, 0.1 * i, 0.0}}}}});
  // What the world has put there has ids of its own.
  namespaces_[0].contents = inspect([&] { return read(namespaces_[0]); }).value();
  namespaces_[0].contents.at("papers").used_at = clock_.now_us();
}

NamespaceModel& NamespaceSimulation::any_namespace() {
  for (;;)
    if (NamespaceModel& ns = any_of(namespaces_); ns.is_there) return ns;
}

size_t NamespaceSimulation::namespaces_there() const {
  return size_t(std::count_if(namespaces_.begin(), namespaces_.end(), [](const NamespaceModel& ns) { return ns.is_there; }));
}

Call NamespaceSimulation::at(const std::string& collection, json::value body, const std::string& document) {
  return {.path = {{"collection_identifier", collection}, {"document_id", document}}, .body = std::move(body), .query = {}, .headers = {}};
}

Call NamespaceSimulation::of(const NamespaceModel& ns, const std::string& snapshot_id, json::object body) const {
  return {.path = {{"namespace_identifier", ns.client.ns}, {"snapshot_id", snapshot_id}},
          .body = std::move(body),
          .query = {},
          .headers = {}};
}

void NamespaceSimulation::step() {
  static const std::vector<std::pair<uint64_t, void (NamespaceSimulation::*)()>> kChoices{
      {24, &NamespaceSimulation::put_document},    {6, &NamespaceSimulation::remove_document},
      {4, &NamespaceSimulation::make_collection},  {2, &NamespaceSimulation::drop_collection},
      {4, &NamespaceSimulation::set_rules},        {8, &NamespaceSimulation::move_collection},
      {6, &NamespaceSimulation::take_snapshot},    {5, &NamespaceSimulation::restore_in_place},
      {3, &NamespaceSimulation::restore_aside},    {2, &NamespaceSimulation::import_snapshot},
      {2, &NamespaceSimulation::drop_snapshot},    {2, &NamespaceSimulation::drop_namespace},
      {2, &NamespaceSimulation::drop_replaced_tables}, {5, &NamespaceSimulation::pass_time}};
  uint64_t total = 8;
  for (const auto& [weight, choice] : kChoices) total += weight;
  uint64_t drawn = rng_.below(total);
  const auto choice = std::find_if(kChoices.begin(), kChoices.end(), [&](const auto& c) {
    const bool is_it = drawn < c.first;
    if (!is_it) drawn -= c.first;
    return is_it;
  });
  if (choice != kChoices.end()) {
    (this->*choice->second)();
  } else if (drawn < 4) {
    const uint64_t requests = rng_.below(40);
    note("the power goes in {} requests", requests);
    power_->fail_after(requests);
  } else if (drawn < 7) {
    drawn < 6 ? restart() : crash();
  } else {
    clean_up();
  }
  if (HasFailure()) return;
  follow_rules();
  check(any_namespace());
  if (!HasFailure()) follow_rules();
}

}  // namespace quarry::service::simulation
