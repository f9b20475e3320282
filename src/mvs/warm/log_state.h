// What the entries of a table's log amount to.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mvs/warm/delta_actions.h"

namespace quarry::mvs {

// An entry that rewrote files of which some had been removed before, as `deltalake` commits a compaction after one of Quarry's took the
// same files; or one that rewrote files of such an entry. Some rows of `added` stand in the table a second time: mvs/stale_rows.h finds
// them.
struct StaleRewrite {
  // What is known of the removed files that were not there.
  enum class Gone {
    kNone,
    kRemoved,  // earlier entries removed them all: their rows are what those made of them
    kUnknown,  // of some it is no longer known
  };

  int64_t version = 0;
  Gone gone = Gone::kNone;
  bool changes_data = false;
  std::vector<std::shared_ptr<const AddFile>> sources;  // files that were there until this entry removed them
  std::vector<std::shared_ptr<const AddFile>> added;
};

// The transaction in which Quarry says up to which version it has removed what stale rewrites doubled.
inline constexpr std::string_view kStaleRowsApp = "quarry/stale-rows";

struct LogState {
  int64_t version = -1;
  int64_t data_version = -1;  // the newest version known to change rows or columns; after a checkpoint the checkpoint's
  int64_t checkpoint = -1;    // version of the checkpoint that it was read from; -1: none
  Protocol protocol;
  Metadata metadata;
  std::map<std::string, std::shared_ptr<const AddFile>> files;  // by path
  // Adds whose path was added again with another deletion vector and never removed: only a log with replaced entries has such. By path and
  // deletion vector.
  std::map<std::string, std::shared_ptr<const AddFile>> shadowed;
  std::map<std::string, RemoveFile> tombstones;        // by path and deletion vector
  std::map<std::string, SetTransaction> transactions;  // by app
  std::vector<StaleRewrite> stale_rewrites;            // oldest first; whose rows Quarry has not yet removed

  void apply(const std::vector<Action>& actions, int64_t new_version);
  // The actions of a checkpoint, or of a part of one. It tells of no rewrites.
  void apply_checkpoint(const std::vector<Action>& actions, int64_t new_version);
  // What a checkpoint of this state holds.
  std::vector<Action> to_actions() const;

 private:
  std::shared_ptr<const AddFile> find(const std::string& path, const std::optional<DeletionVectorRef>& dv) const;
  bool is_from_stale_rewrite(const std::string& path) const;
  void note_rewrite(const std::vector<Action>& actions, int64_t new_version);
};

}  // namespace quarry::mvs
