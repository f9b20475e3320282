// What every object store must do. A new store joins the list at the end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <filesystem>
#include <set>
#include <thread>

#include "base/temporary_folder.h"
#include "objects/caching_store.h"
#include "objects/counting_store.h"
#include "objects/object_store.h"
#include "objects/power_cut_store.h"
#include "objects/s3_store.h"
#include "objects/test_s3_server.h"

namespace quarry::objects {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

// A store with everything it stands on.
struct StoreUnderTest {
  std::optional<TemporaryFolder> made;
  std::vector<std::unique_ptr<ObjectStore>> layers;
  ObjectStore& store() { return *layers.back(); }
  ~StoreUnderTest() {
    while (!layers.empty()) layers.pop_back();  // each stands on the one before
  }
  const fs::path& folder() {
    if (!made) made.emplace("quarry-store");
    return made->path();
  }
};

std::unique_ptr<StoreUnderTest> memory() {
  auto out = std::make_unique<StoreUnderTest>();
  out->layers.push_back(make_memory_store());
  return out;
}

std::unique_ptr<StoreUnderTest> local() {
  auto out = std::make_unique<StoreUnderTest>();
  auto opened = open_local_store(out->folder() / "deep" / "root");
  EXPECT_TRUE(opened.ok());
  out->layers.push_back(std::move(opened).value());
  return out;
}

std::unique_ptr<StoreUnderTest> counting() {
  auto out = local();
  out->layers.push_back(std::make_unique<CountingStore>(out->store()));
  return out;
}

// Every third call fails, before or after it took effect; the caller must not notice.
std::unique_ptr<StoreUnderTest> retrying_over(std::unique_ptr<StoreUnderTest> inner) {
  inner->layers.push_back(make_faulty_store(inner->store(), {.seed = 11, .fail_before = 0.2, .fail_after = 0.2}));
  inner->layers.push_back(make_retrying_store(inner->store(), 60, 50));
  return inner;
}

// Null where no S3 server is installed.
std::unique_ptr<StoreUnderTest> s3(S3Addressing addressing, std::string prefix) {
  TestS3Server* server = TestS3Server::shared();
  if (server == nullptr) return nullptr;
  S3Options options = server->fresh_bucket();
  options.addressing = addressing;
  options.prefix = std::move(prefix);
  options.multipart_bytes = 2'000'000;  // so that large objects go in parts
  auto opened = open_s3_store(std::move(options));
  EXPECT_TRUE(opened.ok());
  auto out = std::make_unique<StoreUnderTest>();
  out->layers.push_back(std::move(opened).value());
  return out;
}

std::unique_ptr<StoreUnderTest> power_cut() {
  auto out = memory();
  out->layers.push_back(std::make_unique<PowerCutStore>(out->store()));
  return out;
}

std::unique_ptr<StoreUnderTest> slow() {
  auto out = memory();
  out->layers.push_back(make_faulty_store(out->store(), {.latency_us = 200}));
  return out;
}

// Blocks that hold the battery's objects whole: it replaces objects while they are read, as nobody may replace an immutable one.
std::unique_ptr<StoreUnderTest> caching_over(std::unique_ptr<StoreUnderTest> inner, uint64_t max_bytes) {
  if (inner == nullptr) return nullptr;
  CacheOptions options;
  options.folder = inner->folder() / "cache";
  options.max_bytes = max_bytes;
  options.block_bytes = 4 << 20;
  options.is_immutable = [](std::string_view) { return true; };
  auto opened = CachingStore::open(inner->store(), std::move(options));
  EXPECT_TRUE(opened.ok());
  inner->layers.push_back(std::move(opened).value());
  return inner;
}

struct Kind {
  const char* name;
  std::unique_ptr<StoreUnderTest> (*make)();
};

class ObjectStoreBattery : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (under_test_ == nullptr) GTEST_SKIP() << "no S3 server is installed: ./run test installs one";
  }
  std::vector<std::string> keys(std::string_view prefix, std::string_view after = "", size_t limit = 1'000) {
    auto listed = store().list(prefix, after, limit);
    EXPECT_TRUE(listed.ok()) << (listed.ok() ? "" : listed.error().message);
    std::vector<std::string> out;
    if (listed.ok())
      for (const auto& info : *listed) out.push_back(info.key);
    return out;
  }
  void put(std::string_view key, std::string_view bytes = "x") {
    Status status = store().put(key, bytes);
    ASSERT_TRUE(status.ok()) << key << ": " << (status.ok() ? "" : status.error().message);
  }
  ObjectStore& store() { return under_test_->store(); }

 private:
  std::unique_ptr<StoreUnderTest> under_test_ = GetParam().make();
};

