#include "base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <set>

namespace quarry {
namespace {

TEST(Executor, RunsWhatIsSubmitted) {
  std::atomic<int> sum{0};
  {
    Executor executor("test", 4, 10);
    for (int i = 1; i <= 100; ++i) EXPECT_TRUE(executor.submit([&sum, i] { sum += i; }));
  }  // the destructor runs what is queued
  EXPECT_EQ(sum, 5'050);
}

// A pool of one whose thread waits until released.
struct BlockedExecutor {
  explicit BlockedExecutor(size_t queue_limit) : executor("blocked", 1, queue_limit) {
    EXPECT_TRUE(executor.submit([this] {
      running.set_value();
      release.get_future().wait();
    }));
    running.get_future().wait();
  }
  std::promise<void> running, release;
  Executor executor;
};

TEST(Executor, TrySubmitRefusesWhenFull) {
  BlockedExecutor blocked(2);
  std::atomic<int> ran{0};
  EXPECT_TRUE(blocked.executor.try_submit([&] { ++ran; }));
  EXPECT_TRUE(blocked.executor.try_submit([&] { ++ran; }));
  EXPECT_FALSE(blocked.executor.try_submit([&] { ++ran; }));
  EXPECT_EQ(blocked.executor.queued(), 2u);
  blocked.release.set_value();
  blocked.executor.stop();
  EXPECT_EQ(ran, 2);
}

TEST(Executor, SubmitWaitsForRoom) {
  BlockedExecutor blocked(1);
  ASSERT_TRUE(blocked.executor.submit([] {}));
  std::atomic<bool> submitted{false};
  std::atomic<bool> ran{false};
  std::thread waiting([&] {
    EXPECT_TRUE(blocked.executor.submit([&] { ran = true; }));
    submitted = true;
  });
  EXPECT_FALSE(submitted);
  blocked.release.set_value();
  waiting.join();
  blocked.executor.stop();
  EXPECT_TRUE(ran);
}

TEST(Executor, StoppingRefusesNewWorkAndWakesThoseWhoWait) {
  BlockedExecutor blocked(1);
  ASSERT_TRUE(blocked.executor.submit([] {}));
  std::promise<bool> outcome;
  std::thread waiting([&] { outcome.set_value(blocked.executor.submit([] {})); });
  std::thread stopping([&] { blocked.executor.stop(); });
  // Full until released, so the waiter returns only because of the stop, or after room was made before it.
  blocked.release.set_value();
  outcome.get_future().wait();
  waiting.join();
  stopping.join();
  EXPECT_FALSE(blocked.executor.submit([] {}));
  EXPECT_FALSE(blocked.executor.try_submit([] {}));
  blocked.executor.stop();  // again is fine
}

// Tasks that tell how many of them run at once, and end when told to.
struct Meeting {
  explicit Meeting(size_t at_once) : executor("meeting", 8, 100, 0, at_once) {}
  void add(bool says_so) {
    EXPECT_TRUE(executor.submit([this, says_so] {
      std::unique_lock lock(mutex);
      most = std::max(most, ++inside);
      changed.notify_all();
      if (says_so) {
        const Waiting waiting;
        changed.wait(lock, [&] { return over; });
      } else {
        changed.wait(lock, [&] { return over; });
      }
      --inside;
    }));
  }
  void wait_for(int wanted) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return inside >= wanted; });
  }
  void end() {
    std::lock_guard lock(mutex);
    over = true;
    changed.notify_all();
  }
  std::mutex mutex;
  std::condition_variable changed;
  int inside = 0, most = 0;
  bool over = false;
  Executor executor;
};

TEST(Executor, TasksThatSayTheyWaitMakeRoomForOthers) {
  Meeting meeting(2);
  for (int i = 0; i < 8; ++i) meeting.add(true);
  meeting.wait_for(8);
  meeting.end();
}

