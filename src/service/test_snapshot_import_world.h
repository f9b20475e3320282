// Snapshots that lie elsewhere, as they were taken or forged, and a namespace to import them into.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "service/test_snapshot_world.h"

namespace quarry::service {

// The files of a snapshot, to be changed and sealed again, so that every digest is right and only what it says is not.
class Forgery {
 public:
  using Lines = std::vector<json::object>;

  Forgery(objects::ObjectStore& store, const std::string& folder) {
    for (const auto& info : store.list(folder + "/", "", 1'000).value())
      files_[info.key.substr(folder.size() + 1)] = store.get(info.key).value();
  }

  std::map<std::string, std::string>& files() { return files_; }
  const std::map<std::string, std::string>& files() const { return files_; }
  json::object manifest() const { return json::parse(files_.at("manifest.json")).as_object(); }
  void set_manifest(const json::object& manifest) { files_["manifest.json"] = json::serialize(manifest); }

  void change_manifest(const std::function<void(json::object&)>& change) {
    json::object changed = manifest();
    change(changed);
    set_manifest(changed);
  }
  // `list` is "catalog" or "files".
  void change_lines(const std::string& list, const std::function<void(Lines&)>& change) {
    const std::string part = list + "/00000001.jsonl";
    Lines lines;
    std::istringstream in(files_.at(part));
    for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line).as_object());
    change(lines);
    std::string text;
    for (const auto& line : lines) text += json::serialize(line) + "\n";
    files_[part] = text;
    change_manifest([&](json::object& m) {
      const std::string_view member = list == "catalog" ? "catalog_parts" : "file_parts";
      m[member].as_array()[0] = json::object{{"path", part}, {"size", text.size()}, {"sha256", sha256_hex(text)}};
      if (list == "catalog") {
        json::object counts;
        for (const auto& line : lines) counts[line.at("kind").as_string()] = 0;
        for (const auto& line : lines) {
          json::value& count = counts[line.at("kind").as_string()];
          count = count.as_int64() + 1;
        }
        m["resources"] = counts;
      }
    });
  }
  void change_row(std::string_view kind, const std::function<void(json::object&)>& change) {
    change_lines("catalog", [&](Lines& lines) {
      for (json::object& line : lines)
        if (line.at("kind").as_string() == kind) return change(line);
      ADD_FAILURE() << "no " << kind;
    });
  }

  // An id, wherever it stands.
  void rename(const std::string& from, const std::string& to) {
    const auto renamed = [&](std::string text) {
      for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
      return text;
    };
    const auto rename_in = [&](json::object& object) { object = json::parse(renamed(json::serialize(object))).as_object(); };
    for (const char* list : {"catalog", "files"})
      change_lines(list, [&](Lines& lines) { std::for_each(lines.begin(), lines.end(), rename_in); });
    change_manifest(rename_in);
    std::map<std::string, std::string> moved;
    for (auto& [path, bytes] : files_) moved[renamed(path)] = std::move(bytes);
    files_ = std::move(moved);
  }

  void put(objects::ObjectStore& store, const std::string& folder) const {
    for (const auto& [path, bytes] : files_) ASSERT_TRUE(store.put(folder + "/" + path, bytes).ok()) << path;
  }

 private:
  std::map<std::string, std::string> files_;
};

class SnapshotImportWorld : public SnapshotWorld {
 protected:
  void adjust(pipeline::Options& options) override {
    options.import_places = deps_.import_places;
    if (engine_store_ != nullptr) options.store = engine_store_;
  }
  void SetUp() override {
    deps_.import_places = {{"vault", vault_.get()}};
    SnapshotWorld::SetUp();
    bucket_ = text_bucket();
    create_object(bucket_, object_body(std::string(100'000, 'x')));  // too long for its row: its bytes are a file
    internal_id_ = context_of(client_).value().internal_id;
    other_ = with_namespace(first_, "other");
  }

  std::string prefix_of(const std::string& snapshot_id) {
    return std::string(string_member(ok(outside(), "get_snapshot_namespaces", on(snapshot_id)), "s3_prefix"));
  }
  Forgery taken() { return Forgery(*store_, prefix_of(take({{"copy_s3_objects", true}}))); }

  // Into the namespace `other_`.
  Call importing(const std::string& bucket, const std::string& prefix, json::object more = {}) {
    more["bucket"] = bucket;
    more["prefix"] = prefix;
    return {.path = {{"namespace_identifier", other_.ns}}, .body = json::object{{"import_from", std::move(more)}}};
  }
  Call of_import(const json::object& begun, json::object body = {}) { return of_import(other_, begun, std::move(body)); }
  static Call of_import(const Client& into, const json::object& begun, json::object body = {}) {
    return {.path = {{"namespace_identifier", into.ns}, {"snapshot_id", std::string(string_member(begun, "snapshot_id"))}},
            .body = std::move(body)};
  }
  // As after a restart.
  void start_engine_again() {
    engine_.reset();
    make_engine();
    reopen_api();
    ASSERT_TRUE(engine_->start().ok());
  }
  std::string folder(const std::string& name) { return internal_id_ + "/imports/" + name; }
  std::vector<std::string> imported_keys() {
    std::vector<std::string> out;
    for (const auto& info : store_->list(internal_id_ + "/" + other_.ns + "/snapshots/", "", 1'000).value()) out.push_back(info.key);
    return out;
  }

  std::string error_in(const json::object& begun) {
    return std::string(string_member(ok(outside(), "get_snapshot_namespaces", of_import(begun)), "error"));
  }

  std::unique_ptr<objects::ObjectStore> vault_ = objects::make_memory_store();
  objects::ObjectStore* engine_store_ = nullptr;  // of the next engine; null: store_
  std::string bucket_, internal_id_;
  Client other_;
};

}  // namespace quarry::service