template <typename T>
ErrorKind kind_of(const Result<T>& result) {
  EXPECT_FALSE(result.ok());
  return result.ok() ? ErrorKind::kInternal : result.error().kind;
}

TEST_P(ObjectStoreBattery, ReturnsWhatWasPut) {
  std::string binary("\0\xff\n", 3), large(3'000'000, '\7');
  large[1'234'567] = 'x';
  put("a/b/c", binary);
  put("large", large);
  put("empty", "");
  EXPECT_EQ(*store().get("a/b/c"), binary);
  EXPECT_EQ(*store().get("large"), large);
  EXPECT_EQ(*store().get("empty"), "");
}

TEST_P(ObjectStoreBattery, PutReplaces) {
  put("k", "long old value");
  put("k", "new");
  EXPECT_EQ(*store().get("k"), "new");
  EXPECT_EQ(store().head("k")->size, 3u);
}

TEST_P(ObjectStoreBattery, TellsWhatIsAbsent) {
  put("folder/key");
  for (const char* key : {"nothing", "folder", "folder/other", "folder/key/below"}) {
    EXPECT_EQ(kind_of(store().get(key)), ErrorKind::kNotFound) << key;
    EXPECT_EQ(kind_of(store().get_range(key, 0, 1)), ErrorKind::kNotFound) << key;
    EXPECT_EQ(kind_of(store().head(key)), ErrorKind::kNotFound) << key;
    EXPECT_TRUE(store().remove(key).ok()) << key;
  }
  EXPECT_NE(store().get("nothing").error().message.find("'nothing'"), std::string::npos);
}

TEST_P(ObjectStoreBattery, ReadsRanges) {
  put("k", "0123456789");
  EXPECT_EQ(*store().get_range("k", 0, 4), "0123");
  EXPECT_EQ(*store().get_range("k", 4, 3), "456");
  EXPECT_EQ(*store().get_range("k", 8, 100), "89");
  EXPECT_EQ(*store().get_range("k", 8, UINT64_MAX), "89");
  EXPECT_EQ(*store().get_range("k", 10, 1), "");
  EXPECT_EQ(*store().get_range("k", UINT64_MAX, UINT64_MAX), "");
  EXPECT_EQ(*store().get_range("k", 3, 0), "");
}

TEST_P(ObjectStoreBattery, HeadTellsSizeAndTime) {
  int64_t before = system_clock().now_us() - 60'000'000;
  put("k", "12345");
  auto info = store().head("k");
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->key, "k");
  EXPECT_EQ(info->size, 5u);
  EXPECT_GT(info->modified_at, before);
  EXPECT_LT(info->modified_at, system_clock().now_us() + 60'000'000);
}

TEST_P(ObjectStoreBattery, PutIfAbsentPutsOnce) {
  ASSERT_TRUE(store().put_if_absent("log/1.json", "first").ok());
  EXPECT_EQ(kind_of(store().put_if_absent("log/1.json", "second")), ErrorKind::kAlreadyExists);
  EXPECT_EQ(*store().get("log/1.json"), "first");
  ASSERT_TRUE(store().remove("log/1.json").ok());
  EXPECT_TRUE(store().put_if_absent("log/1.json", "third").ok());
}

