// What other writers do to a table's log while it is served: commits that are followed, and entries of ours that they replaced.
//
// A writer whose log store has no put-if-absent can overwrite an entry that was committed a moment before. What it says then counts, and
// what the lost entry said must be committed again on top: writes were acknowledged, and later commits of ours build on them. The repair
// joins the state that is served with what the others' commits add and remove, and commits the difference to what the log says now. Where
// both sides changed a document, ours stays.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_set>

#include "base/hash.h"
#include "base/log.h"
#include "mvs/log_follower.h"
#include "mvs/table_internal.h"

namespace quarry::mvs {
namespace {

constexpr int64_t kSettledUs = 10'000'000;  // a writer that looked before our entry was there has put its own by then

// The state that is served, joined with the commits of others. What they did to a file counts row by row, by document: a file of theirs
// may hold rows that were ours to change, and we may have moved rows that they changed.
class Join {
 public:
  // Loads a file as it was under a deletion vector: a snapshot of that one file.
  using Load = std::function<Result<std::shared_ptr<const Snapshot>>(const RemoveFile&)>;

  Join(const LogState& ours, const Snapshot& served, Load load) : state(ours), served_(served), load_(std::move(load)) {
    state.shadowed.clear();
  }

  Status merge(const std::vector<Action>& actions) {
    for (const auto& action : actions)
      if (const auto* remove = std::get_if<RemoveFile>(&action)) QUARRY_RETURN_IF_ERROR(merge_removal(*remove));
    for (const auto& action : actions) {
      if (const auto* add = std::get_if<AddFile>(&action)) {
        state.files[add->path] = std::make_shared<const AddFile>(*add);
        theirs_.insert(add->path);
      } else if (const auto* m = std::get_if<Metadata>(&action)) {
        state.metadata = *m;
      } else if (const auto* p = std::get_if<Protocol>(&action)) {
        state.protocol = *p;
      } else if (const auto* t = std::get_if<SetTransaction>(&action)) {
        state.transactions[t->app_id] = *t;
      }
    }
    return Ok{};
  }

  // The rows of a view of `joined`, which is the snapshot of `state`, that are gone.
  Bitmap dead_rows(const SegmentView& view, const Snapshot& joined) const {
    Bitmap dead = view.deleted != nullptr ? *view.deleted : Bitmap(view.segment->rows());
    const bool is_theirs = theirs_.contains(view.file->path);
    view.live_rows().for_each([&](size_t row) {
      const std::string id(view.segment->block().document_id(row));
      if (is_theirs ? theirs_dead_.contains(id) || ours_has(id, joined) : ours_dead_.contains(id)) dead.set(row);
    });
    return dead;
  }

  LogState state;

 private:
  Status merge_removal(const RemoveFile& remove) {
    state.files.erase(remove.path);
    if (theirs_.contains(remove.path)) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(const auto before, load_(remove));
    for (const SegmentView& view : before->views) view.live_rows().for_each([&](size_t row) { settle(view, row, remove.path); });
    return Ok{};
  }

  // A row of a file that they took away. If we left the document as it was, what they made of it counts; else what we did.
  void settle(const SegmentView& before, size_t row, const std::string& path) {
    const RowBlock& block = before.segment->block();
    const std::string id(block.document_id(row));
    const auto now = served_.find(id);
    const SegmentView* view = now ? served_.view(now->segment) : nullptr;
    const bool stayed = view != nullptr && view->file->path == path;
    if (!stayed && (view == nullptr || view->segment->block().updated_at(now->row) != block.updated_at(row)))
      theirs_dead_.insert(id);
    else if (!stayed)
      ours_dead_.insert(id);
  }

  bool ours_has(const std::string& id, const Snapshot& joined) const {
    if (ours_dead_.contains(id)) return false;
    const auto live = joined.find_all(id);
    return std::any_of(live.begin(), live.end(), [&](RowRef ref) { return !theirs_.contains(joined.view(ref.segment)->file->path); });
  }

