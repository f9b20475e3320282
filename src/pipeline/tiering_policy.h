// What a collection's tiering rules ask for. Pure: pipeline/tiering.h obeys, the dry run shows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/collection.h"

namespace quarry::pipeline {

inline constexpr int64_t kDayUs = 86'400'000'000;
inline constexpr int64_t kArchiveNoticeUs = 7 * kDayUs;  // between announcing an archive and carrying it out, at least

struct ArchiveNotice {
  TimestampUs announced_at = 0, archive_at = 0;
};

struct TieringState {
  LifecycleState lifecycle = LifecycleState::kActive;
  bool is_moving = false;         // a change is under way
  TimestampUs watched_since = 0;  // from when on its queries are known; it counts as used until then
  TimestampUs moved_at = 0;       // 0: never
  TimestampUs queried_at = 0;     // 0: not known to have been
  TieringRules rules;
  std::optional<ArchiveNotice> notice;
};

enum class TieringStep {
  kRehydrate,        // cold, and queried since it became so
  kEvict,            // active, and without a query for auto_evict's days
  kAnnounceArchive,  // cold, a day without a query at least, and the days of auto_archive end within kArchiveNoticeUs
  kCancelArchive,    // queried since the announcement, or what it rested on is gone
  kArchive,          // the announced time has come
};
std::string_view to_string(TieringStep step);  // "rehydrate", "evict", "announce_archive", "cancel_archive", "archive"
std::string_view rule_of(TieringStep step);    // "auto_rehydrate", ...

struct TieringAction {
  TieringStep step = TieringStep::kEvict;
  TimestampUs due_at = 0;
  TimestampUs archive_at = 0;  // of kAnnounceArchive: the time to announce, if it is announced now or, when later, at due_at
  std::string reason;
};

// The later of its last query, its last move and watched_since.
TimestampUs idle_since(const TieringState& state);

// What comes next if nobody queries the collection or changes its rules, each with its time; what is due stands before what is not. A
// frozen collection is only taken back from being archived, an archived one stays as it is. kArchive is never among them unless the state
// holds an announcement that is at least kArchiveNoticeUs older than its due_at. Carrying an action out makes it go away.
std::vector<TieringAction> next_tiering_actions(const TieringState& state, TimestampUs now);
// Those to carry out now, in this order.
std::vector<TieringAction> due_tiering_actions(const TieringState& state, TimestampUs now);

}  // namespace quarry::pipeline