TEST_P(ObjectStoreBattery, RacingPutIfAbsentHasOneWinner) {
  constexpr int kThreads = 8, kVersions = 40;
  std::vector<std::vector<int>> winners(kVersions);
  std::mutex mutex;
  std::atomic<int> unexpected{0};
  std::barrier start(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int v = 0; v < kVersions; ++v) {
        start.arrive_and_wait();
        Status status = store().put_if_absent("log/" + std::to_string(v), "by " + std::to_string(t));
        if (!status.ok() && status.error().kind != ErrorKind::kAlreadyExists) ++unexpected;
        std::lock_guard lock(mutex);
        if (status.ok()) winners[static_cast<size_t>(v)].push_back(t);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(unexpected, 0);
  for (int v = 0; v < kVersions; ++v) {
    ASSERT_EQ(winners[static_cast<size_t>(v)].size(), 1u) << "version " << v;
    EXPECT_EQ(*store().get("log/" + std::to_string(v)), "by " + std::to_string(winners[static_cast<size_t>(v)][0]));
  }
}

// Folders appear and vanish with their last file: no put may be lost to a remove beside it.
TEST_P(ObjectStoreBattery, PutsAndRemovesInOneFolderDoNotDisturbEachOther) {
  std::atomic<int> failures{0};
  std::mutex mutex;
  std::string first;
  auto note = [&](const auto& result) {
    if (result.ok() || failures++ > 0) return;
    std::lock_guard lock(mutex);
    first = result.error().message;
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::string key = "x/y/z/" + std::to_string(t);
      for (int i = 0; i < 50; ++i) {
        std::string bytes = std::to_string(i);
        note(store().put(key, bytes));
        auto read = store().get(key);
        note(read);
        if (read.ok() && *read != bytes) note(Status(internal_error("other bytes than were put")));
        note(store().remove(key));
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 0) << first;
  EXPECT_THAT(keys(""), ElementsAre());
}

TEST_P(ObjectStoreBattery, ReadersNeverSeeHalfAWrite) {
  std::string a(200'000, 'a'), b(100'000, 'b');
  put("k", a);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(store().put("k", i % 2 == 0 ? b : a).ok());
    done = true;
  });
  do {
    auto read = store().get("k");
    if (!read.ok() || (*read != a && *read != b)) {
      ADD_FAILURE() << "a torn read";
      break;
    }
  } while (!done);
  writer.join();
}

TEST_P(ObjectStoreBattery, ListsInByteOrder) {
  for (const char* key : {"a/b", "a-b", "a/c/d", "a0", "B", "b/1", "b/10", "b/2", "\xc3\xa9", "a/c-d"}) put(key);
  EXPECT_THAT(keys(""), ElementsAre("B", "a-b", "a/b", "a/c-d", "a/c/d", "a0", "b/1", "b/10", "b/2", "\xc3\xa9"));
  EXPECT_THAT(keys("a/"), ElementsAre("a/b", "a/c-d", "a/c/d"));
  EXPECT_THAT(keys("a/c"), ElementsAre("a/c-d", "a/c/d"));
  EXPECT_THAT(keys("a"), ElementsAre("a-b", "a/b", "a/c-d", "a/c/d", "a0"));
  EXPECT_THAT(keys("b/1"), ElementsAre("b/1", "b/10"));
  EXPECT_THAT(keys("nothing/"), ElementsAre());
  EXPECT_THAT(keys("B/"), ElementsAre());
}

TEST_P(ObjectStoreBattery, ListsPages) {
  std::set<std::string> expected;
  for (int i = 0; i < 60; ++i) {
    std::string key = "p/" + std::to_string(i % 7) + "/" + std::to_string(i);
    expected.insert(key);
    put(key);
  }
  put("q");
  std::vector<std::string> all;
  for (std::string after;;) {
    auto page = keys("p/", after, 7);
    all.insert(all.end(), page.begin(), page.end());
    if (page.size() < 7) break;
    after = page.back();
  }
  EXPECT_EQ(all, std::vector<std::string>(expected.begin(), expected.end()));
  EXPECT_THAT(keys("", "p/6/9999"), ElementsAre("q"));
  EXPECT_THAT(keys("p/", "a"), testing::SizeIs(60));
  EXPECT_THAT(keys("p/", "z"), ElementsAre());
  EXPECT_THAT(keys("p/", "", 0), ElementsAre());
}

