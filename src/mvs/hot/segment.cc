#include "mvs/hot/segment.h"

#include <algorithm>
#include <numeric>

#include "base/hash.h"
#include "mvs/hot/kernels.h"

namespace quarry::mvs {

Segment::Segment(uint32_t uid, std::shared_ptr<const RowBlock> block) : uid_(uid), block_(std::move(block)) {
  const size_t columns = block_->schema().columns().size();
  norms_.resize(columns);
  uint64_t bytes = block_->memory_bytes();
  for (size_t c = 0; c < columns; ++c) {
    const VectorColumn* v = block_->vector(int(c));
    if (v == nullptr) continue;
    norms_[c].resize(v->count);
    for (size_t o = 0; o < v->count; ++o) norms_[c][o] = norm(v->data + o * v->dimension, v->dimension);
    bytes += v->count * sizeof(float);
  }
  id_hashes_.resize(rows());
  for (size_t row = 0; row < rows(); ++row) id_hashes_[row] = hash64(block_->document_id(row));
  overridden_ = std::make_unique<LazyBitmap[]>(columns);
  memory_bytes_ = bytes + rows() * sizeof(uint64_t);
}

const Bitmap& Segment::overridden(int column) const {
  LazyBitmap& lazy = overridden_[size_t(column)];
  std::call_once(lazy.once, [&] {
    // A member is written as "name": with nothing escaped, as column names hold no character that JSON escapes. Text that merely contains
    // the same characters costs a closer look, no more.
    const std::string needle = "\"" + block_->schema().columns()[size_t(column)].name + "\":";
    lazy.bits = Bitmap(rows());
    for (size_t row = 0; row < rows(); ++row)
      if (block_->rest(row).find(needle) != std::string_view::npos) lazy.bits.set(row);
    memory_bytes_ += lazy.bits.memory_bytes();
  });
  return lazy.bits;
}

const std::vector<uint64_t>& Segment::source_hashes() const {
  std::call_once(source_once_, [&] {
    source_hashes_.resize(rows());
    for (size_t row = 0; row < rows(); ++row) {
      const auto source = block_->source_id(row);
      source_hashes_[row] = source.empty() ? 0 : hash64(source);
    }
    memory_bytes_ += rows() * sizeof(uint64_t);
  });
  return source_hashes_;
}

const std::vector<uint32_t>& Segment::id_order() const {
  std::call_once(order_once_, [&] {
    id_order_.resize(rows());
    std::iota(id_order_.begin(), id_order_.end(), 0u);
    std::sort(id_order_.begin(), id_order_.end(), [&](uint32_t a, uint32_t b) { return block_->document_id(a) < block_->document_id(b); });
    memory_bytes_ += rows() * sizeof(uint32_t);
  });
  return id_order_;
}

}  // namespace quarry::mvs
