#include "mvs/hot/row_order.h"

namespace quarry::mvs {
namespace {

constexpr size_t kSteps = 16;
constexpr size_t kMinRows = 4096;  // fewer are set one by one

}  // namespace

RowOrder::RowOrder(std::vector<uint32_t> order, size_t rows) : order_(std::move(order)) {
  if (order_.size() < kMinRows) return;
  step_ = order_.size() / kSteps;
  Bitmap before(rows);
  for (size_t position = 0; position < order_.size(); ++position) {
    if (position % step_ == 0) before_.push_back(before);
    before.set(order_[position]);
  }
}

void RowOrder::add(size_t first, size_t last, Bitmap& out) const {
  const size_t from = step_ == 0 ? 0 : (first + step_ - 1) / step_, to = step_ == 0 ? 0 : std::min(last / step_, before_.size() - 1);
  if (from >= to) {
    for (const uint32_t row : rows(first, last)) out.set(row);
    return;
  }
  const uint64_t *inner = before_[from].words(), *outer = before_[to].words();
  for (size_t w = 0; w < out.word_count(); ++w) out.words()[w] |= outer[w] & ~inner[w];
  for (const uint32_t row : rows(first, from * step_)) out.set(row);
  for (const uint32_t row : rows(to * step_, last)) out.set(row);
}

uint64_t RowOrder::memory_bytes() const {
  uint64_t bytes = order_.size() * sizeof(uint32_t);
  for (const Bitmap& bits : before_) bytes += bits.memory_bytes();
  return bytes;
}

}  // namespace quarry::mvs
