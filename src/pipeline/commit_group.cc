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
  if (written.ok()) return after_write(collection, items, *written, record);
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
      QUARRY_RETURN_IF_ERROR(after_write(collection, {i}, *written, record));
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
    return vectors_.write(collections_[collection].collection.table_id(), std::move(batch));
  });
}

// Rows that went away may have descendants. They are also looked for when this is not the task's first life: an earlier one may have ended
// right after the write that took the rows away.
Status CommitGroup::after_write(size_t collection, const std::vector<size_t>& items, const mvs::WriteResult& written, GroupRecord& record) {
  record.documents_written += written.inserted + written.replaced;
  record.documents_replaced += written.replaced;
  record.documents_deleted += written.deleted;
  const std::string& collection_id = collections_[collection].collection.collection_id;
  if (!consumers_.contains(collection_id) || (written.deleted == 0 && ledger_.task().attempts <= 1)) return Ok{};
  std::set<std::string> roots;
  for (size_t i : items)
    if (!items_[i].object_id.empty()) roots.insert(items_[i].object_id);
  if (roots.empty()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(Filter of_roots,
                          parse_filter(json::object{{"field", "root_object_id"}, {"operator", "in"}, {"value", json::value_from(roots)}}));
  return drop_orphans(collection_id, of_roots);
}

// Removes what later tiers made of documents that `collection_id` does not hold any more, and so on down the tree. What was made of the
// documents that are still there stays: their tiers replace it where it changes.
Status CommitGroup::drop_orphans(const std::string& collection_id, const Filter& of_roots) {
  auto consumers = consumers_.find(collection_id);
  if (consumers == consumers_.end()) return Ok{};
  for (const std::string& consumer : consumers->second) {
    QUARRY_RETURN_IF_ERROR(drop_orphans_from(consumer, collection_id, of_roots));
    QUARRY_RETURN_IF_ERROR(drop_orphans(consumer, of_roots));
  }
  return Ok{};
}

Status CommitGroup::drop_orphans_from(const std::string& consumer, const std::string& collection_id, const Filter& of_roots) {
  constexpr size_t kPage = 1'000;
  mvs::ScanRequest request;
  request.table_id = table_name(tables_, consumer);
  request.filter = of_roots;
  request.limit = kPage;
  request.projection.payload = false;
  for (bool more = true; more;) {
    auto page = with_retries(retries_, control_, [&] { return vectors_.scan(request); });
    if (!page.ok() && page.error().kind == ErrorKind::kNotFound) return Ok{};  // never written to, or dropped
    if (!page.ok()) return std::move(page).error();
    QUARRY_RETURN_IF_ERROR(drop_orphans_among(page->documents, consumer, collection_id));
    more = page->has_more && !page->documents.empty();
    if (more) request.after_document_id = page->documents.back().document_id;
  }
  return Ok{};
}

Status CommitGroup::drop_orphans_among(const std::vector<Document>& documents, const std::string& consumer,
                                       const std::string& collection_id) {
  std::map<std::string, std::vector<std::string>> by_source;
  for (const Document& document : documents)
    if (document.lineage.source_collection_id == collection_id)
      by_source[document.lineage.source_document_id].push_back(document.document_id);
  std::vector<std::string> sources;
  for (const auto& [source, ids] : by_source) sources.push_back(source);
  if (sources.empty()) return Ok{};
  mvs::Projection nothing;
  nothing.payload = false;
  auto present = with_retries(retries_, control_, [&] { return vectors_.get(table_name(tables_, collection_id), sources, nothing); });
  if (!present.ok()) return std::move(present).error();
  for (const Document& source : *present) by_source.erase(source.document_id);
  mvs::WriteBatch orphans;
  for (const auto& [source, ids] : by_source) orphans.deletes.insert(orphans.deletes.end(), ids.begin(), ids.end());
  if (orphans.deletes.empty()) return Ok{};
  auto dropped = with_retries(retries_, control_, [&] { return vectors_.write(table_name(tables_, consumer), orphans); });
  return dropped.ok() ? Status(Ok{}) : std::move(dropped).error();
}

ItemRecord CommitGroup::make_record(const ExtractedItem& item) const {
  ItemRecord record;
  record.item.item_id = item.item_id;
  record.item.position = item.position;
  record.object_id = item.object_id;
  record.content_at = item.content_at;
  record.mirrored = item.mirrored;
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
  record.partial = !item.failures.empty() && !record.written.empty();
  record.item.status = item.skipped ? ItemStatus::kSkipped : item.failures.empty() ? ItemStatus::kDone : ItemStatus::kFailed;
  record.item.outcome["documents_written"] = written;
  if (record.partial) record.item.outcome[kPartialOutcome] = true;
  if (!record.failures.empty()) record.item.outcome["failures"] = json::value_from(record.failures);
  return record;
}

// Changed between extraction and commit: what was written is replaced when the items run again.
void CommitGroup::set_aside(const std::vector<std::string>& object_ids) {
  auto is_changed = [&](const ExtractedItem& item) {
    return std::find(object_ids.begin(), object_ids.end(), item.object_id) != object_ids.end();
  };
  for (const ExtractedItem& item : items_)
    if (is_changed(item)) outdated_.push_back({item.item_id, item.position, ItemStatus::kPending, {}});
  std::erase_if(items_, is_changed);
}

// Deleted between extraction and commit: what was written for these objects goes, and the items count as skipped.
Status CommitGroup::take_back(const std::vector<std::string>& object_ids, GroupRecord& record) {
  if (object_ids.empty()) return Ok{};
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
    auto outdated = ledger_.record(record);
    if (!outdated.ok()) {
      if (outdated.error().kind != ErrorKind::kNotFound) return std::move(outdated).error();
      // The batch was deleted, perhaps with its whole bucket.
      QUARRY_ASSIGN_OR_RETURN(std::vector<std::string> absent, ledger_.absent_objects(record));
      QUARRY_RETURN_IF_ERROR(take_back(absent, record));
      return std::move(outdated).error();
    }
    if (outdated->empty()) return Ok{};
    set_aside(outdated->changed);
    QUARRY_RETURN_IF_ERROR(take_back(outdated->deleted, record));
  }
}

}  // namespace quarry::pipeline
