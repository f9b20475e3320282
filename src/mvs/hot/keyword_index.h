// The rows of a text column by value, so that an equality costs what it finds and not what there is.
#pragma once

#include <arrow/type_fwd.h>

#include <string_view>
#include <unordered_map>
#include <vector>

#include "mvs/warm/deletion_vector.h"

namespace quarry::mvs {

// Immutable; thread-safe. `array` must outlive it.
class KeywordIndex {
 public:
  explicit KeywordIndex(const arrow::StringArray& array);

  // Sets the rows whose value is `value` in `out`, which has a bit per row.
  void add_rows(std::string_view value, Bitmap& out) const;
  uint64_t memory_bytes() const;

 private:
  const arrow::StringArray& array_;
  std::vector<uint64_t> hashes_;   // of the different values, ascending
  std::vector<uint32_t> starts_;   // in rows_, one more than there are hashes
  std::vector<uint32_t> rows_;     // ascending within a hash; equal hashes may be different values
  std::unordered_map<uint32_t, Bitmap> frequent_;  // by position in hashes_, of single values that many rows have
};

}  // namespace quarry::mvs
