// Where each document lies: hash of the id -> row. A log-structured set of immutable sorted runs, so that snapshots share them without
// locks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace quarry::mvs {

struct RowRef {
  uint32_t segment = 0;  // Segment::uid
  uint32_t row = 0;

  bool operator==(const RowRef&) const = default;
};

// A value: copies share runs. Holds every row that was added and not dropped by a merge, dead ones too; equal hashes may be different ids:
// the caller checks both.
class IdIndex {
 public:
  // Adds rows 0.. of `segment`. Runs of similar size are merged; entries for which `is_live` is false are dropped on the way.
  void add(uint32_t segment, const std::vector<uint64_t>& hashes, const std::function<bool(RowRef)>& is_live);

  // Calls visit(RowRef) for each entry of `hash`, newest run first, until it returns true. Answers whether it did.
  template <class F>
  bool find(uint64_t hash, F&& visit) const {
    for (size_t i = runs_.size(); i-- > 0;) {
      const Run& run = *runs_[i];
      const size_t bucket = size_t(hash >> run.shift);
      for (uint32_t k = run.bucket_begin[bucket]; k < run.bucket_begin[bucket + 1]; ++k)
        if (run.entries[k].hash == hash && visit(run.entries[k].ref)) return true;
    }
    return false;
  }

  size_t runs() const { return runs_.size(); }
  size_t entries() const;
  uint64_t memory_bytes() const;

 private:
  struct Entry {
    uint64_t hash;
    RowRef ref;
  };
  struct Run {
    std::vector<Entry> entries;          // by hash
    std::vector<uint32_t> bucket_begin;  // of the hash's upper bits; one more than there are buckets
    int shift = 63;
  };
  static std::shared_ptr<const Run> make_run(std::vector<Entry> entries);

  std::vector<std::shared_ptr<const Run>> runs_;  // oldest and largest first
};

}  // namespace quarry::mvs
