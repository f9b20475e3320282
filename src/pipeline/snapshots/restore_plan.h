// What a restore puts where, and the change of the catalog with which it takes effect.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "pipeline/snapshots/layout.h"
#include "pipeline/snapshots/renaming.h"

namespace quarry::pipeline {

struct RestorePlan {
  std::string internal_id;
  catalog::Scope target;
  std::string target_name;
  bool in_place = false;  // ids stay as they are
  std::string mark;       // that the restored tables' names bear (Collection::restored_by)
  Renaming renaming;      // used unless in_place
  std::string folder;     // of the snapshot
  Manifest manifest;
  catalog::Resource ns;
  std::set<std::string, std::less<>> buckets, retrievers;  // of the snapshot
};

// A resource of the snapshot as it will stand in the target. Its revision is past every one it had, so that what is cached by revision is
// not taken for it.
void convert(const RestorePlan& plan, catalog::Resource& resource, TimestampUs now);

// In the caller's transaction: the target's rows become the snapshot's. Returns the tables that are replaced; each has a row of kind
// "retired_table". Batches, uploads and executions stay as far as their bucket or retriever does.
Result<std::vector<std::string>> replace_rows(catalog::Session& session, objects::ObjectStore& store, const RestorePlan& plan,
                                              TimestampUs now);

}  // namespace quarry::pipeline
