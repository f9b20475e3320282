// One table: its log, its committer, its newest snapshot.
//
// Invariants. The log is ahead of memory or equal to it, never behind: a snapshot is published after its commit is durable. `log_` and what
// commits are touched only in a turn of the commit queue. A commit whose outcome is unknown sets `unsure_`: the log is read again before
// the next one.
//
// A cold table has a snapshot only while something commits (Pin), and for as long as the cold tier's cache keeps it.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>

#include "mvs/cold/cold_view.h"
#include "mvs/commit_queue.h"
#include "mvs/hot/snapshot.h"
#include "mvs/index/column_index.h"
#include "mvs/mvs.h"
#include "mvs/snapshot_builder.h"
#include "mvs/tiering/cold_tier.h"
#include "mvs/tiering/table_gauges.h"
#include "mvs/warm/delta_log.h"
#include "mvs/write_group.h"

namespace quarry::mvs {

// What all tables of a store share.
struct StoreShared {
  explicit StoreShared(const StoreOptions& given) : options(given), cold(given.cold_cache_bytes, *given.clock) {}

  const StoreOptions options;
  std::atomic<int64_t> memory_bytes{0};  // of all published snapshots
  ColdTier cold;
  // Lets tables go until `excess_bytes` are free, as far as that is possible; `needed` stays. Set by the store that knows them all.
  std::function<void(uint64_t excess_bytes, const class Table* needed)> make_room;

  // By how much what is held, and `more_bytes` with it, is past the budget.
  uint64_t excess_bytes(uint64_t more_bytes) const;
};

// What a read is answered from. Taken together, so that the indexes know the snapshot's rows.
struct ServedSnapshot {
  std::shared_ptr<const Snapshot> snapshot;
  std::shared_ptr<const IndexSet> indexes;
  Tier tier = Tier::kActive;
};

class Table final : public ColdSource, public std::enable_shared_from_this<Table> {
 public:
  Table(std::shared_ptr<StoreShared> shared, TableSpec spec);
  ~Table() override;

  // Commits version 0. kAlreadyExists if the log has one.
  Status create();
  Status extend(const TableSpec& spec);
  // Deletes everything on the store. Afterwards every call answers kNotFound; may be called again after a failure.
  Status drop();

  Result<WriteResult> write(WriteBatch batch);
  Result<uint64_t> delete_where(const Filter& filter);
  // A caller's read comes, which makes an evicted table active if there is room again. True: the table is cold and nothing of it is held;
  // read it in parts.
  Result<bool> begin_read(int64_t deadline_us);
  // The newest, for a caller's read; the first call, and those of a cold table, read the files. kTimeout past `deadline_us` of the steady
  // clock, or when a cold table takes longer than the store's limit.
  Result<ServedSnapshot> serve(int64_t deadline_us);
  // What `read` answers from the newest version of a cold table, in parts. `read` holds what it needs: past the deadline it goes on alone.
  template <class T>
  Result<T> read_in_parts(std::function<Result<T>(const ColdView&)> read, int64_t deadline_us) {
    const std::function<Result<T>()> body = [table = shared_from_this(), read = std::move(read)]() -> Result<T> {
      for (;;) {
        QUARRY_ASSIGN_OR_RETURN(ColdLease lease, table->lease_view());
        Result<T> out = read(*lease.view);
        QUARRY_ASSIGN_OR_RETURN(const bool stands, table->settle(lease, out.ok() ? nullptr : &out.error()));
        if (stands) return out;
      }
    };
    return shared_->cold.call(body, cold_deadline(deadline_us));
  }
  Result<TableStats> stats();

  Status set_tier(Tier tier);
  // Serves an active table from the cold tier until there is room again. False: something commits on it.
  bool evict();
  TableUsage usage() const;
  Result<std::shared_ptr<const Snapshot>> read_cold() override { return load(); }
  bool release_cold(ColdGarbage& freed) override;

  Status maintain();
  // If it is time to: follows what other writers committed, and reads back what this one did. Called by one thread.
  Status look(int64_t interval_us);
  const std::string& id() const { return spec_.table_id; }
  // No upkeep starts afterwards; waits for one that runs.
  void stop_upkeep();
  // And saves what the indexes have grown by.
  void close();

 private:
  struct PreparedGroup;
  struct CommitPlan;

  // While held, the snapshot stays in memory once it is there: what commits works on it.
  class Pin {
   public:
    explicit Pin(Table& table);
    ~Pin();
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;

   private:
    Table& table_;
  };

