// A whole pipeline on a temporary catalog, for tests: bucket, collections, objects, an extractor that does as its texts say, and an engine.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <thread>

#include "base/hash.h"
#include "base/rng.h"
#include "model/ids.h"
#include "pipeline/batch_state.h"
#include "pipeline/pipeline.h"
#include "pipeline/test_memory_vectors.h"

namespace quarry::pipeline {

// Makes one document per line of the text under the property "content" (of a document source: under "line"). A line "fail: kind" fails the
// item: "fail: storage" as a transient error, anything else for good. A line "poison" makes a document that the store refuses. `gate` holds
// every call.
class LineExtractor final : public extract::BoundExtractor {
 public:
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = true;
    std::atomic<int> calls{0}, arrived{0};
    std::atomic<bool> storage_fails{true};
    void set(bool value) {
      std::lock_guard lock(mutex);
      open = value;
      changed.notify_all();
    }
  };
  explicit LineExtractor(Gate& gate) : gate_(gate) {}
  const std::vector<extract::FeatureOutput>& outputs() const override {
    static const std::vector<extract::FeatureOutput> kNone;
    return kNone;
  }
  ObjectSchema output_fields() const override { return {}; }
  Result<extract::ExtractOutput> extract(const extract::SourceItem& item, const extract::Runtime&) const override {
    {
      std::unique_lock lock(gate_.mutex);
      ++gate_.arrived;
      gate_.changed.wait(lock, [&] { return gate_.open; });
    }
    ++gate_.calls;
    std::string text;
    for (const extract::Blob& blob : item.blobs) text += blob.data;
    if (const json::value* line = item.fields.if_contains("line"); line && line->is_string()) text = std::string(line->get_string());
    return cut(text);
  }

 private:
  Result<extract::ExtractOutput> cut(std::string_view text) const {
    extract::ExtractOutput out;
    for (size_t at = 0; at <= text.size();) {
      size_t end = std::min(text.find('\n', at), text.size());
      std::string line(text.substr(at, end - at));
      at = end + 1;
      if (line.empty()) continue;
      if (line == "fail: storage" && gate_.storage_fails) return storage_error("the extractor's disk is gone");
      if (line.starts_with("fail") && line != "fail: storage") return Error{ErrorKind::kExtraction, "the text says: " + line};
      extract::ExtractedDocument document;
      document.position = out.documents.size();
      document.fields["line"] = line;
      if (line == "poison") document.fields[MemoryVectors::kPoison] = true;
      out.documents.push_back(std::move(document));
    }
    return out;
  }
  Gate& gate_;
};

