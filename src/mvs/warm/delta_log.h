// A table's log on an object store: what its newest state is, and the commit of the next.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/executor.h"
#include "mvs/warm/delta_actions.h"
#include "objects/object_store.h"

namespace quarry::mvs {

// What the actions up to `version` amount to.
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

  void apply(const std::vector<Action>& actions, int64_t new_version);
  // What a checkpoint of this state holds.
  std::vector<Action> to_actions() const;
};

struct LoggedCommit {
  int64_t version = 0;
  std::vector<Action> actions;
};

enum class PutOutcome { kCommitted, kLost };

// Thread-safe: holds no state but names.
class DeltaLog {
 public:
  // `store` outlives the log. `prefix` is the table's folder, without a trailing '/'.
  DeltaLog(objects::ObjectStore& store, std::string prefix);

  // The newest checkpoint and every commit after it. kNotFound: no table. kCorruption names the file that is missing or unreadable. With
  // `io` entries are read beside each other: of a log without checkpoints that is two round trips.
  Result<LogState> load(Executor* io = nullptr) const;
  // The commits after `version`, ascending, without a gap.
  Result<std::vector<LoggedCommit>> read_after(int64_t version) const;
  Result<std::vector<Action>> read(int64_t version) const;  // kNotFound if absent

  // Puts commit `version`. `text` must differ from every other writer's (a UUID in commitInfo sees to that). After an unclear failure the
  // log is read back; an error means that even this failed, and that whether the commit is there is unknown.
  Result<PutOutcome> put(int64_t version, const std::string& text) const;

  // Writes a checkpoint of `state` and points _last_checkpoint at it, unless another server has written one of that version.
  Status write_checkpoint(const LogState& state) const;
  // False: `bytes`, those of a checkpoint at `key`, are not the ones that _last_checkpoint speaks of.
  Result<bool> matches_hint(std::string_view key, std::string_view bytes) const;
  // Whether the text of _last_checkpoint is as it was written; one without a checksum passes if it names a version.
  static bool is_sound_hint(std::string_view text);
  // Version of the newest checkpoint that is known; -1: none.
  Result<int64_t> last_checkpoint() const;
  // Whether nothing follows `version`. One round trip with `io`.
  Result<bool> is_newest(int64_t version, Executor* io) const;
  // Removes commits and checkpoints below the newest checkpoint that were written before `before_us`.
  Status clean(TimestampUs before_us) const;

  std::string commit_key(int64_t version) const;
  std::string checkpoint_key(int64_t version) const;

 private:
  // What _last_checkpoint says.
  struct Hint {
    int64_t version = -1;         // -1: nothing
    std::optional<uint32_t> crc;  // of the checkpoint's bytes
  };
  struct Listing {
    std::set<int64_t> commits;
    std::map<int64_t, std::vector<std::string>> checkpoints;  // complete ones: the keys of their parts
    Hint hint;
  };
  Result<Hint> hint() const;
  static Hint parse_hint(std::string_view text, bool& is_sound);
  Listing sort_out(const std::vector<objects::ObjectInfo>& objects) const;
  Result<Listing> list_from(int64_t version) const;
  Result<Listing> list_newest(Executor* io) const;
  Result<LogState> load_older(int64_t newest, Executor* io) const;
  Result<LogState> load_checkpoint(int64_t version, const std::vector<std::string>& keys, const Hint& hint) const;
  Result<LogState> replay(const Listing& listing, int64_t checkpoint, Executor* io) const;

  objects::ObjectStore& store_;
  const std::string folder_;  // ".../_delta_log/"
};

}  // namespace quarry::mvs
