#include "mvs/hot/snapshot.h"

#include <algorithm>

#include "base/hash.h"

namespace quarry::mvs {

Bitmap SegmentView::live_rows() const {
  Bitmap out(segment->rows(), true);
  if (deleted != nullptr) out.subtract(*deleted);
  return out;
}

size_t logged_deletions(const SegmentView& view) {
  return view.file->deletion_vector ? size_t(std::max<int64_t>(view.file->deletion_vector->cardinality, 0)) : 0;
}

const SegmentView* Snapshot::view(uint32_t segment_uid) const {
  const auto it =
      std::lower_bound(views.begin(), views.end(), segment_uid, [](const SegmentView& v, uint32_t uid) { return v.segment->uid() < uid; });
  return it != views.end() && it->segment->uid() == segment_uid ? &*it : nullptr;
}

bool Snapshot::is_live(RowRef ref) const {
  const SegmentView* v = view(ref.segment);
  return v != nullptr && v->is_live(ref.row);
}

bool Snapshot::holds(RowRef ref, std::string_view document_id) const {
  const SegmentView* v = view(ref.segment);
  return v != nullptr && v->is_live(ref.row) && v->segment->block().document_id(ref.row) == document_id;
}

std::optional<RowRef> Snapshot::find(std::string_view document_id) const {
  std::optional<RowRef> found;
  ids.find(hash64(document_id), [&](RowRef ref) {
    if (holds(ref, document_id)) found = ref;
    return found.has_value();
  });
  return found;
}

std::vector<RowRef> Snapshot::find_all(std::string_view document_id) const {
  std::vector<RowRef> found;
  ids.find(hash64(document_id), [&](RowRef ref) {
    if (holds(ref, document_id)) found.push_back(ref);
    return false;
  });
  return found;
}

uint64_t Snapshot::memory_bytes() const {
  uint64_t bytes = ids.memory_bytes();
  for (const auto& v : views) bytes += v.segment->memory_bytes() + (v.deleted ? v.deleted->memory_bytes() : 0);
  return bytes;
}

void Snapshot::settle() {
  std::erase_if(views, [](const SegmentView& v) { return v.live == 0; });
  live_rows = 0;
  for (const auto& v : views) live_rows += v.live;
}

}  // namespace quarry::mvs
