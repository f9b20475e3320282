#include "objects/caching_store.h"

#include <gtest/gtest.h>

#include <barrier>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/rng.h"
#include "base/temporary_folder.h"
#include "objects/cache/block_file.h"
#include "objects/cache/block_index.h"
#include "objects/counting_store.h"

namespace quarry::objects {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kBlock = 1'000;

std::string numbered(size_t size) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + i % 26 + i / kBlock);
  return out;
}

class CachingStoreTest : public testing::Test {
 protected:
  void SetUp() override { reopen(); }
  void TearDown() override { cache_.reset(); }
  void reopen(uint64_t max_bytes = 1 << 20, const std::string& identity = "one", uint64_t block_bytes = kBlock) {
    cache_.reset();
    CacheOptions options{folder_, max_bytes, block_bytes, [](std::string_view key) { return !key.starts_with("log/"); }, identity};
    auto opened = CachingStore::open(counted_, options);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    cache_ = std::move(opened).value();
  }
  void put(std::string_view key, std::string_view bytes) { ASSERT_TRUE(memory_->put(key, bytes).ok()); }
  uint64_t requests() { return counted_.counts().gets + counted_.counts().range_gets; }
  std::vector<fs::path> files() const {
    std::vector<fs::path> out;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "blocks"))
      if (entry.is_regular_file()) out.push_back(entry.path());
    std::sort(out.begin(), out.end());
    return out;
  }

  const TemporaryFolder made_{"quarry-cache"};
  const fs::path& folder_ = made_.path();
  std::unique_ptr<ObjectStore> memory_ = make_memory_store();
  CountingStore counted_{*memory_};
  std::unique_ptr<CachingStore> cache_;
};

