// Snapshots of a namespace: taken, checked and brought back by background tasks. docs/formats/snapshot.md gives the layout,
// docs/snapshots.md what a user may count on.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "objects/object_store.h"
#include "pipeline/pipeline.h"

namespace quarry::pipeline {

inline constexpr std::string_view kSnapshotTaskType = "api_namespaces_snapshot_create",
                                  kRestoreTaskType = "api_namespaces_snapshot_restore";
inline constexpr uint64_t kMaxSnapshots = 1'000;   // of one namespace
inline constexpr size_t kMaxSnapshotIssues = 200;  // that a check names
inline constexpr std::string_view kOwnStore = "objects";  // the import place that is there without being configured: Options::store

// A snapshot as its catalog row keeps it (kind "snapshot", in the namespace's scope, which it outlives):
//
//   body = the contract's SnapshotModel, with status "pending", "in_progress", "completed", "failed" or "expired" (being deleted), and
//          _internal: { manifest_sha256 once it is completed, restore_task_id once it was brought back, awaits_removal while it was
//          taken for a removal of the namespace that has not used it }
//
// Only a completed snapshot is whole: the manifest is put after all else, and the row turns "completed" after the manifest.

// A snapshot that lies elsewhere, as a request names it.
struct ImportSource {
  std::string place;            // kOwnStore or a name of ImportPlaces
  std::string prefix;           // of its keys there: the folder of its manifest
  std::string manifest_sha256;  // hexadecimal; empty: the manifest may be any
};

struct NewSnapshot {
  std::string namespace_id, namespace_name;
  std::string type = "manual";         // or "daily", "pre_delete"
  int64_t keep_us = 0;                 // after which it expires; 0: it stays until it is deleted
  bool include_vectors = true;         // documents, with their vectors; else resources alone
  bool copy_blobs = false;             // the bytes of objects, too; else they are referred to
  std::optional<ImportSource> import;  // it is copied from there
  json::object imported_from;          // as the contract's SnapshotModel shows it
  std::string source_internal_id;      // of an import: of the organization that the snapshot was taken of
};
// What importing a snapshot begins with, but for the namespace. Its keys must lie under "{internal_id}/": an organization imports from its
// own folder of a place. Reads the manifest alone; the task checks the rest. Errors: kBadRequest (no such place, a key of others, no
// manifest that can be read, or not the one that `source` names), or the store's.
Result<NewSnapshot> look_at_import(const ImportPlaces& places, objects::ObjectStore& own_store, std::string_view internal_id,
                                   ImportSource source);

// In the caller's transaction: the row and its task. kBadRequest past kMaxSnapshots; kForbidden for importing a snapshot of another
// organization of this catalog. Call Engine::notify() afterwards.
Result<catalog::Resource> begin_snapshot(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id,
                                         const NewSnapshot& wanted, TimestampUs now);

// ---- snapshots that nobody asks for -----------------------------------------------------------------------------------

// Begins one of type "daily", kept for `keep_us`, of every namespace that has had none for a day; returns how many. Those of an earlier
// namespace with the same id don't count. A namespace where that fails is named in the log. `halted` ends it early.
Result<size_t> begin_daily_snapshots(catalog::Catalog& catalog, int64_t keep_us, TimestampUs now,
                                     const std::function<bool()>& halted = {});
// In the caller's transaction: a snapshot for removing the namespace, with all that it holds, kept for `keep_us`. One of type "pre_delete"
// that no removal has used serves if it is still being taken or was completed less than ten minutes ago; else a new one is begun.
Result<catalog::Resource> begin_pre_delete_snapshot(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id,
                                                    std::string_view namespace_name, int64_t keep_us, TimestampUs now);
// In the caller's transaction, before the removal: it serves no other.
Status use_pre_delete_snapshot(catalog::Session& session, const catalog::Scope& scope, std::string_view snapshot_id);
// Removes those that have expired, unless a task works on them or it is the newest daily one that a namespace has completed, and what is
// left of those whose removal was begun; returns how many. One that can't be removed is named in the log. `halted` ends it early.
Result<size_t> drop_expired_snapshots(catalog::Catalog& catalog, objects::ObjectStore& store, TimestampUs now,
                                      const std::function<bool()>& halted = {});

struct NewRestore {
  std::string snapshot_id;
  std::string target_namespace_id, target_namespace_name;
  bool in_place = false;  // into the namespace it was taken of, whether that is still there or not
};
// In the caller's transaction. kBadRequest unless the snapshot is completed, and in place unless it has documents; kConflict while another
// restore of it runs, and in place while tasks of the namespace have not ended; kAlreadyExists if another namespace has the target's name.
Result<Task> begin_restore(catalog::Session& session, const catalog::Scope& scope, std::string_view internal_id, const NewRestore& wanted,
                           TimestampUs now);

struct SnapshotIssue {
  std::string code;      // "missing", "damaged", "blob_missing", ...
  std::string severity;  // "error": it cannot be brought back; "warning": an object's bytes are gone
  std::string detail;    // names the key
};
struct SnapshotCheck {
  bool is_restorable = false;
  std::vector<SnapshotIssue> issues;  // at most kMaxSnapshotIssues
  uint64_t collections = 0;           // whose tables were looked at
  uint64_t digests = 0;               // files whose bytes were read and found right
};
// Looks at every file of a completed snapshot: that it is there with its size; if `deep`, that its bytes are right, and that the bytes of
// objects it refers to are there. `halted` ends it with kTimeout. Errors are the store's; what is amiss with the snapshot is an issue.
Result<SnapshotCheck> check_snapshot(objects::ObjectStore& store, const catalog::Resource& snapshot, bool deep,
                                     const std::function<bool()>& halted);

// A file of a snapshot, as the download shows it.
struct SnapshotFile {
  std::string path;    // within the snapshot's folder
  uint64_t size = 0;   // bytes
  std::string sha256;  // hexadecimal
};
// Every file, the manifest last. kCorruption if its lists are damaged; kBadRequest past `limit`.
Result<std::vector<SnapshotFile>> list_snapshot_files(objects::ObjectStore& store, const catalog::Resource& snapshot, size_t limit);

// Marks the row "expired", removes the files, then the row. kConflict while a task works on the snapshot. May be called again.
Status remove_snapshot(catalog::Catalog& catalog, objects::ObjectStore& store, const catalog::Scope& scope, std::string_view snapshot_id);

// In the transaction that removes a namespace with its tasks: rows of snapshots that nobody completes any more go, their files are retired.
Status forget_unfinished_snapshots(catalog::Session& session, const catalog::Scope& scope, TimestampUs now);

}  // namespace quarry::pipeline
