// What namespaces and snapshots have to hold. For tests only.
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "model/tiering_rules.h"
#include "service/test_service_world.h"

namespace quarry::service::simulation {

using Numbers = std::map<std::string, int64_t>;  // by document id

struct CollectionModel {
  std::string state = "active";
  Numbers numbers;
  json::array rules;  // as a request has them

  // Of the server that runs, no part of what is held:
  std::vector<Numbers> behind;  // what it may still answer, as a write failed after it took place
  TimestampUs used_at = 0;      // no earlier than this its rules' days begin

  bool operator==(const CollectionModel& other) const {
    return state == other.state && numbers == other.numbers && rules == other.rules;
  }
};
using Contents = std::map<std::string, CollectionModel>;  // by the collection's name

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

inline std::string describe(const Contents& contents) {
  std::string out;
  for (const auto& [name, collection] : contents) {
    out += fmt::format("{} {} {}:", name, collection.state, json::serialize(collection.rules));
    for (const auto& [id, number] : collection.numbers) out += fmt::format(" {}={}", id, number);
    out += "; ";
  }
  return out;
}

}  // namespace quarry::service::simulation