TEST_F(CachingStoreTest, EveryRangeIsRightAndTheSecondReadIsFree) {
  for (const size_t size : {0, 1, 999, 1'000, 1'001, 3'500, 4'000}) {
    const std::string key = "object-" + std::to_string(size), bytes = numbered(size);
    put(key, bytes);
    for (int round = 0; round < 2; ++round) {
      for (const uint64_t offset : {0, 1, 999, 1'000, 1'500, 3'999, 4'000, 9'000})
        for (const uint64_t length : {1ul, 500ul, 1'000ul, 2'500ul, UINT64_MAX})
          ASSERT_EQ(*cache_->get_range(key, offset, length), offset < size ? bytes.substr(offset, length) : "") << size << " " << offset;
      EXPECT_EQ(*cache_->get(key), bytes);
    }
  }
  EXPECT_EQ(*cache_->get_range("object-1", 0, 0), "");
  put("fresh", numbered(2'500));
  ASSERT_TRUE(cache_->get("fresh").ok());
  const uint64_t before = requests();
  EXPECT_EQ(*cache_->get("fresh"), numbered(2'500));
  EXPECT_EQ(*cache_->get_range("fresh", 1'200, 100), numbered(2'500).substr(1'200, 100));
  EXPECT_EQ(requests(), before);
}

TEST_F(CachingStoreTest, CountsBlocksAndBytes) {
  put("a", numbered(2'500));
  ASSERT_TRUE(cache_->get("a").ok());
  EXPECT_EQ(requests(), 1u) << "neighbours come in one request";
  ASSERT_TRUE(cache_->get_range("a", 900, 200).ok());
  CacheCounts counts = cache_->counts();
  EXPECT_EQ(counts.misses, 3u);
  EXPECT_EQ(counts.fetched_bytes, 2'500u);
  EXPECT_EQ(counts.hits, 2u);
  EXPECT_EQ(counts.hit_bytes, 2'000u);
  EXPECT_EQ(counts.held_bytes, 3 * BlockIndex::kLeastCharge);
}

TEST_F(CachingStoreTest, GapsAreFetchedOnce) {
  put("a", numbered(5'000));
  ASSERT_TRUE(cache_->get_range("a", 2'000, 1'000).ok());
  ASSERT_EQ(requests(), 1u);
  EXPECT_EQ(*cache_->get_range("a", 0, 4'500), numbered(5'000).substr(0, 4'500));
  EXPECT_EQ(requests(), 3u) << "one on each side of what was held";
}

TEST_F(CachingStoreTest, MutableKeysPassThrough) {
  put("log/1", "old");
  EXPECT_EQ(*cache_->get("log/1"), "old");
  put("log/1", "new");  // behind the cache's back
  EXPECT_EQ(*cache_->get("log/1"), "new");
  EXPECT_EQ(*cache_->get_range("log/1", 0, 2), "ne");
  EXPECT_TRUE(files().empty());
}

TEST_F(CachingStoreTest, SurvivesARestart) {
  put("a", numbered(2'500));
  ASSERT_TRUE(cache_->get("a").ok());
  reopen();
  EXPECT_EQ(*cache_->get("a"), numbered(2'500));
  EXPECT_EQ(requests(), 1u);
  EXPECT_EQ(cache_->counts().hits, 3u);
}

TEST_F(CachingStoreTest, AnotherStoreOrBlockSizeFindsNothing) {
  put("a", "first");
  ASSERT_TRUE(cache_->get("a").ok());
  put("a", "second store");
  reopen(1 << 20, "two");
  EXPECT_EQ(*cache_->get("a"), "second store");
  reopen(1 << 20, "two", 2'000);
  EXPECT_EQ(*cache_->get("a"), "second store");
  EXPECT_EQ(requests(), 3u);
}

TEST_F(CachingStoreTest, TornAndAlteredFilesAreDroppedAndFetchedAgain) {
  put("a", numbered(2'500));
  for (const char* fault : {"cut", "flip", "empty", "grown", "swapped", "gone"}) {
    ASSERT_EQ(*cache_->get("a"), numbered(2'500));
    cache_.reset();
    ASSERT_EQ(files().size(), 3u);
    for (const fs::path& file : files()) {
      std::string bytes = *read_file(file);
      if (fault == std::string("cut")) bytes.resize(bytes.size() / 2);
      if (fault == std::string("flip")) bytes[bytes.size() - 7] ^= 1;
      if (fault == std::string("empty")) bytes.clear();
      if (fault == std::string("grown")) bytes += "x";
      std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
      if (fault == std::string("gone")) fs::remove(file);
    }
    if (fault == std::string("swapped")) {
      fs::rename(files()[0], folder_ / "aside");
      fs::rename(files()[0], files()[1].parent_path() / (files()[1].filename().string().substr(0, 33) + "0"));
      fs::rename(folder_ / "aside", files()[0].parent_path() / (files()[0].filename().string().substr(0, 33) + "1"));
    }
    const uint64_t before = requests();
    reopen();
    EXPECT_EQ(*cache_->get("a"), numbered(2'500)) << fault;
    EXPECT_GT(requests(), before) << fault;
    EXPECT_EQ(cache_->counts().damaged > 0, fault != std::string("gone")) << fault;
  }
}

TEST_F(CachingStoreTest, StaysWithinItsSizeAndKeepsWhatWasUsedLast) {
  reopen(4 * BlockIndex::kLeastCharge);
  for (int i = 0; i < 4; ++i) {
    put("object-" + std::to_string(i), "x");
    ASSERT_TRUE(cache_->get("object-" + std::to_string(i)).ok());
  }
  ASSERT_TRUE(cache_->get("object-0").ok());
  put("object-4", "x");
  ASSERT_TRUE(cache_->get("object-4").ok());  // object-1 goes
  EXPECT_EQ(files().size(), 4u);
  EXPECT_EQ(cache_->counts().evictions, 1u);
  const uint64_t before = requests();
  ASSERT_TRUE(cache_->get("object-0").ok());
  EXPECT_EQ(requests(), before);
  ASSERT_TRUE(cache_->get("object-1").ok());
  EXPECT_EQ(requests(), before + 1);
  reopen(2 * BlockIndex::kLeastCharge);
  EXPECT_EQ(files().size(), 2u) << "a smaller cache shrinks when it is opened";
  reopen(1);
  EXPECT_EQ(*cache_->get("object-1"), "x");
  EXPECT_TRUE(files().empty());
}

TEST_F(CachingStoreTest, WritesAndRemovesAreSeen) {
  put("a", "old");
  ASSERT_TRUE(cache_->get("a").ok());
  ASSERT_TRUE(cache_->put("a", "new").ok());
  EXPECT_EQ(*cache_->get("a"), "new");
  ASSERT_TRUE(cache_->remove("a").ok());
  EXPECT_EQ(cache_->get("a").error().kind, ErrorKind::kNotFound);
  ASSERT_TRUE(cache_->put_if_absent("a", "third").ok());
  EXPECT_EQ(*cache_->get("a"), "third");
  ASSERT_TRUE(cache_->remove_many(std::vector<std::string>{"a"}).ok());
  EXPECT_EQ(cache_->get("a").error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(files().empty());
}

TEST_F(CachingStoreTest, OneProcessAtATime) {
  auto second = CachingStore::open(counted_, {folder_, 1 << 20, kBlock, [](std::string_view) { return true; }, ""});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, ErrorKind::kConflict);
}

TEST_F(CachingStoreTest, WhatIsNoBlockIsCleanedUp) {
  put("a", "x");
  ASSERT_TRUE(cache_->get("a").ok());
  const fs::path stray = files()[0].parent_path() / "stray";
  std::ofstream(stray) << "x";
  reopen();
  EXPECT_FALSE(fs::exists(stray));
  EXPECT_EQ(files().size(), 1u);
}

TEST_F(CachingStoreTest, AFullDiskCostsNothingButTheCache) {
  put("a", "x");
  fs::remove_all(folder_ / "tmp");  // so that no file can be made
  EXPECT_EQ(*cache_->get("a"), "x");
  EXPECT_EQ(*cache_->get("a"), "x");
  EXPECT_EQ(cache_->counts().write_failures, 2u);
  EXPECT_EQ(requests(), 2u);
}

// Holds every read until it is told to go on.
class GatedStore : public CountingStore {
 public:
  using CountingStore::CountingStore;
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    auto bytes = CountingStore::get_range(key, offset, length);
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return is_open_; });
    return fails_ ? Result<std::string>(storage_error("down")) : bytes;
  }
  void await_reader() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ > 0; });
  }
  void open(bool fails = false) {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    fails_ = fails;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool is_open_ = false, fails_ = false;
};

class GatedCacheTest : public CachingStoreTest {
 protected:
  void SetUp() override {
    CachingStoreTest::SetUp();
    cache_.reset();
    auto opened = CachingStore::open(gate_, {folder_, 1 << 20, kBlock, [](std::string_view) { return true; }, ""});
    ASSERT_TRUE(opened.ok());
    cache_ = std::move(opened).value();
    put("a", numbered(1'500));
  }
  GatedStore gate_{*memory_};
};

TEST_F(GatedCacheTest, ReadersOfOneBlockFetchItOnce) {
  constexpr int kReaders = 8;
  std::atomic<int> right{0};
  std::vector<std::thread> readers;
  readers.emplace_back([&] { right += *cache_->get("a") == numbered(1'500); });
  gate_.await_reader();
  std::barrier started(kReaders);
  for (int i = 1; i < kReaders; ++i)
    readers.emplace_back([&] {
      started.arrive_and_wait();
      right += *cache_->get_range("a", 10, 1'200) == numbered(1'500).substr(10, 1'200);
    });
  started.arrive_and_wait();
  gate_.open();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(right, kReaders);
  EXPECT_EQ(gate_.counts().range_gets, 1u);
}

TEST_F(GatedCacheTest, AFailureReachesEveryWaiterAndIsNotKept) {
  std::thread reader([&] { EXPECT_EQ(cache_->get("a").error().message, "down"); });
  gate_.await_reader();
  gate_.open(true);
  reader.join();
  gate_.open(false);
  EXPECT_EQ(*cache_->get("a"), numbered(1'500));
}

TEST_F(GatedCacheTest, WhatWasRemovedWhileItCameInIsNotKept) {
  std::thread reader([&] { EXPECT_TRUE(cache_->get("a").ok()); });
  gate_.await_reader();
  ASSERT_TRUE(cache_->remove("a").ok());
  gate_.open();
  reader.join();
  EXPECT_EQ(cache_->get("a").error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(files().empty());
}

// Readers, writers of fresh keys and a cache far too small, all at once.
TEST_F(CachingStoreTest, ManyReadersOfACrowdedCache) {
  reopen(20 * BlockIndex::kLeastCharge);
  for (int i = 0; i < 10; ++i) put("object-" + std::to_string(i), numbered(4'500 + size_t(i)));
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (uint64_t t = 0; t < 4; ++t)
    readers.emplace_back([&, t] {
      Rng rng(t);
      for (int i = 0; i < 300; ++i) {
        const uint64_t object = rng.below(10), offset = rng.below(4'500), length = rng.below(3'000) + 1;
        auto read = cache_->get_range("object-" + std::to_string(object), offset, length);
        wrong += !read.ok() || *read != numbered(4'500 + object).substr(offset, length);
      }
    });
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(cache_->counts().held_bytes, 20 * BlockIndex::kLeastCharge);
  EXPECT_EQ(files().size(), cache_->counts().held_bytes / BlockIndex::kLeastCharge);
}

TEST(BlockFile, GoldenBytes) {
  const std::string bytes = encode_block({"k", 2, 1'000}, "payload");
  EXPECT_EQ(bytes.size(), 48u);
  EXPECT_EQ(bytes.substr(0, 8), "QRYBLK1\n");
  EXPECT_EQ(bytes.substr(12, 28), std::string("\1\0\0\0\7\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\xe8\3\0\0\0\0\0\0", 28));
  EXPECT_EQ(bytes.substr(40), "kpayload");
  EXPECT_EQ(*decode_block(bytes, {"k", 2, 1'000}), "payload");
  EXPECT_FALSE(decode_block(bytes, {"l", 2, 1'000}).ok());
  EXPECT_FALSE(decode_block(bytes, {"k", 3, 1'000}).ok());
  EXPECT_FALSE(decode_block(bytes, {"k", 2, 2'000}).ok());
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(decode_block(bytes.substr(0, size), {"k", 2, 1'000}).ok()) << size;
}

}  // namespace
}  // namespace quarry::objects
