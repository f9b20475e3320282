#include "mvs/write_group.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "base/hash.h"
#include "mvs/hot/column_filter.h"
#include "mvs/warm/row_encoder.h"

namespace quarry::mvs {
namespace {

// Where the newest version of a document is, as far as the group has got.
struct Place {
  enum class Kind { kGone, kBase, kBlock, kPatched } kind = Kind::kGone;
  RowRef ref;        // kBase
  size_t index = 0;  // kBlock: row; kPatched: position
};

template <class V>
void replace_named(std::vector<V>& vectors, const std::vector<V>& changed) {
  for (const V& vector : changed) {
    std::erase_if(vectors, [&](const V& v) { return v.name == vector.name; });
    vectors.push_back(vector);
  }
}

class Resolver {
 public:
  Resolver(const Snapshot& snapshot, const LogState& log, const RowBlock* block, TimestampUs now)
      : snapshot_(snapshot), log_(log), block_(block), now_(now) {
    if (block != nullptr) out_.block_deleted = Bitmap(block->rows());
  }

  Status apply(const GroupItem& item) {
    WriteResult& result = out_.results.emplace_back();
    if (item.skipped || is_repeated(*item.batch, result)) {
      for (size_t i = 0; i < item.row_count; ++i) out_.block_deleted.set(item.first_row + i);
      return Ok{};
    }
    for (const auto& id : item.batch->must_be_absent)
      if (locate(id).kind != Place::Kind::kGone) return document_exists(id);
    const size_t first_patched = out_.patched.size();
    upsert(item, result);
    for (const auto& patch : item.batch->patches) QUARRY_RETURN_IF_ERROR(apply_patch(patch, result));
    if (item.batch->replace) replace_sources(*item.batch->replace, item, first_patched, result);
    for (const auto& id : item.batch->deletes) {
      if (remove(id))
        ++result.deleted;
      else
        result.missing.push_back(id);
    }
    if (item.delete_filter != nullptr) QUARRY_RETURN_IF_ERROR(delete_matching(*item.delete_filter, result));
    if (!item.batch->txn_app.empty()) out_.transactions.push_back({item.batch->txn_app, item.batch->txn_version, now_ / 1000});
    return Ok{};
  }

  ResolvedGroup finish() {
    // Patched rows that were changed again leave gaps.
    std::vector<Document> live;
    for (size_t i = 0; i < out_.patched.size(); ++i)
      if (!patched_dead_[i]) live.push_back(std::move(out_.patched[i]));
    out_.patched = std::move(live);
    return std::move(out_);
  }

 private:
  bool is_repeated(const WriteBatch& batch, WriteResult& result) const {
    if (batch.txn_app.empty()) return false;
    const auto known = log_.transactions.find(batch.txn_app);
    result.repeated = known != log_.transactions.end() && known->second.version >= batch.txn_version;
    for (const auto& t : out_.transactions)
      result.repeated = result.repeated || (t.app_id == batch.txn_app && t.version >= batch.txn_version);
    return result.repeated;
  }

  Place locate(std::string_view id) const {
    if (const auto it = moved_.find(id); it != moved_.end()) return it->second;
    if (const auto ref = snapshot_.find(id)) return {Place::Kind::kBase, *ref, 0};
    return {};
  }

  Bitmap& deleted_of(uint32_t segment) {
    const auto it = out_.deleted.find(segment);
    if (it != out_.deleted.end()) return it->second;
    const SegmentView& view = *snapshot_.view(segment);
    return out_.deleted.emplace(segment, view.deleted ? *view.deleted : Bitmap(view.segment->rows())).first->second;
  }

  bool is_live(RowRef ref) const {
    const auto it = out_.deleted.find(ref.segment);
    return it != out_.deleted.end() ? !it->second.test(ref.row) : snapshot_.is_live(ref);
  }

  // Marks what is at `place` dead. False if nothing was there.
  bool kill(std::string_view id, const Place& place) {
    switch (place.kind) {
      case Place::Kind::kGone: return false;
      case Place::Kind::kBase:
        for (const RowRef ref : snapshot_.find_all(id)) deleted_of(ref.segment).set(ref.row);
        return true;
      case Place::Kind::kBlock: out_.block_deleted.set(place.index); return true;
      case Place::Kind::kPatched: patched_dead_[place.index] = true; return true;
    }
    return false;
  }

  bool remove(std::string_view id) {
    if (!kill(id, locate(id))) return false;
    moved_[id] = {};
    return true;
  }

  void upsert(const GroupItem& item, WriteResult& result) {
    for (size_t row = item.first_row; row < item.first_row + item.row_count; ++row) {
      const std::string_view id = block_->document_id(row);
      if (kill(id, locate(id)))
        ++result.replaced;
      else
        ++result.inserted;
      moved_[id] = {Place::Kind::kBlock, {}, row};
    }
  }

  Result<Document> read(const Place& place) const {
    const Projection everything{.payload = true, .vectors = true};
    if (place.kind == Place::Kind::kPatched) return out_.patched[place.index];
    if (place.kind == Place::Kind::kBlock) return block_->document(place.index, everything);
    return snapshot_.view(place.ref.segment)->segment->block().document(place.ref.row, everything);
  }

