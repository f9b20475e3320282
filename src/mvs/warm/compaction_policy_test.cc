#include "mvs/warm/compaction_policy.h"

#include <gtest/gtest.h>

#include <random>

namespace quarry::mvs {
namespace {

constexpr uint64_t kKb = 1 << 10, kMb = 1 << 20;

struct Case {
  const char* name;
  std::vector<CompactionFile> files;
  std::vector<size_t> picked;
};

std::vector<CompactionFile> same(size_t n, uint64_t bytes) { return std::vector<CompactionFile>(n, {bytes, 100, 100, bytes}); }

TEST(CompactionPolicy, Table) {
  std::vector<CompactionFile> mixed = same(7, 10 * kKb);
  mixed.push_back({1 * kMb, 100, 100});
  std::vector<CompactionFile> with_dead = same(2, 50 * kMb);
  with_dead[1].live_rows = 69;
  std::vector<CompactionFile> few_dead = same(2, 50 * kMb);
  few_dead[1].live_rows = 71;
  std::vector<CompactionFile> shrunk = same(8, 40 * kMb);  // full files that are nearly empty now
  for (auto& f : shrunk) f.live_rows = 10;
  std::vector<CompactionFile> wordy = same(8, 10 * kKb);  // small on disk, 300 MiB each in memory
  for (auto& f : wordy) f.memory_bytes = 300 * kMb;
  std::vector<CompactionFile> huge = same(8, 10 * kKb);
  for (auto& f : huge) f.memory_bytes = 700 * kMb;
  const std::vector<Case> cases{
      {"nothing", {}, {}},
      {"seven small files", same(7, 10 * kKb), {}},
      {"eight small files", same(8, 10 * kKb), {0, 1, 2, 3, 4, 5, 6, 7}},
      {"files of different tiers", mixed, {}},
      {"full files", same(20, 40 * kMb), {}},
      {"as much as the target holds", same(8, 20 * kMb), {0, 1, 2}},
      {"a full file with many dead rows", with_dead, {1}},
      {"a full file with few", few_dead, {}},
      {"the little that is left", shrunk, {0, 1, 2, 3, 4, 5, 6, 7}},
      {"as much as memory holds", wordy, {0, 1, 2}},
      {"files that memory holds only alone", huge, {}},
      {"a small file with dead rows", {{10 * kKb, 100, 50}}, {0}},
  };
  for (const auto& c : cases) EXPECT_EQ(pick_compaction(c.files, {}), c.picked) << c.name;
}

// Whatever arrives, upkeep ends with few files and rewrites each byte few times.
TEST(CompactionPolicy, BoundsFilesAndRewrites) {
  std::mt19937_64 rng(5);
  std::vector<CompactionFile> files;
  uint64_t written = 0, rewritten = 0;
  const CompactionOptions options{.target_bytes = 8 * kMb};
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t rows = 1 + rng() % 20;
    files.push_back({rows * 2 * kKb, rows, rows});
    written += files.back().bytes;
    for (auto job = pick_compaction(files, options); !job.empty(); job = pick_compaction(files, options)) {
      CompactionFile merged;
      for (size_t k = job.size(); k-- > 0;) {
        const auto& f = files[job[k]];
        merged.bytes += f.bytes;
        merged.rows += f.rows;
        merged.live_rows += f.live_rows;
        merged.memory_bytes += f.memory_bytes;
        files.erase(files.begin() + ptrdiff_t(job[k]));
      }
      ASSERT_LE(merged.bytes, options.target_bytes + 5 * kMb);
      rewritten += merged.bytes;
      files.push_back(merged);
    }
    size_t small = 0;
    for (const auto& f : files) small += f.bytes < options.target_bytes / 2;
    ASSERT_LE(small, 4 * (options.fan_in - 1));
  }
  EXPECT_LE(rewritten, 4 * written);
}

}  // namespace
}  // namespace quarry::mvs