  const Snapshot& served_;
  const Load load_;
  std::set<std::string> theirs_;  // paths that they added
  // Documents whose rows go: from their files as we had changed them, from ours as they had.
  std::unordered_set<std::string> theirs_dead_, ours_dead_;
};

// What turns `from` into `to`.
std::vector<Action> difference(const LogState& from, const LogState& to, int64_t now_ms) {
  std::vector<Action> out;
  if (from.metadata.schema_string != to.metadata.schema_string) out.emplace_back(to.metadata);
  for (const auto& [app, txn] : to.transactions) {
    const auto it = from.transactions.find(app);
    if (it == from.transactions.end() || it->second.version < txn.version) out.emplace_back(txn);
  }
  const auto same = [](const LogState& other, const std::string& path, const AddFile& file) {
    const auto it = other.files.find(path);
    return it != other.files.end() && it->second->deletion_vector == file.deletion_vector;
  };
  const auto remove = [&](const AddFile& file) { out.emplace_back(RemoveFile{file.path, now_ms, true, file.size, file.deletion_vector}); };
  for (const auto& [key, file] : from.shadowed) remove(*file);
  for (const auto& [path, file] : from.files)
    if (!same(to, path, *file)) remove(*file);
  for (const auto& [path, file] : to.files)
    if (!same(from, path, *file)) out.emplace_back(*file);
  return out;
}

}  // namespace

Status Table::look(int64_t interval_us) {
  const int64_t now = shared_->options.clock->steady_us();
  const Pin pin(*this);
  const auto snapshot = current();
  const bool is_open = snapshot != nullptr || tier_ == Tier::kCold;  // what a cold table commits is read back without its rows
  if (!is_open || dropped_ || !look_is_due({used_us_, looked_us_}, now, interval_us)) return Ok{};
  looked_us_ = now;
  if (snapshot == nullptr) return verify_own_commits(interval_us);
  const auto behind = is_behind(snapshot->version);
  if (snapshot->hides_rows || (behind.ok() && *behind)) QUARRY_RETURN_IF_ERROR(refresh());
  QUARRY_RETURN_IF_ERROR(behind);
  return verify_own_commits(interval_us);
}

// Whether the log goes on after `version`. On the follower's thread.
Result<bool> Table::is_behind(int64_t version) {
  const TimestampUs began = shared_->options.clock->now_us();
  const auto next = shared_->options.store->head(delta_log_.commit_key(version + 1));
  if (next.ok()) return true;
  if (next.error().kind != ErrorKind::kNotFound) return next.error();
  if (may_be_cleaned(seen_newest_us_)) {
    QUARRY_ASSIGN_OR_RETURN(const int64_t checkpoint, delta_log_.last_checkpoint());
    if (checkpoint > version) return true;
  }
  seen_newest_us_ = began;
  return false;
}

void Table::note_own_commit(int64_t version, std::string_view text) {
  own_commits_.push_back({version, hash64(text), shared_->options.clock->steady_us()});
  if (own_commits_.size() > kMaxOwnCommits) own_commits_.pop_front();
}

// Reads back each entry twice: when it is `min_age_us` old and when nobody can be about to overwrite it any more. 0: reads all of them now.
Status Table::verify_own_commits(int64_t min_age_us) {
  const int64_t now = shared_->options.clock->steady_us();
  const auto is_due = [&](const OwnCommit& c) {
    const int64_t age = now - c.committed_us;
    return min_age_us == 0 || age >= kSettledUs || (!c.read_back && age >= min_age_us);
  };
  std::vector<OwnCommit> due;
  {
    CommitQueue::Turn turn(queue_);
    if (dropped_ || unsure_) return Ok{};
    std::copy_if(own_commits_.begin(), own_commits_.end(), std::back_inserter(due), is_due);
  }
  if (due.empty()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(const std::vector<int64_t> replaced, replaced_of(due));
  const Pin pin(*this);
  if (!replaced.empty()) QUARRY_RETURN_IF_ERROR(this->snapshot());
  CommitQueue::Turn turn(queue_);
  if (dropped_) return Ok{};
  if (!replaced.empty()) QUARRY_RETURN_IF_ERROR(repair_all(replaced));
  for (OwnCommit& c : own_commits_) c.read_back = c.read_back || c.version <= due.back().version;
  std::erase_if(own_commits_, [&](const OwnCommit& c) { return c.version <= due.back().version && now - c.committed_us >= kSettledUs; });
  return Ok{};
}

Result<std::vector<int64_t>> Table::replaced_of(std::span<const OwnCommit> commits) const {
  std::vector<int64_t> out;
  for (const OwnCommit& commit : commits) {
    const auto text = shared_->options.store->get(delta_log_.commit_key(commit.version));
    if (text.ok() && hash64(*text) != commit.digest) out.push_back(commit.version);
    // Absent: a checkpoint covers it, and it was cleaned away.
    if (!text.ok() && text.error().kind != ErrorKind::kNotFound) return text.error();
  }
  return out;
}

// In a turn, before the commits of others are applied: they stand on what the log says, not on what we said. True: a repair has applied
// them.
Result<bool> Table::repair_if_replaced() {
  const std::vector<OwnCommit> commits(own_commits_.begin(), own_commits_.end());
  QUARRY_ASSIGN_OR_RETURN(const std::vector<int64_t> replaced, replaced_of(commits));
  if (replaced.empty()) return false;
  QUARRY_RETURN_IF_ERROR(repair_all(replaced));
  return true;
}

// In a turn.
Status Table::repair_all(const std::vector<int64_t>& replaced) {
  log_warn("another writer replaced entries of the log; what they said is committed again",
           {{"table", spec_.table_id}, {"version", replaced.front()}, {"entries", replaced.size()}});
  for (int attempt = 0; attempt < kMaxRepairs; ++attempt) {
    repairing_ = true;
    const auto repaired = repair(replaced);
    repairing_ = false;
    if (!repaired.ok()) return repaired.error();
    if (!*repaired) continue;
    std::erase_if(own_commits_,
                  [&](const OwnCommit& c) { return std::find(replaced.begin(), replaced.end(), c.version) != replaced.end(); });
    return Ok{};
  }
  return others_first();
}

// In a turn. False: another writer committed meanwhile, try again.
Result<bool> Table::repair(const std::vector<int64_t>& replaced) {
  const auto served = followed();
  QUARRY_ASSIGN_OR_RETURN(LogState truth, delta_log_.load());
  QUARRY_RETURN_IF_ERROR(check_protocol(truth.protocol));
  Join join(log_, *served, [&](const RemoveFile& removed) {
    LogState one;
    one.metadata = log_.metadata;
    one.files[removed.path] =
        std::make_shared<const AddFile>(AddFile{.path = removed.path, .size = removed.size, .deletion_vector = removed.deletion_vector});
    return build_snapshot(files_, one, served.get(), next_uid_, nullptr);
  });
  std::vector<int64_t> foreign = replaced;
  for (int64_t v = log_.version + 1; v <= truth.version; ++v) foreign.push_back(v);
  for (const int64_t version : foreign) {
    QUARRY_ASSIGN_OR_RETURN(const auto actions, delta_log_.read(version));
    QUARRY_RETURN_IF_ERROR(join.merge(actions));
  }
  join.state.version = truth.version;
  QUARRY_ASSIGN_OR_RETURN(const auto joined, build(join.state, served.get()));
  CommitPlan plan;
  plan.next = std::make_shared<Snapshot>(*joined);
  DeletionVectorFileBuilder vectors;
  for (SegmentView& view : plan.next->views) {
    Bitmap dead = join.dead_rows(view, *joined);
    const size_t count = dead.count();
    if (count == logged_deletions(view)) continue;
    const std::string path = view.file->path;
    if (count == view.segment->rows()) {
      view.live = 0;
      join.state.files.erase(path);
    } else {
      mark_deleted(view, std::move(dead), vectors);
      join.state.files[path] = view.file;
    }
  }
  plan.actions = difference(truth, join.state, now_ms());
  // Of files that both sides rewrote the join has taken one side's rows.
  if (!truth.stale_rewrites.empty()) plan.actions.emplace_back(SetTransaction{std::string(kStaleRowsApp), truth.version, now_ms()});
  plan.next->hides_rows = false;
  if (!vectors.empty()) QUARRY_RETURN_IF_ERROR(files_.store.put(files_.key(vectors.file_name()), vectors.bytes()));
  LogState ours = std::exchange(log_, std::move(truth));
  auto committed = put_commit(plan, "WRITE");
  if (!committed.ok() || !*committed) log_ = std::move(ours);  // the next try joins what is served once more
  return committed;
}

}  // namespace quarry::mvs