  Status apply_patch(const DocumentPatch& patch, WriteResult& result) {
    const Place place = locate(patch.document_id);
    if (place.kind == Place::Kind::kGone) {
      result.missing.push_back(patch.document_id);
      return Ok{};
    }
    QUARRY_ASSIGN_OR_RETURN(Document document, read(place));
    if (patch.replace_payload) document.payload = {};
    for (const auto& member : patch.set) {
      if (patch.replace_payload)
        document.payload[member.key()] = member.value();
      else
        set_path(document.payload, member.key(), member.value());
    }
    for (const auto& path : patch.unset) unset_path(document.payload, path);
    replace_named(document.vectors, patch.vectors);
    replace_named(document.sparse_vectors, patch.sparse_vectors);
    replace_named(document.multi_vectors, patch.multi_vectors);
    document.updated_at = std::max(now_, document.updated_at);
    QUARRY_RETURN_IF_ERROR(check_document(*snapshot_.schema, document));
    kill(patch.document_id, place);
    moved_[patch.document_id] = {Place::Kind::kPatched, {}, out_.patched.size()};
    out_.patched.push_back(std::move(document));
    patched_dead_.push_back(false);
    ++result.patched;
    return Ok{};
  }

  void replace_sources(const SourceReplacement& replacement, const GroupItem& item, size_t first_patched, WriteResult& result) {
    const std::unordered_set<std::string_view> sources(replacement.source_ids.begin(), replacement.source_ids.end());
    std::unordered_set<uint64_t> hashes;
    for (const auto source : sources) hashes.insert(hash64(source));
    for (const SegmentView& view : snapshot_.views) {
      const auto& of_rows = view.segment->source_hashes();
      for (uint32_t row = 0; row < of_rows.size(); ++row) {
        const RowRef ref{view.segment->uid(), row};
        if (of_rows[row] == 0 || !hashes.contains(of_rows[row]) || !is_live(ref) || !sources.contains(view.segment->block().source_id(row)))
          continue;
        result.deleted += remove(view.segment->block().document_id(row));
      }
    }
    for (size_t row = 0; row < item.first_row; ++row)
      if (!out_.block_deleted.test(row) && sources.contains(block_->source_id(row))) result.deleted += remove(block_->document_id(row));
    for (size_t i = 0; i < first_patched; ++i) {
      const Lineage& l = out_.patched[i].lineage;
      const std::string& source = l.source_document_id.empty() ? l.source_object_id : l.source_document_id;
      if (patched_dead_[i] || !sources.contains(source)) continue;
      patched_dead_[i] = true;
      // The document may be keyed by a patch of another item: its name lives as long as the group.
      for (auto& [id, place] : moved_)
        if (place.kind == Place::Kind::kPatched && place.index == i) place = {};
      ++result.deleted;
    }
  }

  Status delete_matching(const Filter& filter, WriteResult& result) {
    for (const SegmentView& view : snapshot_.views) {
      QUARRY_ASSIGN_OR_RETURN(const Bitmap rows, filter_rows(filter, *view.segment, view.live_rows()));
      if (rows.none()) continue;
      deleted_of(view.segment->uid()) |= rows;
      result.deleted += rows.count();
    }
    return Ok{};
  }

  const Snapshot& snapshot_;
  const LogState& log_;
  const RowBlock* const block_;
  const TimestampUs now_;
  ResolvedGroup out_;
  std::vector<bool> patched_dead_;                     // beside out_.patched
  std::unordered_map<std::string_view, Place> moved_;  // ids live in the block, in the batches or in segments of the snapshot
};

}  // namespace

bool ResolvedGroup::changes_anything(size_t block_rows) const {
  return !deleted.empty() || !patched.empty() || !transactions.empty() || block_deleted.count() < block_rows;
}

std::variant<ResolvedGroup, ItemFailure> resolve_group(const Snapshot& snapshot, const LogState& log, const RowBlock* block,
                                                       std::span<const GroupItem> items, TimestampUs now) {
  Resolver resolver(snapshot, log, block, now);
  for (size_t i = 0; i < items.size(); ++i)
    if (auto status = resolver.apply(items[i]); !status.ok()) return ItemFailure{i, std::move(status).error()};
  return resolver.finish();
}

Error document_exists(std::string_view document_id) { return already_exists(fmt::format("document '{}' exists already", document_id)); }

void set_path(json::object& object, std::string_view path, json::value value) {
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos || object.contains(path)) {
    object[path] = std::move(value);
    return;
  }
  json::value& child = object[path.substr(0, dot)];
  if (!child.is_object()) child = json::object();
  set_path(child.get_object(), path.substr(dot + 1), std::move(value));
}

void unset_path(json::object& object, std::string_view path) {
  if (object.erase(path) > 0) return;
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return;
  json::value* child = object.if_contains(path.substr(0, dot));
  if (child != nullptr && child->is_object()) unset_path(child->get_object(), path.substr(dot + 1));
}

}  // namespace quarry::mvs
