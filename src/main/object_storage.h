// Where objects lie: the data folder, or an S3 store with retries and a cache on the local disk.
#pragma once

#include "main/config.h"
#include "main/data_folder.h"
#include "objects/object_store.h"

namespace quarry {

class ObjectStorage {
 public:
  // With objects.url: checks that the bucket answers, that the credentials do, and that the store may hold tables.
  static Result<std::unique_ptr<ObjectStorage>> open(const Config& config, const DataFolder& folder);
  ~ObjectStorage();
  ObjectStorage(const ObjectStorage&) = delete;
  ObjectStorage& operator=(const ObjectStorage&) = delete;

  objects::ObjectStore& store() { return *layers_.back(); }

 private:
  ObjectStorage() = default;
  std::vector<std::unique_ptr<objects::ObjectStore>> layers_;  // each stands on the one before
};

// For `quarry doctor`: reaches the store, races writers for a key in it and removes them. What is said in success is for people.
Result<std::string> check_object_storage(const Config& config);

// How long a commit waits for company: longer where a commit is a request over a network.
int64_t commit_window_us(const Config& config);
// How often each table's log is looked at: rarer where that is a request that costs.
int64_t follow_interval_us(const Config& config);

// Whether a key names a file of a table that is never rewritten: data files and deletion vectors bear random names, the log does not.
bool is_immutable_table_file(std::string_view key);

}  // namespace quarry
