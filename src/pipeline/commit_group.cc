#include "pipeline/commit_group.h"

#include <fmt/format.h>

#include "base/log.h"

namespace quarry::pipeline {
namespace {

using catalog::ItemStatus;

const ExtractedItem::Output* output_of(const ExtractedItem& item, size_t collection) {
  for (const ExtractedItem::Output& output : item.outputs)
    if (output.collection == collection) return &output;
  return nullptr;
}

// Of a document, not of the store: the other documents of the group can still be written.
bool is_document_fault(const Error& error) { return error.kind == ErrorKind::kBadRequest || error.kind == ErrorKind::kValidation; }

}  // namespace

void CommitGroup::add(ExtractedItem item) {
  if (items_.empty()) opened_steady_us_ = clock_.steady_us();
  documents_ += item.documents;
  bytes_ += item.bytes;
  items_.push_back(std::move(item));
}

Status CommitGroup::commit() {
  if (items_.empty()) return Ok{};
  GroupRecord record;
  for (size_t collection = 0; collection < collections_.size(); ++collection) QUARRY_RETURN_IF_ERROR(write_collection(collection, record));
  QUARRY_RETURN_IF_ERROR(record_items(record));
  items_.clear();
  documents_ = 0;
  bytes_ = 0;
  return Ok{};
}

Status CommitGroup::write_collection(size_t collection, GroupRecord& record) {
  std::vector<size_t> items;
  for (size_t i = 0; i < items_.size(); ++i)
    if (output_of(items_[i], collection)) items.push_back(i);
  if (items.empty() || gone_.contains(collection)) return Ok{};
  auto written = write(collection, items);
  if (written.ok()) {
    count(*written, record);
    return written->deleted > 0 ? drop_descendants(collection, items) : Status(Ok{});
  }
  const std::string& name = collections_[collection].collection.name;
  if (written.error().kind == ErrorKind::kNotFound) {
    gone_.insert(collection);
    ledger_.warn(fmt::format("collection '{}' was deleted while the batch ran", name));
    if (gone_.size() < collections_.size()) return Ok{};
    return bad_request(fmt::format("collection '{}' was deleted while the batch ran", name));
  }
  if (is_document_fault(written.error())) return write_one_by_one(collection, record);
  return std::move(written).error().with_context(fmt::format("writing to collection '{}'", name));
}

Status CommitGroup::write_one_by_one(size_t collection, GroupRecord& record) {
  for (size_t i = 0; i < items_.size(); ++i) {
    if (!output_of(items_[i], collection)) continue;
    auto written = write(collection, {i});
    if (written.ok()) {
      count(*written, record);
      if (written->deleted > 0) QUARRY_RETURN_IF_ERROR(drop_descendants(collection, {i}));
    } else if (is_document_fault(written.error())) {
      items_[i].failures.push_back({collections_[collection].collection.collection_id, std::move(written).error()});
      std::erase_if(items_[i].outputs, [&](const ExtractedItem::Output& output) { return output.collection == collection; });
    } else {
      return std::move(written).error();
    }
  }
  return Ok{};
}

Result<mvs::WriteResult> CommitGroup::write(size_t collection, const std::vector<size_t>& items) {
  return with_retries(retries_, control_, [&] {
    mvs::WriteBatch batch;
    batch.replace.emplace();
    for (size_t i : items) {
      const ExtractedItem::Output* output = output_of(items_[i], collection);
      batch.replace->source_ids.push_back(items_[i].source_id);
      batch.upserts.insert(batch.upserts.end(), output->documents.begin(), output->documents.end());
    }
    return vectors_.write(collections_[collection].collection.collection_id, std::move(batch));
  });
}

void CommitGroup::count(const mvs::WriteResult& written, GroupRecord& record) const {
  record.documents_written += written.inserted + written.replaced;
  record.documents_replaced += written.replaced;
  record.documents_deleted += written.deleted;
}

// Rows of these sources went away: what later tiers made of them hangs in the air. Their tiers make everything that is still right again.
Status CommitGroup::drop_descendants(size_t collection, const std::vector<size_t>& items) {
  const std::string& collection_id = collections_[collection].collection.collection_id;
  if (downstream_tasks(ledger_.batch(), ledger_.tier(), collection_id).empty()) return Ok{};
  json::array roots;
  for (size_t i : items) roots.emplace_back(items_[i].object_id);
  QUARRY_ASSIGN_OR_RETURN(Filter filter,
                          parse_filter(json::object{{"field", "root_object_id"}, {"operator", "in"}, {"value", std::move(roots)}}));
  for (int tier = ledger_.tier() + 1; tier <= tier_count(ledger_.batch()); ++tier) {
    for (const std::string& table : string_list(*tier_info(ledger_.batch(), tier), "collection_ids")) {
      auto dropped = with_retries(retries_, control_, [&] { return vectors_.delete_where(table, filter); });
      if (!dropped.ok() && dropped.error().kind != ErrorKind::kNotFound) return std::move(dropped).error();
    }
  }
  return Ok{};
}

ItemRecord CommitGroup::make_record(const ExtractedItem& item) const {
  ItemRecord record;
  record.item.item_id = item.item_id;
  record.item.position = item.position;
  record.object_id = item.object_id;
  record.mirrored = item.mirrored;
  record.partial = !item.failures.empty() && !item.outputs.empty();
  std::string timestamp = format_timestamp(clock_.now_us());
  for (const Failure& failure : item.failures) {
    json::object failed = failure_record(item.object_id, failure, timestamp);
    if (item.source_id != item.object_id) failed["document_id"] = item.source_id;
    failed["tier_num"] = ledger_.tier();
    record.failures.push_back(std::move(failed));
  }
  size_t written = 0;
  for (const ExtractedItem::Output& output : item.outputs) {
    if (gone_.contains(output.collection)) continue;
    std::vector<std::string> ids;
    for (const Document& document : output.documents) ids.push_back(document.document_id);
    written += ids.size();
    record.written.emplace_back(collections_[output.collection].collection.collection_id, std::move(ids));
  }
  for (const auto& kept : item.kept) record.written.push_back(kept);
  record.item.status = item.skipped ? ItemStatus::kSkipped : item.failures.empty() ? ItemStatus::kDone : ItemStatus::kFailed;
  record.item.outcome["documents_written"] = written;
  if (!record.failures.empty()) record.item.outcome["failures"] = json::value_from(record.failures);
  return record;
}

// Deleted between extraction and commit: what was written for these objects goes, and the items count as skipped.
Status CommitGroup::take_back(const std::vector<std::string>& object_ids, GroupRecord& record) {
  for (ExtractedItem& item : items_) {
    if (std::find(object_ids.begin(), object_ids.end(), item.object_id) == object_ids.end()) continue;
    item.skipped = true;
    item.failures.clear();
    item.kept.clear();
    for (ExtractedItem::Output& output : item.outputs) output.documents.clear();
  }
  for (size_t collection = 0; collection < collections_.size(); ++collection) {
    std::vector<size_t> taken_back;
    for (size_t i = 0; i < items_.size(); ++i)
      if (items_[i].skipped && output_of(items_[i], collection)) taken_back.push_back(i);
    if (taken_back.empty() || gone_.contains(collection)) continue;
    QUARRY_ASSIGN_OR_RETURN(mvs::WriteResult removed, write(collection, taken_back));
    record.documents_deleted += removed.deleted;
  }
  return Ok{};
}

Status CommitGroup::record_items(GroupRecord& record) {
  for (;;) {
    record.items.clear();
    for (const ExtractedItem& item : items_) record.items.push_back(make_record(item));
    auto vanished = ledger_.record(record);
    if (!vanished.ok()) {
      if (vanished.error().kind != ErrorKind::kNotFound) return std::move(vanished).error();
      // The batch was deleted, perhaps with its whole bucket.
      QUARRY_ASSIGN_OR_RETURN(std::vector<std::string> absent, ledger_.absent_objects(record));
      QUARRY_RETURN_IF_ERROR(take_back(absent, record));
      return std::move(vanished).error();
    }
    if (vanished->empty()) return Ok{};
    QUARRY_RETURN_IF_ERROR(take_back(*vanished, record));
  }
}

}  // namespace quarry::pipeline
