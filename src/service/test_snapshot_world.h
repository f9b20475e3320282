// A namespace with a collection of three documents, its snapshots, and an engine that runs their tasks.
#pragma once

#include "pipeline/snapshots.h"
#include "service/test_ingest_world.h"

namespace quarry::service {

struct SeedRange {
  uint64_t first = 1, count = 1;
};
// {NAME}_SEED begins there, with one seed unless {NAME}_SEEDS says how many.
inline SeedRange seeds_from_environment(const std::string& name, uint64_t count) {
  const auto number = [](const std::string& variable, uint64_t fallback) {
    const char* text = std::getenv(variable.c_str());
    return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
  };
  const uint64_t first = number(name + "_SEED", 0);
  return {std::max<uint64_t>(first, 1), number(name + "_SEEDS", first == 0 ? count : 1)};
}

// Stages of a retriever that finds the `count` documents nearest to (1, 0, 0).
inline json::array nearest_stages(int count) {
  const json::object search{{"feature_uri", "mixpeek://passthrough_extractor@v1/v"},
                            {"query", {{"input_mode", "vector"}, {"value", {1, 0, 0}}}},
                            {"top_k", count}};
  const json::object parameters{{"searches", json::array{search}}, {"final_top_k", count}};
  return {json::object{{"stage_name", "find"},
                       {"stage_type", "filter"},
                       {"config", {{"stage_id", "feature_search"}, {"parameters", parameters}}}}};
}

class SnapshotWorld : public IngestWorld {
 protected:
  void SetUp() override {
    IngestWorld::SetUp();
    ASSERT_TRUE(engine_->start().ok());
    collection_ = direct_collection(client_, "papers");
    for (int i = 0; i < 3; ++i) add(i);
  }

  void add(int number) { add_document(client_, collection_, {{"title", "paper"}, {"number", number}}); }

  Call on(const std::string& snapshot_id, json::object body = {}) {
    return {.path = {{"namespace_identifier", client_.ns}, {"snapshot_id", snapshot_id}}, .body = std::move(body)};
  }

  std::string take(json::object options = {}) {
    json::object begun = ok(outside(), "create_snapshot_namespaces", on("", std::move(options)));
    EXPECT_EQ(end_of_task(begun), "COMPLETED");
    return std::string(string_member(begun, "snapshot_id"));
  }

  Client outside() const {
    Client out = client_;
    out.ns.clear();
    return out;
  }

  std::string end_of_task(const json::object& begun) { return end_of_task(client_, begun); }
  std::string end_of_task(const Client& of, const json::object& begun) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (;;) {
      json::object task = ok(of, "get_task", {.path = {{"task_id", std::string(string_member(begun, "task_id"))}}});
      std::string status(string_member(task, "status"));
      if (is_terminal(parse_task_status(status))) return status;
      if (std::chrono::steady_clock::now() > deadline) return status + " after 30 s";
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  std::vector<std::string> table_folders() {
    std::set<std::string> out;
    for (const auto& object : store_->list("", "", 100'000).value())
      if (size_t at = object.key.find("/_delta_log/"); at != std::string::npos && object.key.find("/snapshots/") == std::string::npos)
        out.insert(object.key.substr(0, at));
    return {out.begin(), out.end()};
  }

  uint64_t documents() {
    return uint64_t(*integer_member(ok(client_, "get_collection", {.path = {{"collection_identifier", collection_}}}), "document_count"));
  }

  std::string collection_;
};

}  // namespace quarry::service
