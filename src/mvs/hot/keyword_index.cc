#include "mvs/hot/keyword_index.h"

#include <arrow/array.h>

#include <algorithm>

#include "base/hash.h"

namespace quarry::mvs {
namespace {

constexpr size_t kFrequent = 64;  // a value that one row of so many has is kept as a bitmap

}  // namespace

KeywordIndex::KeywordIndex(const arrow::StringArray& array) : array_(array) {
  std::vector<std::pair<uint64_t, uint32_t>> entries;
  const auto rows = size_t(array.length());
  for (size_t row = 0; row < rows; ++row)
    if (array.IsValid(int64_t(row))) entries.emplace_back(hash64(array.GetView(int64_t(row))), uint32_t(row));
  std::sort(entries.begin(), entries.end());
  rows_.reserve(entries.size());
  for (const auto& [hash, row] : entries) {
    if (hashes_.empty() || hashes_.back() != hash) {
      hashes_.push_back(hash);
      starts_.push_back(uint32_t(rows_.size()));
    }
    rows_.push_back(row);
  }
  starts_.push_back(uint32_t(rows_.size()));
  for (uint32_t v = 0; v < hashes_.size(); ++v) {
    const size_t count = starts_[v + 1] - starts_[v];
    if (count < 2 || count * kFrequent < rows) continue;
    const auto value = array.GetView(rows_[starts_[v]]);
    Bitmap bits(rows);
    bool single = true;
    for (uint32_t i = starts_[v]; i < starts_[v + 1] && single; ++i) {
      bits.set(rows_[i]);
      single = array.GetView(rows_[i]) == value;
    }
    if (single) frequent_.emplace(v, std::move(bits));
  }
}

void KeywordIndex::add_rows(std::string_view value, Bitmap& out) const {
  const uint64_t hash = hash64(value);
  const auto it = std::lower_bound(hashes_.begin(), hashes_.end(), hash);
  if (it == hashes_.end() || *it != hash) return;
  const auto v = uint32_t(it - hashes_.begin());
  if (const auto known = frequent_.find(v); known != frequent_.end()) {
    if (array_.GetView(rows_[starts_[v]]) == value) out |= known->second;
    return;
  }
  for (uint32_t i = starts_[v]; i < starts_[v + 1]; ++i)
    if (array_.GetView(rows_[i]) == value) out.set(rows_[i]);
}

uint64_t KeywordIndex::memory_bytes() const {
  uint64_t bytes = hashes_.size() * sizeof(uint64_t) + (starts_.size() + rows_.size()) * sizeof(uint32_t);
  for (const auto& [v, bits] : frequent_) bytes += bits.memory_bytes();
  return bytes;
}

}  // namespace quarry::mvs