TEST(Executor, TasksThatStallWithoutSayingSoDoNotHoldUpTheRest) {
  Meeting meeting(2);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 8; ++i) meeting.add(false);
  meeting.wait_for(8);
  EXPECT_GE(std::chrono::steady_clock::now() - began, 6 * Executor::kStall) << "each of the last six waited for a stall";
  meeting.end();
}

// Two tasks that are stuck, and one that waits often and briefly: the next ones must not wait for it to end.
TEST(Executor, ShortWaitsOfOneDoNotHideThatOthersAreStuck) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::promise<void> begun;
  std::atomic<bool> over{false};
  Executor executor("test", 8, 100, 0, 2);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(executor.submit([released] { released.wait(); }));
  ASSERT_TRUE(executor.submit([&] {
    while (!over) {
      const Waiting waiting;
      std::this_thread::yield();
    }
  }));
  ASSERT_TRUE(executor.submit([&] { begun.set_value(); }));
  begun.get_future().wait();
  over = true;
  release.set_value();
}

TEST(Executor, NoMoreRunAtOnceThanAllowed) {
  constexpr int kTasks = 5'000;
  std::atomic<int> inside{0}, ran{0}, beyond{0};
  std::promise<void> all;
  Executor executor("test", 8, kTasks, 0, 2);
  for (int i = 0; i < kTasks; ++i)
    EXPECT_TRUE(executor.submit([&] {
      if (++inside > 2) ++beyond;
      --inside;
      if (++ran == kTasks) all.set_value();
    }));
  all.get_future().wait();
  executor.stop();
  EXPECT_LT(beyond, kTasks / 20) << "but where the machine stood still, as after a stall";
}

TEST(ParallelFor, RunsEachIndexOnce) {
  Executor executor("test", 4, 100);
  for (size_t count : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{1'000}}) {
    std::vector<std::atomic<int>> runs(count);
    parallel_for(&executor, count, [&](size_t i) { ++runs[i]; });
    for (const auto& n : runs) EXPECT_EQ(n, 1);
  }
}

TEST(ParallelFor, WorksWithoutAnExecutorAndWithAStoppedOne) {
  int sum = 0;
  parallel_for(nullptr, 10, [&](size_t i) { sum += static_cast<int>(i); });
  EXPECT_EQ(sum, 45);
  Executor stopped("test", 2, 10);
  stopped.stop();
  std::atomic<int> total{0};
  parallel_for(&stopped, 10, [&](size_t i) { total += static_cast<int>(i); });
  EXPECT_EQ(total, 45);
}

// Every thread of the pool waits for work that only the pool could take: the caller must do it itself.
TEST(ParallelFor, NestsInsideItsOwnPool) {
  Executor executor("test", 2, 4);
  std::atomic<int> leaves{0};
  parallel_for(&executor, 8,
               [&](size_t) { parallel_for(&executor, 8, [&](size_t) { parallel_for(&executor, 4, [&](size_t) { ++leaves; }); }); });
  EXPECT_EQ(leaves, 8 * 8 * 4);
}

TEST(ParallelFor, UsesTheCallerWhenThePoolIsBusy) {
  BlockedExecutor blocked(10);
  std::set<std::thread::id> threads;
  parallel_for(&blocked.executor, 20, [&](size_t) { threads.insert(std::this_thread::get_id()); });
  EXPECT_EQ(threads, std::set{std::this_thread::get_id()});
  blocked.release.set_value();
}

TEST(ParallelFor, SpreadsOverThreads) {
  Executor executor("test", 3, 10);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::condition_variable arrived;
  // No index ends before two threads are at work.
  parallel_for(&executor, 4, [&](size_t) {
    std::unique_lock lock(mutex);
    threads.insert(std::this_thread::get_id());
    arrived.notify_all();
    arrived.wait(lock, [&] { return threads.size() >= 2; });
  });
  EXPECT_GE(threads.size(), 2u);
}

}  // namespace
}  // namespace quarry
