#include "mvs/warm/compaction_policy.h"

#include <cstddef>
#include <map>

namespace quarry::mvs {
namespace {

uint64_t live_bytes(const CompactionFile& f) { return f.rows == 0 ? 0 : uint64_t(double(f.bytes) * double(f.live_rows) / double(f.rows)); }

bool mostly_dead(const CompactionFile& f, const CompactionOptions& options) {
  return f.rows > f.live_rows && double(f.rows - f.live_rows) >= options.max_dead_fraction * double(f.rows);
}

size_t tier_of(uint64_t bytes, const CompactionOptions& options) {
  size_t tier = 0;
  for (uint64_t limit = options.smallest_tier_bytes; bytes >= limit && limit < options.target_bytes; limit *= options.fan_in) ++tier;
  return tier;
}

}  // namespace

std::vector<size_t> pick_compaction(std::span<const CompactionFile> files, const CompactionOptions& options) {
  std::map<size_t, std::vector<size_t>> tiers;
  for (size_t i = 0; i < files.size(); ++i) {
    if (live_bytes(files[i]) < options.target_bytes / 2)
      tiers[tier_of(live_bytes(files[i]), options)].push_back(i);
    else if (mostly_dead(files[i], options))
      return {i};
  }
  for (const auto& [tier, members] : tiers) {
    if (members.size() < options.fan_in) continue;
    std::vector<size_t> job;
    uint64_t bytes = 0, memory = 0;
    for (const size_t i : members) {
      if (memory + files[i].memory_bytes > options.max_memory_bytes) {
        if (files[i].memory_bytes > options.max_memory_bytes / 2) continue;  // as good as full
        break;
      }
      if (job.size() == options.max_files || (job.size() >= 2 && bytes + live_bytes(files[i]) > options.target_bytes)) break;
      job.push_back(i);
      bytes += live_bytes(files[i]);
      memory += files[i].memory_bytes;
    }
    if (job.size() >= 2) return job;
  }
  for (size_t i = 0; i < files.size(); ++i)
    if (mostly_dead(files[i], options)) return {i};
  return {};
}

}  // namespace quarry::mvs