  // table.cc
  Result<std::shared_ptr<const Snapshot>> snapshot(int64_t deadline_us = INT64_MAX);
  Result<std::shared_ptr<const Snapshot>> load();
  Result<std::shared_ptr<const Snapshot>> load_as_left(std::shared_ptr<const Snapshot> snapshot);
  Result<LogState> load_log(Executor* io = nullptr) const;
  Result<LogState> newest_log(Executor* io = nullptr) const;
  bool may_be_cleaned(TimestampUs known_us) const;
  void note_log(LogState log, TimestampUs read_us);
  void change_tier(Tier tier, bool is_eviction = false);
  Status activate(int64_t deadline_us);
  Result<std::optional<TableStats>> stats_without_rows();
  std::optional<TableStats> recent_stats() const;
  Result<LogState> look_for_newest();
  // `indexes`: null leaves them as they are.
  void publish(std::shared_ptr<const Snapshot> next, std::shared_ptr<const IndexSet> indexes = nullptr);
  void publish_index(const std::string& vector_name, std::shared_ptr<const ColumnIndex> index);
  void count_memory();
  TableGauges::Values gauge_values(const ServedSnapshot& view) const;
  void tell_progress();
  std::shared_ptr<const Snapshot> current() const;
  std::shared_ptr<const Snapshot> followed() const;
  ServedSnapshot current_view() const;
  uint64_t resident_bytes() const;
  Status follow();
  Status catch_up();
  Status read_newest();
  Error gone() const;
  Error others_first() const;

  // table_cold.cc
  struct FreshCheck;
  struct ColdLease {
    std::shared_ptr<const ColdView> view;
    std::shared_ptr<FreshCheck> check;  // null: the view is new
  };
  int64_t cold_deadline(int64_t deadline_us) const;
  Result<ColdLease> lease_view();
  std::shared_ptr<const ColdView> kept_view() const;
  Result<std::shared_ptr<const ColdView>> open_view(const ColdView* previous);
  Result<LogState> newest_log_for_view();
  std::shared_ptr<FreshCheck> begin_fresh_check(int64_t version);
  // Whether an answer from `lease`, or its `error`, stands. False: there is a newer version, or a sidecar was broken; ask again.
  Result<bool> settle(const ColdLease& lease, const Error* error);
  std::shared_ptr<const ColdView> note_view(std::shared_ptr<const ColdView> view);
  void recount_view(const ColdView& view);
  void count_view(int64_t bytes);
  void ask_for_sidecars();
  Status make_sidecars();
  Status prepare_for_cold();

  // table_commit.cc
  Result<WriteResult> submit(PendingWrite& write, uint64_t bytes);
  Status check_budget(const WriteBatch& batch, uint64_t bytes);
  Status encode(PendingWrite& write, const Snapshot& snapshot);
  std::shared_ptr<void> prepare(const WriteGroup& group);
  void commit(const WriteGroup& group, PreparedGroup* prepared);
  Status commit_group(const WriteGroup& group, PreparedGroup& prepared, std::vector<GroupItem>& items);
  Result<ResolvedGroup> resolve(const WriteGroup& group, const PreparedGroup& prepared, std::vector<GroupItem>& items);
  Result<bool> try_commit(PreparedGroup& prepared, ResolvedGroup& resolved);
  Status plan_new_rows(PreparedGroup& prepared, ResolvedGroup& resolved, CommitPlan& plan, DeletionVectorFileBuilder& vectors);
  void plan_deletions(std::map<uint32_t, Bitmap>& deleted, CommitPlan& plan, DeletionVectorFileBuilder& vectors);
  void mark_deleted(SegmentView& view, Bitmap deleted, DeletionVectorFileBuilder& vectors);
  Result<SegmentView> write_rows(std::shared_ptr<const RowBlock> block);
  Result<bool> put_commit(CommitPlan& plan, std::string_view operation);
  int64_t now_ms() const;

  // table_repair.cc
  struct OwnCommit {
    int64_t version = 0;
    uint64_t digest = 0;       // of the entry's text
    int64_t committed_us = 0;  // on the steady clock
    bool read_back = false;
  };
  static constexpr size_t kMaxOwnCommits = 4096;
  static constexpr int kMaxRepairs = 8;
  Result<bool> is_behind(int64_t version);
  void note_own_commit(int64_t version, std::string_view text);
  Status verify_own_commits(int64_t min_age_us);
  Result<std::vector<int64_t>> replaced_of(std::span<const OwnCommit> commits) const;
  Result<bool> repair_if_replaced();
  Status repair_all(const std::vector<int64_t>& replaced);
  Result<bool> repair(const std::vector<int64_t>& replaced);

  // table_stale_rows.cc
  Result<std::shared_ptr<const Snapshot>> build(const LogState& log, const Snapshot* previous);
  Result<bool> remove_stale_rows();
  Result<LogState> log_without_stale_rows();

