// Rows in some order, and those of any stretch of it as bits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mvs/warm/deletion_vector.h"

namespace quarry::mvs {

// Immutable; thread-safe. Beside the order itself a few bitmaps of all that comes before a position are kept (range encoding, Chan &
// Ioannidis, SIGMOD 1998), so that a stretch of any length costs two of them and what lies between.
class RowOrder {
 public:
  RowOrder() = default;
  // `order`: rows below `rows`, each at most once.
  RowOrder(std::vector<uint32_t> order, size_t rows);

  size_t size() const { return order_.size(); }
  uint32_t row(size_t position) const { return order_[position]; }
  std::span<const uint32_t> rows(size_t first, size_t last) const { return std::span(order_).subspan(first, last - first); }
  // Sets the rows at positions first .. last - 1 in `out`, which has a bit per row.
  void add(size_t first, size_t last, Bitmap& out) const;
  uint64_t memory_bytes() const;

 private:
  std::vector<uint32_t> order_;
  size_t step_ = 0;             // 0: short enough to do without bitmaps
  std::vector<Bitmap> before_;  // [i]: the rows before position i * step_
};

}  // namespace quarry::mvs
