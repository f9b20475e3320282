// A snapshot that a task is making: its folder and its catalog row. Taking one and importing one begin and end alike.
#pragma once

#include "pipeline/snapshots/job.h"
#include "pipeline/snapshots/layout.h"

namespace quarry::pipeline {

// An attempt writes into a folder of its own, so that a worker that lost its lease cannot touch what the next one writes. Used by the one
// thread that runs the task.
class SnapshotDraft {
 public:
  explicit SnapshotDraft(SnapshotJob& job);

  // Runs `work`, which calls begin() and ends with finish(). When it fails and trying again is no use, the files go and the row says why.
  Status run(const std::function<Status()>& work);
  // What earlier attempts left goes; the row turns "in_progress". A try after a failure of the store begins here, too.
  Status begin();
  // Puts the manifest; then, in one transaction, the row turns "completed" and the task ends.
  Status finish(const Manifest& manifest);

  const std::string& folder() const { return folder_; }

 private:
  void describe(json::object& body, const Manifest& manifest, std::string manifest_sha256) const;
  Status change_row(catalog::Session& session, const std::function<void(json::object&)>& change) const;
  Status settle(catalog::Session& session, TaskStatus status, const std::string& error) const;
  void forget() const;

  SnapshotJob& job_;
  objects::ObjectStore& store_;
  const std::string snapshot_id_, root_, folder_;
};

}  // namespace quarry::pipeline
