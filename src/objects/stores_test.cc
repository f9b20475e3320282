// What is particular to single stores; what they share is in object_store_battery.cc.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <barrier>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/temporary_folder.h"
#include "objects/counting_store.h"
#include "objects/local_reader.h"
#include "objects/object_store.h"
#include "objects/power_cut_store.h"

namespace quarry::objects {
namespace {

namespace fs = std::filesystem;

class LocalStoreTest : public testing::Test {
 protected:
  std::unique_ptr<ObjectStore> open() {
    auto opened = open_local_store(root_);
    EXPECT_TRUE(opened.ok());
    return std::move(opened).value();
  }
  void write(const fs::path& path, std::string_view bytes) { std::ofstream(path) << bytes; }

  const TemporaryFolder made_{"quarry-local"};
  const fs::path& root_ = made_.path();
};

TEST_F(LocalStoreTest, KeysAreFiles) {
  auto store = open();
  ASSERT_TRUE(store->put("a/b", "x").ok());
  EXPECT_EQ(*read_file(root_ / "a" / "b"), "x");
  EXPECT_EQ(*store->local_path("a/b"), root_ / "a" / "b");
  EXPECT_FALSE(store->local_path("../x").has_value());
  EXPECT_EQ(store->describe(), "file://" + root_.string());
}

TEST_F(LocalStoreTest, SurvivesReopening) {
  ASSERT_TRUE(open()->put("a/b", "x").ok());
  EXPECT_EQ(*open()->get("a/b"), "x");
}

TEST_F(LocalStoreTest, LeavesNoTemporaryFilesAndNoEmptyFolders) {
  auto store = open();
  ASSERT_TRUE(store->put("a/b/c", "x").ok());
  ASSERT_TRUE(store->put("a/d", "x").ok());
  EXPECT_FALSE(store->put_if_absent("a/d", "y").ok());
  EXPECT_TRUE(fs::is_empty(root_ / ".quarry-tmp"));
  ASSERT_TRUE(store->remove("a/b/c").ok());
  EXPECT_FALSE(fs::exists(root_ / "a" / "b"));
  EXPECT_TRUE(fs::exists(root_ / "a" / "d"));
}

TEST_F(LocalStoreTest, ClearsOldGarbageOnly) {
  open();
  write(root_ / ".quarry-tmp" / ".tmp-old", "torn");
  write(root_ / ".quarry-tmp" / ".tmp-new", "in flight");
  timespec hour_ago[2] = {{time(nullptr) - 3'600, 0}, {time(nullptr) - 3'600, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, (root_ / ".quarry-tmp" / ".tmp-old").c_str(), hour_ago, 0), 0);
  open();
  EXPECT_FALSE(fs::exists(root_ / ".quarry-tmp" / ".tmp-old"));
  EXPECT_TRUE(fs::exists(root_ / ".quarry-tmp" / ".tmp-new"));
}

TEST_F(LocalStoreTest, ItsOwnFolderIsNoKey) {
  auto store = open();
  EXPECT_EQ(store->put(".quarry-tmp/x", "x").error().kind, ErrorKind::kBadRequest);
  write(root_ / ".quarry-tmp" / "x", "x");
  EXPECT_TRUE(store->list("", "", 10)->empty());
  EXPECT_TRUE(store->list(".quarry-tmp/", "", 10)->empty());
}

TEST_F(LocalStoreTest, RefusesAKeyThatIsAFolder) {
  auto store = open();
  ASSERT_TRUE(store->put("a/b", "x").ok());
  EXPECT_EQ(store->put("a", "x").error().kind, ErrorKind::kBadRequest);
  EXPECT_EQ(store->put_if_absent("a", "x").error().kind, ErrorKind::kBadRequest);
  EXPECT_EQ(store->put("a/b/c", "x").error().kind, ErrorKind::kBadRequest);
  EXPECT_EQ(*store->get("a/b"), "x");
}

TEST_F(LocalStoreTest, DoesNotListLinksOrDevices) {
  auto store = open();
  ASSERT_TRUE(store->put("a/b", "x").ok());
  fs::create_symlink("/etc/passwd", root_ / "a" / "link");
  fs::create_directory_symlink("/etc", root_ / "dirlink");
  ASSERT_EQ(mkfifo((root_ / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(store->list("", "", 10)->size(), 1u);
}

TEST_F(LocalStoreTest, AReaderFollowsNoLink) {
  auto store = open();
  ASSERT_TRUE(store->put("theirs/x/y", "secret").ok());
  ASSERT_TRUE(store->put("mine/x/y", "own").ok());
  fs::create_directory_symlink("../theirs", root_ / "mine" / "folder");
  fs::create_symlink("../theirs/x/y", root_ / "mine" / "file");
  fs::create_directory_symlink("x", root_ / "mine" / "inside");
  ASSERT_EQ(mkfifo((root_ / "mine" / "pipe").c_str(), 0600), 0);
  const auto reader = open_local_reader(root_).value();
  for (const char* key :
       {"mine/folder/x/y", "mine/file", "mine/inside/y", "mine/folder", "mine/pipe", "mine/x", "mine/x/y/z", "mine/absent"}) {
    EXPECT_EQ(reader->head(key).error().kind, ErrorKind::kNotFound) << key;
    EXPECT_EQ(reader->get(key).error().kind, ErrorKind::kNotFound) << key;
    EXPECT_EQ(reader->get_range(key, 0, 3).error().kind, ErrorKind::kNotFound) << key;
  }
  for (const char* prefix : {"mine/folder/", "mine/folder/x/", "mine/inside/"})
    EXPECT_TRUE(reader->list(prefix, "", 10)->empty()) << prefix;
  EXPECT_EQ(*reader->get("mine/x/y"), "own");
  EXPECT_EQ(*reader->get_range("mine/x/y", 1, 9), "wn");
  EXPECT_EQ(reader->head("mine/x/y")->size, 3u);
  EXPECT_EQ(reader->list("mine/x/", "", 10)->size(), 1u);
  EXPECT_EQ(reader->local_path("mine/x/y"), std::nullopt);
}

TEST(OpenLocalStore, NamesTheFolderItCannotMake) {
  auto opened = open_local_store("/proc/nowhere/x");
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find("/proc/nowhere"), std::string::npos) << opened.error().message;
}

TEST(CountingStore, Counts) {
  auto memory = make_memory_store();
  CountingStore store(*memory);
  ASSERT_TRUE(store.put("a", "12345").ok());
  ASSERT_TRUE(store.put_if_absent("b", "123").ok());
  EXPECT_FALSE(store.put_if_absent("b", "1234567").ok());
  EXPECT_TRUE(store.get("a").ok());
  EXPECT_FALSE(store.get("absent").ok());
  EXPECT_TRUE(store.get_range("a", 1, 2).ok());
  EXPECT_TRUE(store.head("a").ok());
  EXPECT_TRUE(store.list("", "", 10).ok());
  EXPECT_TRUE(store.remove("a").ok());
  StoreCounts counts = store.counts();
  EXPECT_EQ(counts.puts, 3u);
  EXPECT_EQ(counts.gets, 2u);
  EXPECT_EQ(counts.range_gets, 1u);
  EXPECT_EQ(counts.heads, 1u);
  EXPECT_EQ(counts.lists, 1u);
  EXPECT_EQ(counts.removes, 1u);
  EXPECT_EQ(counts.bytes_read, 7u);
  EXPECT_EQ(counts.bytes_written, 8u);
  store.reset();
  EXPECT_EQ(store.counts().puts, 0u);
}

TEST(FaultyStore, FailsBeforeWithoutEffectAndAfterWithEffect) {
  auto memory = make_memory_store();
  auto before = make_faulty_store(*memory, {.seed = 1, .fail_before = 1});
  EXPECT_EQ(before->put("a", "x").error().kind, ErrorKind::kStorage);
  EXPECT_EQ(before->get("a").error().kind, ErrorKind::kStorage);
  EXPECT_EQ(memory->get("a").error().kind, ErrorKind::kNotFound);
  auto after = make_faulty_store(*memory, {.seed = 1, .fail_after = 1});
  EXPECT_EQ(after->put("a", "x").error().kind, ErrorKind::kStorage);
  EXPECT_EQ(*after->get("a"), "x");
}

TEST(FaultyStore, RepeatsItsSeed) {
  auto trace = [](uint64_t seed) {
    auto memory = make_memory_store();
    auto store = make_faulty_store(*memory, {.seed = seed, .fail_before = 0.5});
    std::string out;
    for (int i = 0; i < 64; ++i) out.push_back(store->put("a", "x").ok() ? '1' : '0');
    return out;
  };
  EXPECT_EQ(trace(5), trace(5));
  EXPECT_NE(trace(5), trace(6));
}

// Forwards to memory; fails as scripted.
class ScriptedStore : public ObjectStore {
 public:
  Status put(std::string_view, std::string_view) override { return next(); }
  Status put_if_absent(std::string_view key, std::string_view bytes) override {
    if (write_then_fail_ && calls_++ == 0) {
      (void)memory_->put(key, bytes);
      return storage_error("connection reset");
    }
    Status status = next();
    return status.ok() ? memory_->put_if_absent(key, bytes) : std::move(status);
  }
  Result<std::string> get(std::string_view key) override { return memory_->get(key); }
  Result<std::string> get_range(std::string_view key, uint64_t o, uint64_t n) override { return memory_->get_range(key, o, n); }
  Result<ObjectInfo> head(std::string_view key) override { return memory_->head(key); }
  Result<std::vector<ObjectInfo>> list(std::string_view p, std::string_view a, size_t n) override { return memory_->list(p, a, n); }
  Status remove(std::string_view key) override { return memory_->remove(key); }
  std::string describe() const override { return "scripted"; }

  Status next() {
    ++calls_;
    return error_ ? Status(*error_) : Status(Ok{});
  }

  std::unique_ptr<ObjectStore> memory_ = make_memory_store();
  std::optional<Error> error_;
  bool write_then_fail_ = false;
  int calls_ = 0;
};

TEST(RetryingStore, GivesUpAfterItsAttempts) {
  ScriptedStore inner;
  inner.error_ = storage_error("down");
  auto store = make_retrying_store(inner, 4, 10);
  EXPECT_EQ(store->put("a", "x").error().message, "down");
  EXPECT_EQ(inner.calls_, 4);
}

TEST(RetryingStore, DoesNotRetryWhatWillNotPass) {
  ScriptedStore inner;
  auto store = make_retrying_store(inner, 4, 10);
  inner.error_ = bad_request("no");
  EXPECT_FALSE(store->put("a", "x").ok());
  EXPECT_EQ(inner.calls_, 1);
  inner.error_ = errno_error("write", "f", ENOSPC);
  EXPECT_FALSE(store->put("a", "x").ok());
  EXPECT_EQ(inner.calls_, 2);
}

TEST(RetryingStore, RecognisesItsOwnWrite) {
  ScriptedStore inner;
  inner.write_then_fail_ = true;
  auto store = make_retrying_store(inner, 4, 10);
  EXPECT_TRUE(store->put_if_absent("a", "mine").ok());
}

TEST(RetryingStore, SeesThatAnotherWon) {
  ScriptedStore inner;
  ASSERT_TRUE(inner.memory_->put("a", "theirs").ok());
  auto faulty = make_faulty_store(inner, {.seed = 3, .fail_before = 0.5});
  auto store = make_retrying_store(*faulty, 50, 10);
  EXPECT_EQ(store->put_if_absent("a", "mine").error().kind, ErrorKind::kAlreadyExists);
}

TEST(RetryingStore, SaysWhenTheOutcomeIsUnknown) {
  ScriptedStore inner;
  inner.error_ = storage_error("down");
  auto store = make_retrying_store(inner, 2, 10);
  EXPECT_EQ(store->put_if_absent("a", "x").error().details.at("outcome"), "unknown");
}

TEST(FaultyStore, WaitsThroughItsSeamAndHidesNothing) {
  auto memory = make_memory_store();
  int64_t waited_us = 0;
  auto slow = make_faulty_store(*memory, {.latency_us = 60'000, .wait = [&](int64_t us) { waited_us += us; }});
  ASSERT_TRUE(slow->put("a", "x").ok());
  EXPECT_EQ(*slow->get("a"), "x");
  EXPECT_EQ(*slow->get_range("a", 0, 1), "x");
  EXPECT_TRUE(slow->head("a").ok());
  EXPECT_EQ(slow->list("", "", 5)->size(), 1u);
  EXPECT_TRUE(slow->remove("a").ok());
  EXPECT_EQ(waited_us, 6 * 60'000);
}

// Two callers are inside their waits at the same time: neither holds what the other needs.
TEST(FaultyStore, CallersWaitBesideEachOther) {
  auto memory = make_memory_store();
  std::barrier both(2);
  auto slow = make_faulty_store(*memory, {.latency_us = 1, .wait = [&](int64_t) { both.arrive_and_wait(); }});
  std::thread other([&] { EXPECT_TRUE(slow->put("a", "x").ok()); });
  EXPECT_TRUE(slow->put("b", "x").ok());
  other.join();
}

TEST(FaultyStore, TearsAPut) {
  auto memory = make_memory_store();
  auto faulty = make_faulty_store(*memory, {.seed = 1, .tear = 1});
  EXPECT_FALSE(faulty->put("a", std::string(100, 'x')).ok());
  EXPECT_LT(memory->get("a")->size(), 100u);
}

TEST(PowerCutStore, TakesBackWhatWasNotSynced) {
  auto memory = make_memory_store();
  PowerCutStore store(*memory);
  ASSERT_TRUE(store.put("safe", "safe").ok());
  store.sync();
  PowerCutStore::Losses all;
  Rng rng(7);
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(store.put("fresh", "new bytes").ok());
    ASSERT_TRUE(store.put("safe", "changed").ok());
    auto losses = store.power_cut(rng);
    ASSERT_TRUE(losses.ok());
    all.kept += losses->kept, all.lost += losses->lost, all.torn += losses->torn;
    auto fresh = store.get("fresh");
    EXPECT_TRUE(std::string_view("new bytes").starts_with(fresh.value_or("")));
    const std::string safe = *store.get("safe");
    EXPECT_TRUE(safe == "safe" || std::string_view("changed").starts_with(safe)) << safe;
    ASSERT_TRUE(store.put("safe", "safe").ok());
    ASSERT_TRUE(store.remove("fresh").ok());
    store.sync();
  }
  EXPECT_GT(all.kept, 10u);
  EXPECT_GT(all.lost, 10u);
  EXPECT_GT(all.torn, 10u);
}

// Takes every put, as some stores do with a condition that they do not know.
class HeedlessStore : public CountingStore {
 public:
  using CountingStore::CountingStore;
  Status put_if_absent(std::string_view key, std::string_view bytes) override { return put(key, bytes); }
};
// Looks first and puts then, not in one step: here all that race have looked before the first one puts.
class RacyStore : public CountingStore {
 public:
  using CountingStore::CountingStore;
  Status put_if_absent(std::string_view key, std::string_view bytes) override {
    if (head(key).ok()) return already_exists("taken");
    looked_.arrive_and_wait();
    return put(key, bytes);
  }

 private:
  std::barrier<> looked_{8};
};

TEST(ProbeStore, TellsSoundStoresFromOthers) {
  auto memory = make_memory_store();
  EXPECT_TRUE(probe_store(*memory, "probe/").ok());
  EXPECT_TRUE(memory->list("", "", 5)->empty());
  HeedlessStore heedless(*memory);
  EXPECT_NE(probe_store(heedless, "").error().message.find("overwritten"), std::string::npos);
  RacyStore racy(*memory);
  Status probed = probe_store(racy, "");
  ASSERT_FALSE(probed.ok());
  EXPECT_EQ(probed.error().kind, ErrorKind::kUnavailable);
  EXPECT_NE(probed.error().message.find("8 of 8 writers"), std::string::npos) << probed.error().message;
  auto down = make_faulty_store(*memory, {.fail_before = 1});
  EXPECT_EQ(probe_store(*down, "").error().kind, ErrorKind::kStorage) << "a store that is down is not called unsound";
}

}  // namespace
}  // namespace quarry::objects