  // table_upkeep.cc
  void schedule_upkeep();
  void submit_upkeep();
  bool do_upkeep();
  void do_upkeep_until_done();
  bool upkeep_is_due(const Snapshot& snapshot) const;
  Status as_upkeep(const std::function<Status()>& steps);
  Status refresh();
  Status compact();
  Result<bool> compact_views(const Snapshot& base, const std::vector<SegmentView>& inputs);
  Result<std::optional<bool>> commit_compaction(const std::vector<SegmentView>& inputs, const std::vector<std::vector<uint32_t>>& taken,
                                                const SegmentView& output, const std::shared_ptr<const IndexSet>& indexes);
  Status checkpoint();
  Status clean_up();

  // table_index.cc
  bool index_is_due(const ServedSnapshot& view) const;
  int64_t index_backlog(const ServedSnapshot& view) const;
  // table_local.cc
  bool is_local(const Snapshot& snapshot) const;
  Status localize();
  Status save_indexes(std::optional<uint32_t> unsaved);
  std::shared_ptr<const IndexSet> load_indexes(const Snapshot& snapshot);
  void forget_local();

  Status index();
  // Brings the indexes nearer to the snapshot by a bounded amount of work. False: nothing is due.
  Result<bool> index_step();
  Result<bool> index_column(const ServedSnapshot& view, const VectorSpec& spec);
  Status rebuild_index(const ServedSnapshot& view, const VectorSpec& spec);
  Result<std::shared_ptr<const IndexSet>> moved_indexes(const std::vector<SegmentView>& inputs,
                                                        const std::vector<std::vector<uint32_t>>& taken, const Segment& output) const;
  Executor* background() const;
  void forget_tombstones(const std::vector<std::string>& keys, int64_t before_ms, const std::set<std::string>& stuck);
  std::set<std::string> referenced_paths(int64_t before_ms) const;
  Status remove_orphans(TimestampUs before_us);

  const std::shared_ptr<StoreShared> shared_;
  const TableSpec spec_;
  const TableFiles files_;
  const DeltaLog delta_log_;
  CommitQueue queue_;
  std::atomic<uint32_t> next_uid_{1};

  std::mutex cold_open_mutex_;  // one opens a view at a time
  mutable std::mutex cold_mutex_;
  std::shared_ptr<const ColdView> cold_view_;  // under cold_mutex_
  int64_t cold_view_bytes_ = 0;
  std::atomic<int64_t> sidecars_asked_us_{0};  // on the steady clock
  std::atomic<bool> going_cold_{false};

  std::mutex tier_change_mutex_;  // one set_tier() at a time
  mutable std::mutex tier_mutex_;
  std::atomic<Tier> tier_;                    // changed under tier_mutex_
  int pins_ = 0;                              // under tier_mutex_
  std::atomic<bool> evicted_{false};          // cold for want of room; changed with tier_
  std::atomic<uint64_t> evicted_bytes_{0};    // what it held then
  std::optional<TableStats> released_stats_;  // of the snapshot that was let go of, or as the log told; under tier_mutex_
  int64_t stats_looked_us_ = 0;               // when the log was last looked at for them, on the steady clock; under tier_mutex_
  std::atomic<TimestampUs> last_read_us_{0};
  std::atomic<bool> dropped_{false};
  std::atomic<int64_t> checkpointed_{-1};  // version of the newest checkpoint
  std::atomic<int64_t> used_us_{0};        // when a read or write came last, on the steady clock
  int64_t looked_us_ = 0;                  // touched by the follower's thread only
  TimestampUs seen_newest_us_ = 0;         // when a look last found nothing new; as looked_us_

  // Owned by the turn.
  LogState log_;
  std::shared_ptr<const Snapshot> as_left_;  // of log_ where it is not known to be the newest: no reader gets to see it
  bool unsure_ = false;
  bool repairing_ = false;                               // a put that another writer was before does not follow the log
  TimestampUs followed_us_ = 0;                          // when log_ was last known to be the newest
  std::deque<OwnCommit> own_commits_;                    // of the last seconds, oldest first
  std::map<std::string, int64_t> transaction_versions_;  // Delta version that holds each app's newest transaction, where known

  mutable std::mutex snapshot_mutex_;  // held for a pointer copy only
  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<const IndexSet> indexes_ = std::make_shared<const IndexSet>();  // changed by the one upkeep that runs
  int64_t snapshot_bytes_ = 0, published_bytes_ = 0;
  TableGauges gauges_;

  // What of an index is on the local disk. Touched by the one upkeep that runs, and while there is no snapshot.
  struct SavedIndex {
    uint64_t identity = 0;
    uint32_t nodes = 0;
    std::vector<ColumnIndex::Covered> covered;
  };
  std::map<std::string, SavedIndex> saved_indexes_;

  std::mutex upkeep_mutex_;
  std::condition_variable upkeep_changed_;
  TimestampUs next_orphan_scan_us_ = 0;  // touched by the one upkeep that runs
  bool upkeep_queued_ = false, upkeep_running_ = false, closed_ = false;
};

}  // namespace quarry::mvs
