#include "pipeline/tiering_policy.h"

#include <fmt/format.h>

#include <algorithm>

namespace quarry::pipeline {
namespace {

struct StepNames {
  TieringStep step;
  std::string_view name, rule;
};
constexpr StepNames kSteps[] = {{TieringStep::kRehydrate, "rehydrate", kAutoRehydrate},
                                {TieringStep::kEvict, "evict", kAutoEvict},
                                {TieringStep::kAnnounceArchive, "announce_archive", kAutoArchive},
                                {TieringStep::kCancelArchive, "cancel_archive", kAutoArchive},
                                {TieringStep::kArchive, "archive", kAutoArchive}};

const StepNames& names_of(TieringStep step) {
  return *std::find_if(std::begin(kSteps), std::end(kSteps), [&](const StepNames& names) { return names.step == step; });
}

std::string days(int64_t count) { return fmt::format("{} day{}", count, count == 1 ? "" : "s"); }

// When auto_archive's days are over.
TimestampUs archive_time(const TieringState& state) { return idle_since(state) + *state.rules.archive_after_days * kDayUs; }

bool is_to_come_back(const TieringState& state) {
  return state.lifecycle == LifecycleState::kCold && state.rules.rehydrate && state.queried_at > state.moved_at;
}

// Why the announcement no longer holds; empty while it does.
std::string reason_to_cancel(const TieringState& state) {
  const ArchiveNotice& notice = *state.notice;
  if (state.lifecycle != LifecycleState::kCold) return fmt::format("the collection is {}", to_string(state.lifecycle));
  if (!state.rules.archive_after_days) return "auto_archive is no longer enabled";
  if (state.queried_at > notice.announced_at) return "queried after the announcement";
  if (is_to_come_back(state)) return "auto_rehydrate brings the collection back";
  if (idle_since(state) > notice.announced_at) return "moved after the announcement";
  if (archive_time(state) > notice.archive_at) return fmt::format("not due before {}", format_timestamp(archive_time(state)));
  return {};
}

std::optional<TieringAction> of_announcement(const TieringState& state, TimestampUs now) {
  if (std::string reason = reason_to_cancel(state); !reason.empty()) return TieringAction{TieringStep::kCancelArchive, now, 0, reason};
  if (state.is_moving) return std::nullopt;
  const TimestampUs due_at = std::max(state.notice->archive_at, state.notice->announced_at + kArchiveNoticeUs);
  return TieringAction{TieringStep::kArchive, due_at, 0,
                       fmt::format("cold without a query for {}, announced at {}", days(*state.rules.archive_after_days),
                                   format_timestamp(state.notice->announced_at))};
}

TieringAction announcement(const TieringState& state, TimestampUs now) {
  // A day without a query at least, so that a collection in use is not announced again and again.
  TieringAction action{TieringStep::kAnnounceArchive, std::max(archive_time(state) - kArchiveNoticeUs, idle_since(state) + kDayUs), 0, {}};
  action.archive_at = std::max(archive_time(state), std::max(now, action.due_at) + kArchiveNoticeUs);
  action.reason = fmt::format("cold without a query: to be archived after {}", days(*state.rules.archive_after_days));
  return action;
}

void add_moves(const TieringState& state, TimestampUs now, std::vector<TieringAction>& actions) {
  const TieringRules& rules = state.rules;
  if (state.lifecycle == LifecycleState::kActive && rules.evict_after_days) {
    actions.push_back({TieringStep::kEvict, idle_since(state) + *rules.evict_after_days * kDayUs, 0,
                       fmt::format("no query for {}", days(*rules.evict_after_days))});
  }
  if (state.lifecycle != LifecycleState::kCold) return;
  if (is_to_come_back(state)) {
    actions.push_back({TieringStep::kRehydrate, state.queried_at, 0, "queried while cold"});
  } else if (rules.archive_after_days && !state.notice) {
    actions.push_back(announcement(state, now));
  }
}

}  // namespace

std::string_view to_string(TieringStep step) { return names_of(step).name; }
std::string_view rule_of(TieringStep step) { return names_of(step).rule; }

TimestampUs idle_since(const TieringState& state) { return std::max({state.queried_at, state.moved_at, state.watched_since}); }

std::vector<TieringAction> next_tiering_actions(const TieringState& state, TimestampUs now) {
  std::vector<TieringAction> actions;
  if (state.lifecycle == LifecycleState::kArchived) return actions;
  if (state.notice) {
    if (auto action = of_announcement(state, now)) actions.push_back(std::move(*action));
  }
  if (!state.is_moving) add_moves(state, now, actions);
  std::stable_partition(actions.begin(), actions.end(), [&](const TieringAction& action) { return action.due_at <= now; });
  return actions;
}

std::vector<TieringAction> due_tiering_actions(const TieringState& state, TimestampUs now) {
  std::vector<TieringAction> actions = next_tiering_actions(state, now);
  std::erase_if(actions, [&](const TieringAction& action) { return action.due_at > now; });
  return actions;
}

}  // namespace quarry::pipeline