TEST_P(ObjectStoreBattery, RefusesHostileKeys) {
  std::vector<std::string> hostile{"",
                                   "/",
                                   "/etc/passwd",
                                   "a/",
                                   "a//b",
                                   ".",
                                   "..",
                                   "../x",
                                   "a/../b",
                                   "a/..",
                                   "./a",
                                   "a/./b",
                                   "a\\b",
                                   "..\\x",
                                   std::string("a\0b", 3),
                                   "a\nb",
                                   "\x7f",
                                   "a\xff",
                                   "\xed\xa0\x80",
                                   "\xc0\xaf",
                                   std::string(1'025, 'a'),
                                   std::string(256, 'a'),
                                   "a/" + std::string(256, 'b')};
  for (const auto& key : hostile) {
    EXPECT_EQ(kind_of(store().put(key, "x")), ErrorKind::kBadRequest) << key;
    EXPECT_EQ(kind_of(store().put_if_absent(key, "x")), ErrorKind::kBadRequest) << key;
    EXPECT_EQ(kind_of(store().get(key)), ErrorKind::kBadRequest) << key;
    EXPECT_EQ(kind_of(store().get_range(key, 0, 1)), ErrorKind::kBadRequest) << key;
    EXPECT_EQ(kind_of(store().head(key)), ErrorKind::kBadRequest) << key;
    EXPECT_EQ(kind_of(store().remove(key)), ErrorKind::kBadRequest) << key;
  }
  for (const char* prefix : {"../", "/", "a/../", "//", "..", "\xff"}) EXPECT_THAT(keys(prefix), ElementsAre()) << prefix;
}

TEST_P(ObjectStoreBattery, AcceptsOddButLegalKeys) {
  std::vector<std::string> odd{
      "...",
      "..a",
      ".hidden",
      "_quarry/x",
      "a b",
      "%2e%2e",
      "a?b=c#d",
      "~",
      "-",
      "con",
      "\xe6\x9d\xb1\xe4\xba\xac",
      "'\"`$(x)",
      std::string(255, 'a'),
      std::string(250, 'a') + "/" + std::string(250, 'b') + "/" + std::string(250, 'c') + "/" + std::string(250, 'd')};
  for (size_t i = 0; i < odd.size(); ++i) put(odd[i], std::to_string(i));
  for (size_t i = 0; i < odd.size(); ++i) EXPECT_EQ(*store().get(odd[i]), std::to_string(i)) << odd[i];
  std::vector<std::string> sorted = odd;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(keys(""), sorted);
}

TEST_P(ObjectStoreBattery, RemovesAPrefix) {
  for (int i = 0; i < 20; ++i) put("gone/" + std::to_string(i % 3) + "/" + std::to_string(i));
  put("gone-not");
  ASSERT_TRUE(remove_prefix(store(), "gone/").ok());
  EXPECT_THAT(keys(""), ElementsAre("gone-not"));
  EXPECT_TRUE(remove_prefix(store(), "gone/").ok());
  EXPECT_EQ(kind_of(remove_prefix(store(), "")), ErrorKind::kBadRequest);
}

TEST_P(ObjectStoreBattery, AWalkSeesEveryKeyInOrderAndMayRemoveOrEnd) {
  std::vector<std::string> all;
  for (int i = 0; i < 30; ++i) put(all.emplace_back("walked/" + std::to_string(100 + i) + (i % 2 ? "/data" : "")));
  put("walked-not");
  std::sort(all.begin(), all.end());
  std::vector<std::string> seen;
  auto visit = [&](const ObjectInfo& info) -> Result<bool> {
    seen.push_back(info.key);
    EXPECT_EQ(info.size, 1u);
    EXPECT_TRUE(store().remove(info.key).ok());
    return seen.size() != 20;
  };
  ASSERT_TRUE(store().walk("walked/", visit).ok());
  EXPECT_EQ(seen, std::vector<std::string>(all.begin(), all.begin() + 20));
  ASSERT_TRUE(store().walk("walked/", visit).ok());
  EXPECT_EQ(seen, all);
  Status failed = store().walk("", [](const ObjectInfo&) -> Result<bool> { return not_found("mine"); });
  EXPECT_EQ(failed.error().message, "mine");
}

TEST_P(ObjectStoreBattery, LocalPathHoldsTheBytes) {
  put("t/part-0.parquet", "bytes");
  auto path = store().local_path("t/part-0.parquet");
  if (!path) return;  // not a local store
  ASSERT_EQ(fs::file_size(*path), 5u);
  EXPECT_EQ(path->filename(), "part-0.parquet");
}

INSTANTIATE_TEST_SUITE_P(Stores, ObjectStoreBattery,
                         testing::Values(Kind{"memory", memory}, Kind{"local", local}, Kind{"counting", counting},
                                         Kind{"retrying_faulty_memory", [] { return retrying_over(memory()); }},
                                         Kind{"retrying_faulty_local", [] { return retrying_over(local()); }}, Kind{"power_cut", power_cut},
                                         Kind{"slow", slow}, Kind{"caching_memory", [] { return caching_over(memory(), 64 << 20); }},
                                         Kind{"crowded_cache", [] { return caching_over(local(), 10'000); }},
                                         Kind{"caching_s3", [] { return caching_over(s3(S3Addressing::kPath, "x"), 64 << 20); }},
                                         Kind{"s3", [] { return s3(S3Addressing::kPath, ""); }},
                                         Kind{"s3_below_a_prefix", [] { return s3(S3Addressing::kPath, "depot/one & two+three"); }}),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace quarry::objects
