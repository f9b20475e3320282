#include "pipeline/tiering_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace quarry::pipeline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using enum TieringStep;

constexpr TimestampUs kStart = 1'700'000'000'000'000;

std::vector<TieringStep> steps(const std::vector<TieringAction>& actions) {
  std::vector<TieringStep> out;
  for (const TieringAction& action : actions) out.push_back(action.step);
  return out;
}
std::vector<TieringStep> due(const TieringState& state, TimestampUs now) { return steps(due_tiering_actions(state, now)); }

TieringState active(int64_t evict_after_days) { return {.watched_since = kStart, .rules = {.evict_after_days = evict_after_days}}; }
TieringState cold(TieringRules rules) {
  return {.lifecycle = LifecycleState::kCold, .watched_since = kStart - kDayUs, .moved_at = kStart, .rules = rules};
}
TieringState announced(int64_t archive_after_days, TimestampUs at) {
  TieringState state = cold({.archive_after_days = archive_after_days});
  state.notice = {at, std::max(at + kArchiveNoticeUs, kStart + archive_after_days * kDayUs)};
  return state;
}

TEST(TieringPolicy, NoRuleNoAction) {
  for (LifecycleState lifecycle : {LifecycleState::kActive, LifecycleState::kCold, LifecycleState::kFrozen, LifecycleState::kArchived})
    EXPECT_THAT(next_tiering_actions({.lifecycle = lifecycle}, kStart + 10'000 * kDayUs), IsEmpty());
}

TEST(TieringPolicy, EvictsAtTheEndOfTheThreshold) {
  TieringState state = active(30);
  EXPECT_THAT(due(state, kStart + 30 * kDayUs - 1), IsEmpty());
  EXPECT_THAT(due(state, kStart + 30 * kDayUs), ElementsAre(kEvict));
  EXPECT_EQ(next_tiering_actions(state, kStart).at(0).due_at, kStart + 30 * kDayUs);
}

TEST(TieringPolicy, IdleTimeBeginsAtTheLatestOfQueryMoveAndWatch) {
  for (TimestampUs TieringState::*moment : {&TieringState::watched_since, &TieringState::moved_at, &TieringState::queried_at}) {
    TieringState state = active(1);
    state.*moment = kStart + 5 * kDayUs;
    EXPECT_THAT(due(state, kStart + 6 * kDayUs - 1), IsEmpty());
    EXPECT_THAT(due(state, kStart + 6 * kDayUs), ElementsAre(kEvict));
  }
}

TEST(TieringPolicy, RehydratesOnlyWhatWasQueriedSinceItBecameCold) {
  TieringState state = cold({.rehydrate = true});
  EXPECT_THAT(due(state, kStart + kDayUs), IsEmpty());
  state.queried_at = kStart;
  EXPECT_THAT(due(state, kStart + kDayUs), IsEmpty());
  state.queried_at = kStart + 1;
  EXPECT_THAT(due(state, kStart + 1), ElementsAre(kRehydrate));
  state.rules.rehydrate = false;
  EXPECT_THAT(due(state, kStart + kDayUs), IsEmpty());
}

TEST(TieringPolicy, ArchiveIsAnnouncedSevenDaysAhead) {
  const TieringState state = cold({.archive_after_days = 90});
  const TimestampUs announce_at = kStart + 83 * kDayUs;
  EXPECT_THAT(due(state, announce_at - 1), IsEmpty());
  const auto actions = due_tiering_actions(state, announce_at);
  ASSERT_THAT(steps(actions), ElementsAre(kAnnounceArchive));
  EXPECT_EQ(actions[0].archive_at, kStart + 90 * kDayUs);
  EXPECT_EQ(due_tiering_actions(state, kStart + 200 * kDayUs).at(0).archive_at, kStart + 207 * kDayUs);  // late: the notice stays whole
  EXPECT_EQ(next_tiering_actions(state, kStart).at(0).archive_at, kStart + 90 * kDayUs);
}

TEST(TieringPolicy, ShortThresholdsWaitForTheNoticeToo) {
  const TieringState state = cold({.archive_after_days = 1});
  EXPECT_THAT(due(state, kStart + kDayUs - 1), IsEmpty());
  const auto actions = due_tiering_actions(state, kStart + kDayUs);
  ASSERT_THAT(steps(actions), ElementsAre(kAnnounceArchive));
  EXPECT_EQ(actions[0].archive_at, kStart + kDayUs + kArchiveNoticeUs);
}

TEST(TieringPolicy, ArchivesWhenTheAnnouncedTimeHasCome) {
  const TieringState state = announced(90, kStart + 83 * kDayUs);
  EXPECT_THAT(due(state, kStart + 90 * kDayUs - 1), IsEmpty());
  EXPECT_THAT(due(state, kStart + 90 * kDayUs), ElementsAre(kArchive));
}

TEST(TieringPolicy, AnnouncementThatPromisesLessThanTheNoticeIsStretched) {
  TieringState state = announced(1, kStart);
  state.notice->archive_at = kStart + 2 * kDayUs;  // as a damaged or foreign row might
  EXPECT_THAT(due(state, kStart + kArchiveNoticeUs - 1), IsEmpty());
  EXPECT_THAT(due(state, kStart + kArchiveNoticeUs), ElementsAre(kArchive));
}

TEST(TieringPolicy, QueryCancelsAnAnnouncedArchive) {
  TieringState state = announced(90, kStart + 83 * kDayUs);
  state.queried_at = state.notice->announced_at + 1;
  const auto actions = due_tiering_actions(state, kStart + 100 * kDayUs);
  ASSERT_THAT(steps(actions), ElementsAre(kCancelArchive));
  EXPECT_THAT(actions[0].reason, HasSubstr("queried"));
  state.rules.rehydrate = true;
  EXPECT_THAT(due(state, kStart + 100 * kDayUs), ElementsAre(kCancelArchive, kRehydrate));
}

TEST(TieringPolicy, AnnouncementsFallWithWhatTheyRestOn) {
  const TimestampUs at = kStart + 83 * kDayUs, now = kStart + 100 * kDayUs;
  TieringState state = announced(90, at);
  state.rules.archive_after_days.reset();
  EXPECT_THAT(due(state, now), ElementsAre(kCancelArchive));
  state = announced(90, at);
  state.rules.archive_after_days = 120;
  EXPECT_THAT(due(state, now), ElementsAre(kCancelArchive));
  state = announced(90, at);
  state.rules.archive_after_days = 10;  // sooner: what was announced stands
  EXPECT_THAT(due(state, kStart + 90 * kDayUs - 1), IsEmpty());
  state = announced(90, at);
  state.moved_at = at + 1;
  EXPECT_THAT(due(state, now), ElementsAre(kCancelArchive));
  for (LifecycleState lifecycle : {LifecycleState::kActive, LifecycleState::kFrozen}) {
    state = announced(90, at);
    state.lifecycle = lifecycle;
    EXPECT_THAT(due(state, now), ElementsAre(kCancelArchive)) << to_string(lifecycle);
  }
}

TEST(TieringPolicy, FrozenIsLeftAloneAndArchivedIsTheEnd) {
  TieringState state = announced(1, kStart);
  state.rules = {.evict_after_days = 1, .archive_after_days = 1, .rehydrate = true};
  state.queried_at = kStart + 1;
  state.lifecycle = LifecycleState::kArchived;
  EXPECT_THAT(next_tiering_actions(state, kStart + 100 * kDayUs), IsEmpty());
  state.notice.reset();
  state.lifecycle = LifecycleState::kFrozen;
  EXPECT_THAT(next_tiering_actions(state, kStart + 100 * kDayUs), IsEmpty());
}

TEST(TieringPolicy, NothingMovesWhatIsMoving) {
  TieringState state = active(1);
  state.is_moving = true;
  EXPECT_THAT(next_tiering_actions(state, kStart + 100 * kDayUs), IsEmpty());
  state = announced(1, kStart);
  state.is_moving = true;
  EXPECT_THAT(next_tiering_actions(state, kStart + 100 * kDayUs), IsEmpty());
  state = cold({.archive_after_days = 1, .rehydrate = true});
  state.queried_at = kStart + 1;
  state.is_moving = true;
  EXPECT_THAT(next_tiering_actions(state, kStart + 100 * kDayUs), IsEmpty());
}

TEST(TieringPolicy, WhatIsToComeBackIsNotArchived) {
  TieringState state = announced(90, kStart + 83 * kDayUs);
  state.queried_at = kStart + 1;
  state.notice->archive_at = kStart + 91 * kDayUs;
  EXPECT_THAT(due(state, kStart + 91 * kDayUs), ElementsAre(kArchive));
  state.rules.rehydrate = true;  // only now: the query was before the announcement
  EXPECT_THAT(due(state, kStart + 91 * kDayUs), ElementsAre(kCancelArchive, kRehydrate));
}

// What carrying an action out does to the state.
void apply(const TieringAction& action, TieringState& state, TimestampUs now) {
  const auto move = [&](LifecycleState to) {
    state.lifecycle = to;
    state.moved_at = now;
  };
  switch (action.step) {
    case kRehydrate: return move(LifecycleState::kActive);
    case kEvict: return move(LifecycleState::kCold);
    case kArchive: return move(LifecycleState::kArchived);
    case kCancelArchive: state.notice.reset(); return;
    case kAnnounceArchive: state.notice = {now, action.archive_at}; return;
  }
}

// Random lives of collections: an action that was carried out is not asked for again, and nothing is archived without an announcement that
// stood for seven days without a query.
TEST(TieringPolicy, RandomLivesKeepThePromises) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto below = [&](int64_t bound) { return static_cast<int64_t>(random() % static_cast<uint64_t>(bound)); };
    TieringState state{.watched_since = kStart};
    TimestampUs now = kStart, announced_at = 0;
    for (int i = 0; i < 300 && state.lifecycle != LifecycleState::kArchived; ++i) {
      now += below(5 * kDayUs);
      const int64_t event = below(12);
      if (event == 0) state.queried_at = now;
      if (event == 1) state.rules = {.evict_after_days = 1 + below(20), .archive_after_days = 1 + below(20), .rehydrate = below(2) == 0};
      if (event == 2) state.rules.archive_after_days.reset();
      if (event == 3 && below(4) == 0) state.lifecycle = LifecycleState::kFrozen, state.moved_at = now;
      if (event == 4 && state.lifecycle == LifecycleState::kFrozen) state.lifecycle = LifecycleState::kCold, state.moved_at = now;
      std::set<TieringStep> taken;
      for (auto actions = due_tiering_actions(state, now); !actions.empty(); actions = due_tiering_actions(state, now)) {
        const TieringAction& action = actions.front();
        ASSERT_TRUE(taken.insert(action.step).second) << to_string(action.step);
        ASSERT_NE(state.lifecycle, LifecycleState::kArchived);
        ASSERT_TRUE(action.step == kCancelArchive || state.lifecycle != LifecycleState::kFrozen);
        if (action.step == kAnnounceArchive) announced_at = now;
        if (action.step == kCancelArchive) announced_at = 0;
        if (action.step == kArchive) {
          ASSERT_GT(announced_at, 0);
          ASSERT_GE(now - announced_at, kArchiveNoticeUs);
          ASSERT_LE(state.queried_at, announced_at);
        }
        apply(action, state, now);
      }
    }
  }
}

}  // namespace
}  // namespace quarry::pipeline