class World : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("quarry-pipeline-" + secure_token(12));
    std::filesystem::create_directories(dir_);
    auto opened = catalog::open_sqlite_catalog(dir_ / "catalog.db", system_clock());
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    catalog_ = std::move(opened).value();
    store_ = objects::make_memory_store();
    add_resource(catalog::kind::kBucket, "bkt_a", "", {{"bucket_id", "bkt_a"}});
  }
  void TearDown() override {
    engine_.reset();
    catalog_.reset();
    std::filesystem::remove_all(dir_);
  }

  void add_resource(std::string_view kind, const std::string& id, const std::string& parent, json::object body) {
    catalog::Resource resource;
    resource.kind = kind;
    resource.id = id;
    resource.parent_id = parent;
    resource.organization_id = scope_.organization_id;
    resource.namespace_id = scope_.namespace_id;
    resource.body = std::move(body);
    auto inserted = catalog_->insert(resource);
    ASSERT_TRUE(inserted.ok()) << inserted.error().message;
  }

  void add_collection(const std::string& id, json::object source) {
    add_resource(catalog::kind::kCollection, id, "",
                 {{"collection_id", id},
                  {"collection_name", id},
                  {"source", std::move(source)},
                  {"feature_extractor", {{"feature_extractor_name", "lines"}, {"version", "v1"}}},
                  {"lifecycle_state", "active"},
                  {"enabled", true}});
  }
  void add_bucket_collection(const std::string& id) { add_collection(id, {{"type", "bucket"}, {"bucket_ids", {"bkt_a"}}}); }
  void add_derived_collection(const std::string& id, std::vector<std::string> from) {
    add_collection(id, {{"type", "collection"}, {"collection_ids", json::value_from(from)}});
  }

  std::string add_object(const std::string& text, json::object fields = {}) {
    std::string id = new_id("obj");
    json::object body{{"object_id", id}, {"bucket_id", "bkt_a"}, {"status", "PENDING"}};
    body["blobs"] = json::array{json::object{{"blob_id", "blob_1"}, {"property", "content"}, {"type", "text"}, {"value", text}}};
    for (auto& [name, value] : fields) body[name] = value;
    add_resource(catalog::kind::kObject, id, "bkt_a", std::move(body));
    return id;
  }
  std::vector<std::string> add_objects(size_t count, size_t lines = 2) {
    std::vector<std::string> ids;
    for (size_t i = 0; i < count; ++i) {
      std::string text;
      for (size_t line = 0; line < lines; ++line) text += "object " + std::to_string(i) + " line " + std::to_string(line) + "\n";
      ids.push_back(add_object(text));
    }
    return ids;
  }

  void change_text(const std::string& object_id, const std::string& text) {
    ASSERT_TRUE(catalog_
                    ->update(catalog::kind::kObject, scope_, object_id,
                             [&](catalog::Resource& r) -> Status {
                               r.body["blobs"].as_array()[0].as_object()["value"] = text;
                               r.body["status"] = "PENDING";
                               r.body[kInternalMember] = json::object{{"content_at", system_clock().now_us()}};
                               return Ok{};
                             })
                    .ok());
  }

  // A submitted batch over these objects.
  std::string submit(const std::vector<std::string>& object_ids, json::object attributes = {}, std::vector<std::string> only = {}) {
    std::string batch_id;
    auto done = catalog_->write([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(auto batch, create_batch(session, scope_, {"bkt_a", object_ids, attributes}, system_clock().now_us()));
      batch_id = batch.id;
      QUARRY_ASSIGN_OR_RETURN(Task task, submit_batch(session, scope_, "internal", batch_id, only, system_clock().now_us()));
      return Ok{};
    });
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message);
    if (engine_) engine_->notify();
    return batch_id;
  }
  Status retry(const std::string& batch_id, const RetryOptions& options = {}) {
    auto done = catalog_->write([&](catalog::Session& session) -> Status {
      QUARRY_ASSIGN_OR_RETURN(Task task, retry_batch(session, scope_, "internal", batch_id, system_clock().now_us(), options));
      return Ok{};
    });
    if (engine_) engine_->notify();
    return done;
  }
  Status cancel(const std::string& batch_id) {
    auto done =
        catalog_->write([&](catalog::Session& session) { return cancel_batch(session, scope_, batch_id, system_clock().now_us()); });
    if (engine_) engine_->notify();
    return done;
  }

  Options options() {
    Options out;
    out.catalog = catalog_.get();
    out.vectors = &vectors_;
    out.store = store_.get();
    out.worker_id = "worker-" + secure_token(6);
    out.exclusive = true;
    out.retry_delay_us = 1'000;
    out.poll_interval_us = 20'000;
    out.commit_interval_us = 50'000;
    out.bind = [this](const ExtractorConfig&) -> Result<std::shared_ptr<const extract::BoundExtractor>> {
      return std::shared_ptr<const extract::BoundExtractor>(std::make_shared<LineExtractor>(gate_));
    };
    return out;
  }
  void start(Options with) {
    engine_ = Engine::make(std::move(with));
    auto started = engine_->start();
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  void start() { start(options()); }

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
  json::object batch(const std::string& batch_id) {
    auto found = catalog_->get(catalog::kind::kBatch, scope_, batch_id);
    EXPECT_TRUE(found.ok());
    return found.ok() ? found->body : json::object{};
  }
  json::object object(const std::string& object_id) {
    auto found = catalog_->get(catalog::kind::kObject, scope_, object_id);
    EXPECT_TRUE(found.ok());
    return found.ok() ? found->body : json::object{};
  }
  // Polls until `done` holds; false after `seconds`. The condition decides, the time only bounds a hang.
  static bool eventually(const std::function<bool()>& done, int seconds = 30) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  TaskStatus wait_for_end(const std::string& batch_id) {
    EXPECT_TRUE(eventually([&] { return is_terminal(batch_status(batch(batch_id))); })) << json::serialize(batch(batch_id));
    return batch_status(batch(batch_id));
  }
  // Every line of every object exactly once, under the ids that any run derives.
  void expect_lines(const std::string& collection_id, const std::vector<std::string>& object_ids, size_t lines) {
    auto documents = vectors_.documents(collection_id);
    EXPECT_EQ(documents.size(), object_ids.size() * lines);
    for (const std::string& id : object_ids)
      for (size_t line = 0; line < lines; ++line) EXPECT_TRUE(documents.contains(derive_document_id(collection_id, id, line)));
  }

  const catalog::Scope scope_{"org_a", "ns_a"};
  std::filesystem::path dir_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<objects::ObjectStore> store_;
  MemoryVectors vectors_;
  LineExtractor::Gate gate_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace quarry::pipeline
