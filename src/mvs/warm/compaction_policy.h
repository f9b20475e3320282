// Which files to merge next: a pure function over plain structs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace quarry::mvs {

struct CompactionFile {
  uint64_t bytes = 0;
  uint64_t rows = 0;
  uint64_t live_rows = 0;
  uint64_t memory_bytes = 0;  // decoded
};

struct CompactionOptions {
  uint64_t target_bytes = 64ull << 20;  // of a full file; one job reads no more than this much live data, save for a single larger file
  uint64_t smallest_tier_bytes = 64ull << 10;
  size_t fan_in = 8;                       // files of one tier that make a job
  size_t max_files = 256;                  // of one job
  uint64_t max_memory_bytes = 1ull << 30;  // of one job, decoded; an Arrow text column ends at 2 GiB
  double max_dead_fraction = 0.3;          // past it a file is rewritten whatever its size
};

// Positions of the files to rewrite as one, ascending; empty: nothing to do. Files are grouped in tiers of sizes that grow by fan_in, so a
// row is rewritten at most log(target / smallest) / log(fan_in) + 1 times; a file of half the target or more is full and merged only for
// its dead rows.
std::vector<size_t> pick_compaction(std::span<const CompactionFile> files, const CompactionOptions& options);

}  // namespace quarry::mvs
