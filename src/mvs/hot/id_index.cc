#include "mvs/hot/id_index.h"

#include <algorithm>
#include <bit>

namespace quarry::mvs {

std::shared_ptr<const IdIndex::Run> IdIndex::make_run(std::vector<Entry> entries) {
  auto run = std::make_shared<Run>();
  const int bits = std::max(1, int(std::bit_width(entries.size() / 4)));
  run->shift = 64 - bits;
  run->bucket_begin.assign((size_t{1} << bits) + 1, 0);
  for (const auto& e : entries) ++run->bucket_begin[size_t(e.hash >> run->shift) + 1];
  for (size_t b = 1; b < run->bucket_begin.size(); ++b) run->bucket_begin[b] += run->bucket_begin[b - 1];
  run->entries = std::move(entries);
  return run;
}

void IdIndex::add(uint32_t segment, const std::vector<uint64_t>& hashes, const std::function<bool(RowRef)>& is_live) {
  if (hashes.empty()) return;
  const auto less = [](const Entry& a, const Entry& b) { return a.hash < b.hash; };
  std::vector<Entry> entries(hashes.size());
  for (size_t row = 0; row < hashes.size(); ++row) entries[row] = {hashes[row], {segment, uint32_t(row)}};
  std::sort(entries.begin(), entries.end(), less);
  // Sizes halve from run to run, so there are at most log2(rows) of them and an entry is copied as often.
  while (!runs_.empty() && runs_.back()->entries.size() < 2 * entries.size()) {
    std::vector<Entry> merged;
    merged.reserve(entries.size() + runs_.back()->entries.size());
    std::vector<Entry> old;
    old.reserve(runs_.back()->entries.size());
    std::copy_if(runs_.back()->entries.begin(), runs_.back()->entries.end(), std::back_inserter(old),
                 [&](const Entry& e) { return is_live(e.ref); });
    std::merge(entries.begin(), entries.end(), old.begin(), old.end(), std::back_inserter(merged), less);
    entries = std::move(merged);
    runs_.pop_back();
  }
  entries.shrink_to_fit();
  runs_.push_back(make_run(std::move(entries)));
}

size_t IdIndex::entries() const {
  size_t n = 0;
  for (const auto& run : runs_) n += run->entries.size();
  return n;
}

uint64_t IdIndex::memory_bytes() const {
  uint64_t n = 0;
  for (const auto& run : runs_) n += run->entries.capacity() * sizeof(Entry) + run->bucket_begin.size() * sizeof(uint32_t);
  return n;
}

}  // namespace quarry::mvs
