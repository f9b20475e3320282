// Where objects lie: the data folder, or an S3 store with retries and a cache on the local disk. And where snapshots may be imported from.
#pragma once

#include "main/config.h"
#include "main/data_folder.h"
#include "objects/object_store.h"
#include "pipeline/pipeline.h"

namespace quarry {

class ObjectStorage {
 public:
  // With objects.url: checks that the bucket answers, that the credentials do, and that the store may hold tables. Of the places in
  // snapshots.import_from folders must be there; buckets are reached when a snapshot is imported.
  static Result<std::unique_ptr<ObjectStorage>> open(const Config& config, const DataFolder& folder);
  ~ObjectStorage();
  ObjectStorage(const ObjectStorage&) = delete;
  ObjectStorage& operator=(const ObjectStorage&) = delete;

  objects::ObjectStore& store() { return *layers_.back(); }
  // Opened for reading; live as long as this.
  const pipeline::ImportPlaces& import_places() const { return import_places_; }

 private:
  using Layers = std::vector<std::unique_ptr<objects::ObjectStore>>;  // each stands on the one before
  ObjectStorage() = default;
  Status open_store(const Config& config, const DataFolder& folder);
  Status open_import_places(const Config& config);

  Layers layers_;
  std::vector<Layers> import_layers_;
  pipeline::ImportPlaces import_places_;
};

// "NAME=PLACE, NAME=PLACE": what snapshots.import_from says, by name. kBadRequest naming what is wrong.
Result<std::map<std::string, std::string>> parse_import_places(std::string_view text);

// For `quarry doctor`: reaches the store, races writers for a key in it and removes them. What is said in success is for people.
Result<std::string> check_object_storage(const Config& config);

// How long a commit waits for company: longer where a commit is a request over a network.
int64_t commit_window_us(const Config& config);
// How often each table's log is looked at: rarer where that is a request that costs.
int64_t follow_interval_us(const Config& config);

// Whether a key names a file of a table that is never rewritten: data files and deletion vectors bear random names, the log does not.
bool is_immutable_table_file(std::string_view key);

}  // namespace quarry
