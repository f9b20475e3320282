// A table's log on an object store: what its newest state is, and the commit of the next.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/executor.h"
#include "mvs/warm/checkpoint_hint.h"
#include "mvs/warm/log_state.h"
#include "objects/object_store.h"

namespace quarry::mvs {

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

  // Writes a checkpoint of `state` and points _last_checkpoint at it, unless another server has written one of that version or a newer one.
  Status write_checkpoint(const LogState& state) const;
  // False: `bytes`, those of a checkpoint at `key`, are not the ones that _last_checkpoint speaks of.
  Result<bool> matches_hint(std::string_view key, std::string_view bytes) const;
  // Version of the newest checkpoint that is known; -1: none.
  Result<int64_t> last_checkpoint() const;
  // Whether nothing follows `version`. One round trip with `io`.
  Result<bool> is_newest(int64_t version, Executor* io) const;
  // Removes commits and checkpoints below the newest checkpoint that were written before `before_us`.
  Status clean(TimestampUs before_us) const;

  std::string commit_key(int64_t version) const;
  std::string checkpoint_key(int64_t version) const;

 private:
  struct Listing {
    std::set<int64_t> commits;
    std::map<int64_t, std::vector<std::string>> checkpoints;  // complete ones: the keys of their parts
    CheckpointHint hint;

    int64_t newest_checkpoint() const { return checkpoints.empty() ? -1 : checkpoints.rbegin()->first; }
  };
  Result<CheckpointHint> hint() const;
  Listing sort_out(const std::vector<objects::ObjectInfo>& objects) const;
  Result<Listing> list_from(int64_t version) const;
  Result<Listing> list_newest(Executor* io) const;
  Result<LogState> load_older(int64_t newest, Executor* io) const;
  Result<LogState> load_newest(const Listing& listing, Executor* io) const;
  Result<LogState> load_checkpoint(int64_t version, const std::vector<std::string>& keys, const CheckpointHint& hint) const;
  Status apply_part(LogState& state, int64_t version, const std::string& key, std::string bytes, const CheckpointHint& hint) const;
  Result<LogState> replay(const Listing& listing, int64_t checkpoint, Executor* io) const;

  objects::ObjectStore& store_;
  const std::string folder_;  // ".../_delta_log/"
};

}  // namespace quarry::mvs
