#include "mvs/hot/segment.h"

#include <algorithm>
#include <numeric>

#include "base/hash.h"
#include "mvs/hot/document_reader.h"
#include "mvs/hot/kernels.h"

namespace quarry::mvs {
namespace {

constexpr uint64_t kAskedBeforeIndex = 4;
constexpr size_t kMaxIndexedPaths = 16;

std::vector<float> norms_of(const float* vectors, size_t count, size_t dimension) {
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = norm(vectors + i * dimension, dimension);
  return out;
}

}  // namespace

Segment::Segment(uint32_t uid, std::shared_ptr<const RowBlock> block) : uid_(uid), block_(std::move(block)) {
  const size_t columns = block_->schema().columns().size();
  norms_.resize(columns);
  uint64_t bytes = block_->memory_bytes();
  for (size_t c = 0; c < columns; ++c) {
    if (const VectorColumn* v = block_->vector(int(c))) norms_[c] = norms_of(v->data, v->count, v->dimension);
    if (const MultiColumn* v = block_->multi(int(c))) norms_[c] = norms_of(v->data, v->tokens(), v->dimension);
    bytes += norms_[c].size() * sizeof(float);
  }
  id_hashes_.resize(rows());
  for (size_t row = 0; row < rows(); ++row) id_hashes_[row] = hash64(block_->document_id(row));
  overridden_ = std::make_unique<LazyBitmap[]>(columns);
  sparse_ = std::make_unique<LazySparseIndex[]>(columns);
  values_ = std::make_unique<LazyIndex<ValueIndex>[]>(columns);
  groups_ = std::make_unique<LazyGroups[]>(columns);
  words_ = std::make_unique<LazyIndex<WordIndex>[]>(columns);
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

const SparseIndex& Segment::sparse_index(int column) const {
  LazySparseIndex& lazy = sparse_[size_t(column)];
  std::call_once(lazy.once, [&] {
    lazy.index = std::make_unique<const SparseIndex>(*block_->sparse(column));
    memory_bytes_ += lazy.index->memory_bytes();
  });
  return *lazy.index;
}

ValueColumn Segment::column(int column) const {
  const Column& spec = block_->schema().columns()[size_t(column)];
  return {spec.kind, block_->array(column), spec.system ? nullptr : &overridden(column)};
}

template <class Index, class Make>
const Index* Segment::column_index(LazyIndex<Index>& lazy, int column, IndexUse use, const Make& make) const {
  if (use == IndexUse::kNever || block_->array(column) == nullptr) return nullptr;
  if (const Index* ready = lazy.ready.load(std::memory_order_acquire)) return ready;
  if (use == IndexUse::kWhenWorth && lazy.asked.fetch_add(1, std::memory_order_relaxed) + 1 != kAskedBeforeIndex) return nullptr;
  std::call_once(lazy.once, [&] {
    lazy.index = make();
    if (lazy.index != nullptr) memory_bytes_ += lazy.index->memory_bytes();
    lazy.ready.store(lazy.index.get(), std::memory_order_release);
  });
  return lazy.index.get();
}

const ValueIndex* Segment::value_index(int column, IndexUse use) const {
  return column_index(values_[size_t(column)], column, use,
                      [&] { return ValueIndex::make(*block_->array(column), block_->schema().columns()[size_t(column)].kind); });
}

const WordIndex* Segment::word_index(int column, IndexUse use) const {
  return column_index(words_[size_t(column)], column, use, [&] { return WordIndex::make(*block_, column); });
}

const std::vector<uint32_t>* Segment::value_groups(int column, IndexUse use) const {
  const ValueIndex* index = value_index(column, use);
  if (index == nullptr) return nullptr;
  LazyGroups& lazy = groups_[size_t(column)];
  std::call_once(lazy.once, [&] {
    lazy.by_row = index->rows().by_row();
    memory_bytes_ += lazy.by_row.size() * sizeof(uint32_t);
  });
  return &lazy.by_row;
}

template <class Index, class Make>
const Index* Segment::path_index(PathIndexes<Index>& indexes, std::string_view path, IndexUse use, const Make& make) const {
  if (use == IndexUse::kNever) return nullptr;
  std::lock_guard lock(indexes.mutex);
  auto known = indexes.by_path.find(path);
  const bool asked = known != indexes.by_path.end();
  if (!asked) {
    if (indexes.by_path.size() >= kMaxIndexedPaths) return nullptr;
    known = indexes.by_path.emplace(path, std::nullopt).first;
  }
  if (!known->second && (asked || use == IndexUse::kAlways)) {
    known->second = make();
    if (*known->second != nullptr) memory_bytes_ += (*known->second)->memory_bytes();
  }
  return known->second ? known->second->get() : nullptr;
}

const GeoIndex* Segment::geo_index(std::string_view path, IndexUse use) const {
  return path_index(geo_, path, use, [&] { return make_geo_index(path); });
}

const MemberIndex* Segment::member_index(std::string_view path, IndexUse use) const {
  return path_index(members_, path, use, [&] { return MemberIndex::make(*block_, path); });
}

const PathColumn* Segment::path_column(std::string_view path, PathReading reading, IndexUse use) const {
  auto& columns = reading == PathReading::kTimes ? path_times_ : path_values_;
  return path_index(columns, path, use, [&] { return PathColumn::make(*block_, path, reading); });
}

std::unique_ptr<const GeoIndex> Segment::make_geo_index(std::string_view path) const {
  const DocumentReader documents(*block_, path);
  std::vector<GeoRow> points;
  Bitmap other(rows());
  for (size_t row = 0; row < rows(); ++row) {
    if (documents.is_empty(row)) continue;
    const auto document = documents.read(row);
    GeoRow found{{}, uint32_t(row)};
    // A payload that does not parse is met again where the row is asked for.
    const GeoContent content = document.ok() ? read_geo_content(*document, path, found.point) : GeoContent::kOther;
    if (content == GeoContent::kPoint) points.push_back(found);
    if (content == GeoContent::kOther) other.set(row);
  }
  points.shrink_to_fit();
  return std::make_unique<const GeoIndex>(std::move(points), std::move(other));
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
